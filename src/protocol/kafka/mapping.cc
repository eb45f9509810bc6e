#include "protocol/kafka/mapping.h"

#include <array>
#include <charconv>
#include <deque>
#include <string>

#include "base/utf8.h"
#include "protocol/kafka/record_stream.h"

namespace polylog::kafka {
namespace {

using broker::Header;
using broker::HeaderValue;
using broker::HubMessage;

// ---- record to hub

HeaderValue value_of(std::optional<base::View> bytes) {
  if (!bytes) return std::monostate{};
  std::string text(base::as_text(*bytes));
  if (base::is_utf8(text)) return text;
  return broker::Binary{std::move(text)};
}

std::optional<std::string> owned(std::optional<base::View> bytes) {
  if (!bytes) return std::nullopt;
  return std::string(base::as_text(*bytes));
}

HubMessage hub_message(const RecordView& record) {
  HubMessage message{.body = owned(record.value), .key = owned(record.key)};
  if (record.timestamp_ms >= 0) message.timestamp = base::WallTime{record.timestamp_ms};
  HeaderWalker walker(record);
  for (RecordHeader header; walker.next(header);) {
    message.headers.push_back({std::string(header.key), value_of(header.value)});
  }
  return message;
}

// ---- hub to record

template <typename Number>
std::string decimal(Number number) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr;
  return {buffer.data(), end};
}

struct TextOf {
  std::string operator()(std::monostate) const { return {}; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return decimal(value); }
  std::string operator()(double value) const { return decimal(value); }
  std::string operator()(base::WallTime value) const { return decimal(value.ms); }
  std::string operator()(const std::string& value) const { return value; }
  std::string operator()(const broker::Binary& value) const { return value.bytes; }
};

// The record headers of one message; views into it, and into the texts made here.
class RecordHeaders {
 public:
  RecordHeaders(const HubMessage& message, std::string_view stream_name) {
    add("message-id", message.message_id);
    add("correlation-id", message.correlation_id);
    add("reply-to", message.reply_to);
    add("content-type", message.content_type);
    add("content-encoding", message.content_encoding);
    add("type", message.type);
    add("user-id", message.user_id);
    add("app-id", message.app_id);
    if (message.priority) add_text("priority", decimal(int{*message.priority}));
    if (message.time_to_live_ms) add_text("time-to-live-ms", decimal(*message.time_to_live_ms));
    if (!message.subject.empty() && message.subject != stream_name) {
      headers_.push_back({"subject", base::as_view(message.subject)});
    }
    for (const Header& header : message.headers) add(header);
  }
  std::span<const RecordHeader> view() const { return headers_; }

 private:
  void add(std::string_view name, const std::optional<std::string>& value) {
    if (value) headers_.push_back({name, base::as_view(*value)});
  }
  void add(const Header& header) {
    if (std::holds_alternative<std::monostate>(header.value)) {
      headers_.push_back({header.name, std::nullopt});
    } else if (const auto* text = std::get_if<std::string>(&header.value)) {
      headers_.push_back({header.name, base::as_view(*text)});
    } else {
      add_text(header.name, std::visit(TextOf{}, header.value));
    }
  }
  void add_text(std::string_view name, std::string text) {
    headers_.push_back({name, base::as_view(texts_.emplace_back(std::move(text)))});
  }

  std::deque<std::string> texts_;  // whose elements stay where they are
  std::vector<RecordHeader> headers_;
};

std::optional<base::View> view_of(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  return base::as_view(*text);
}

}  // namespace

void RecordBatchEncoding::place(base::MutView head, base::Offset base, base::Epoch epoch) const {
  place_batch(head, base.value, static_cast<int32_t>(epoch.value));
}

base::Result<> RecordBatchEncoding::to_hub(base::View batch, base::Offset base, const Visit& visit) const {
  auto header = read_batch_header(batch);
  if (!header) return base::fail(base::ErrorCode::kCorrupt, "a stored record batch has a bad header");
  if (header->is_control()) return {};
  header->base_offset = base.value;
  return for_each_record(*header, batch, record_bytes_max_, [&](const RecordView& record) {
    visit(base::Offset(record.offset), hub_message(record));
    return true;
  });
}

broker::Encoding::Built RecordBatchEncoding::from_hub(std::span<const HubMessage> messages, base::WallTime now) const {
  BatchBuilder builder;
  Built built{.bytes = {}, .max_ts = {-1}};
  for (const HubMessage& message : messages) {
    const base::WallTime time = message.timestamp.value_or(now);
    const RecordHeaders headers(message, {});
    builder.add(time.ms, view_of(message.key), view_of(message.body), headers.view());
    built.max_ts = std::max(built.max_ts, time);
  }
  built.bytes = builder.finish();
  return built;
}

void HubBatches::add(base::Offset offset, const HubMessage& message) {
  const base::Offset next = batch_base_ + base::OffsetCount(builder_.record_count());
  if (builder_.record_count() > 0 && offset != next) end_batch();
  if (builder_.record_count() == 0) batch_base_ = offset;
  const RecordHeaders headers(message, stream_name_);
  builder_.add(message.timestamp.value_or(append_ts_).ms, view_of(message.key), view_of(message.body), headers.view());
}

void HubBatches::end_batch() {
  std::vector<uint8_t> batch = builder_.finish();
  place_batch(batch, batch_base_.value, static_cast<int32_t>(epoch_.value));
  out_.insert(out_.end(), batch.begin(), batch.end());
}

std::vector<uint8_t> HubBatches::finish() {
  if (builder_.record_count() > 0) end_batch();
  return std::move(out_);
}

std::optional<TimedOffset> find_by_time(const broker::EncodingRegistry& encodings, const broker::ReadBatch& batch,
                                        int64_t timestamp_ms, base::Offset from) {
  std::optional<TimedOffset> found;
  const auto consider = [&](base::Offset offset, base::WallTime time) {
    if (!found && offset >= from && time.ms >= timestamp_ms) found = {offset, time};
  };
  if (batch.encoding != kEncodingTag) {
    const broker::Encoding* encoding = encodings.find(batch.encoding);
    if (encoding == nullptr) return std::nullopt;
    const auto walked = encoding->to_hub(batch.bytes.view(), batch.base_offset,
                                         [&](base::Offset offset, const broker::HubMessage& message) {
                                           consider(offset, message.timestamp.value_or(batch.append_ts));
                                         });
    return walked ? found : std::nullopt;
  }
  const auto header = read_batch_header(batch.bytes.view());
  if (!header) return std::nullopt;
  const auto walked =
      for_each_record(*header, batch.bytes.view(), limits::kDecompressedBytesMax, [&](const RecordView& record) {
        consider(base::Offset(record.offset), {record.timestamp_ms});
        return !found;
      });
  if (!walked) return std::nullopt;
  return found;
}

}  // namespace polylog::kafka
