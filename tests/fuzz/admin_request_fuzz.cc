// Any bytes as what the admin API reads: a target, and a JSON body. What is read as a document is written and read again
// the same; what is read as a message becomes a batch that reads back.
#include <algorithm>

#include "base/check.h"
#include "http/json/value.h"
#include "http/url.h"
#include "protocol/kafka/mapping.h"
#include "server/admin/resources/message_json.h"

namespace polylog::server {
namespace {

void check_target(std::string_view text) {
  const size_t mark = std::min(text.find('?'), text.size());
  const auto segments = http::path_segments(text.substr(0, mark));
  if (segments) {
    for (const std::string& segment : *segments) {
      CHECK(http::percent_decode(http::percent_encode(segment)) == segment, "a segment survives being encoded");
    }
  }
  if (mark < text.size()) (void)http::query_parameters(text.substr(mark + 1));
}

void check_message(const http::Json& json) {
  const auto message = message_of(json);
  if (!message) return;
  const kafka::RecordBatchEncoding encoding;
  const auto built = encoding.from_hub({&*message, 1}, base::WallTime{1});
  size_t count = 0;
  const auto visited = encoding.to_hub(built.bytes, base::Offset(0), [&](base::Offset offset, broker::HubMessage back) {
    CHECK(back.body == message->body && back.key == message->key, "a message survives its batch");
    http::JsonWriter out;
    put_message(out, offset, back, base::WallTime{1});
    CHECK(http::parse_json(out.take()), "what is written is JSON");
    ++count;
  });
  CHECK(visited && count == 1, "a batch of one message");
}

void check_body(std::string_view text) {
  const auto json = http::parse_json(text);
  if (!json) return;
  const std::string written = json->to_text();
  const auto again = http::parse_json(written);
  CHECK(again && again->to_text() == written, "a document is read and written the same");
  check_message(*json);
}

}  // namespace
}  // namespace polylog::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  polylog::server::check_target(text);
  polylog::server::check_body(text);
  return 0;
}
