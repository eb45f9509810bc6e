#include "server/cli/verbs/record_format.h"

#include <fmt/format.h>

#include "base/utf8.h"
#include "http/json/base64.h"
#include "server/cli/verbs/context.h"

namespace polylog::server {
namespace {

// A key's or value's bytes; none at all is the same as no bytes.
base::Result<std::string> bytes_of(const http::Json& json) {
  if (const http::Json* omitted = json.find("omitted_bytes")) {
    return base::fail(base::ErrorCode::kTooLarge,
                      fmt::format("a record of {} bytes is too large to be shown here: read it with a client of its "
                                  "protocol, or use --format json, which says so and goes on",
                                  omitted->plain()));
  }
  if (const http::Json* text = json.find("base64")) return http::decode_base64(text->plain()).value_or("");
  return json.plain();
}

}  // namespace

base::Result<RecordFormat> format_of(const Arguments& arguments, bool json) {
  const std::string format = arguments.text("--format").value_or(json ? "json" : "value");
  if (format == "value") return RecordFormat::kValue;
  if (format == "keyed") return RecordFormat::kKeyed;
  if (format == "json") return RecordFormat::kJson;
  return base::fail(base::ErrorCode::kInvalid, fmt::format("--format: '{}' is not value, keyed or json", format));
}

base::Result<std::string> line_of(const http::Json& record, RecordFormat format, bool for_terminal) {
  if (format == RecordFormat::kJson) return record.to_text() + '\n';
  const auto shown = [for_terminal](std::string bytes) { return for_terminal ? printable(bytes) : std::move(bytes); };
  TRY_ASSIGN(std::string value, bytes_of(at(record, "value")));
  if (format == RecordFormat::kValue) return shown(std::move(value)) + '\n';
  TRY_ASSIGN(std::string key, bytes_of(at(record, "key")));
  return shown(std::move(key)) + '\t' + shown(std::move(value)) + '\n';
}

void put_text_or_base64(http::JsonWriter& out, std::string_view bytes) {
  if (base::is_utf8(bytes)) {
    out.value(bytes);
  } else {
    out.begin_object().field("base64", http::encode_base64(bytes)).end_object();
  }
}

}  // namespace polylog::server
