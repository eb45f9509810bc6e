// polylog stream produce: lines of standard input become records, in requests of a bounded size. What a person types is
// sent as it comes: whenever nothing more is ready to be read, what there is leaves.
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "server/cli/terminal/progress.h"
#include "server/cli/verbs/context.h"
#include "server/cli/verbs/record_format.h"

namespace polylog::server {
namespace {

using base::ErrorCode;

constexpr size_t kRequestBytesTarget = 512 * base::limits::kKiB;  // of JSON; the broker takes kBodyBytesMax
constexpr size_t kRequestRecordsMax = 5'000;
static_assert(kRequestBytesTarget < http::kBodyBytesMax);

// 0: it is no file.
int64_t file_bytes(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : 0;
}

class Producer {
 public:
  explicit Producer(Context& context) : context_(context), progress_("produced") {}

  base::Result<> configure() {
    const Arguments& arguments = context_.arguments;
    TRY_ASSIGN(partition_, arguments.number("--partition", 0, INT32_MAX));
    TRY_ASSIGN(headers_, arguments.pairs("--header"));
    key_ = arguments.text("--key");
    separator_ = arguments.text("--key-separator");
    const std::string format = arguments.text("--format").value_or("text");
    if (format != "text" && format != "json") {
      return base::fail(ErrorCode::kInvalid, fmt::format("--format: '{}' is not text or json", format));
    }
    json_lines_ = format == "json";
    if (json_lines_ && (key_ || separator_ || !headers_.empty())) {
      return base::fail(ErrorCode::kInvalid, "--format json: key and headers stand in each line");
    }
    return {};
  }

  base::Result<> add_line(std::string_view line) {
    std::string record;
    if (json_lines_) {
      TRY_ASSIGN(record, checked_record(line));
    } else {
      TRY_ASSIGN(record, record_of(line));
    }
    if (!records_.empty() && (records_.size() + record.size() > kRequestBytesTarget || count_ == kRequestRecordsMax)) {
      TRY(flush());
    }
    records_ += (records_.empty() ? "" : ",") + record;
    ++count_;
    bytes_ += static_cast<int64_t>(line.size()) + 1;
    return {};
  }

  base::Result<> flush() {
    if (records_.empty()) return {};
    const std::string partition = partition_ ? fmt::format("\"partition\":{},", *partition_) : "";
    const std::string body = fmt::format("{{{}\"records\":[{}]}}", partition, records_);
    const auto answer = context_.client.send("POST", context_.path_of("streams", "/records"), body);
    if (!answer) {
      return base::fail(answer.error().code,
                        fmt::format("{} ({} records were acknowledged before)", answer.error().text, acknowledged_));
    }
    acknowledged_ += at(*answer, "count").integer().value_or(0);
    std::optional<double> part;
    if (input_bytes_ > 0) part = static_cast<double>(bytes_) / static_cast<double>(input_bytes_);
    progress_.set(acknowledged_, bytes_, part);
    records_.clear();
    count_ = 0;
    return {};
  }

  void finish() {
    progress_.clear();
    const std::string name = *context_.arguments.text("NAME");
    if (context_.json) {
      http::JsonWriter out;
      out.begin_object().field("stream", name).field("count", acknowledged_).end_object();
      print(out.take() + '\n');
    } else {
      print(fmt::format("produced {} records to {}\n", acknowledged_, printable(name)));
    }
  }

 private:
  base::Result<std::string> record_of(std::string_view line) const {
    std::optional<std::string> key = key_;
    if (separator_) {
      const size_t at = line.find(*separator_);
      if (at == std::string_view::npos) {
        return base::fail(ErrorCode::kMalformed,
                          fmt::format("line {}: no '{}' between key and value",
                                      acknowledged_ + static_cast<int64_t>(count_) + 1, *separator_));
      }
      key = std::string(line.substr(0, at));
      line.remove_prefix(at + separator_->size());
    }
    http::JsonWriter out;
    out.begin_object();
    if (key) {
      out.key("key");
      put_text_or_base64(out, *key);
    }
    out.key("value");
    put_text_or_base64(out, line);
    out.key("headers").begin_array();
    for (const auto& [name, value] : headers_) {
      out.begin_object().field("name", name).field("value", value).end_object();
    }
    out.end_array().end_object();
    return out.take();
  }

  // A line as `stream consume --format json` writes it: what only the broker knows is left out.
  base::Result<std::string> checked_record(std::string_view line) const {
    const auto json = http::parse_json(line);
    if (!json || json->object() == nullptr) {
      return base::fail(ErrorCode::kMalformed,
                        fmt::format("line {}: not a JSON object", acknowledged_ + static_cast<int64_t>(count_) + 1));
    }
    http::Json::Object record;
    for (const auto& [name, value] : *json->object()) {
      if (name != "offset" && name != "properties" && name != "partition") record.emplace_back(name, value);
    }
    return http::Json(std::move(record)).to_text();
  }

  Context& context_;
  Progress progress_;
  std::optional<int64_t> partition_;
  std::optional<std::string> key_, separator_;
  std::vector<std::pair<std::string, std::string>> headers_;
  bool json_lines_ = false;
  std::string records_;  // JSON, separated by commas
  size_t count_ = 0;     // of these
  int64_t acknowledged_ = 0, bytes_ = 0;
  const int64_t input_bytes_ = file_bytes(STDIN_FILENO);
};

bool more_is_ready() {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  return ::poll(&input, 1, 0) > 0;
}

base::Result<> produce_lines(Producer& producer) {
  std::string unread;
  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return base::fail(ErrorCode::kIo, "standard input cannot be read");
    if (got == 0) break;
    unread.append(buffer.data(), static_cast<size_t>(got));
    size_t at = 0;
    for (size_t end; (end = unread.find('\n', at)) != std::string::npos; at = end + 1) {
      TRY(producer.add_line(std::string_view(unread).substr(at, end - at)));
    }
    unread.erase(0, at);
    if (!more_is_ready()) TRY(producer.flush());
  }
  if (!unread.empty()) TRY(producer.add_line(unread));
  return producer.flush();
}

}  // namespace

base::Result<> run_stream_produce(Context& context) {
  Producer producer(context);
  TRY(producer.configure());
  if (const auto value = context.arguments.text("--value")) {
    TRY(producer.add_line(*value));
    TRY(producer.flush());
  } else {
    TRY(produce_lines(producer));
  }
  producer.finish();
  return {};
}

}  // namespace polylog::server
