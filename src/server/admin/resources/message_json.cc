#include "server/admin/resources/message_json.h"

#include <algorithm>
#include <string_view>

#include "base/utf8.h"
#include "http/json/base64.h"

namespace polylog::server {
namespace {

using base::ErrorCode;
using broker::HeaderValue;
using broker::HubMessage;
using http::Json;
using http::JsonWriter;

constexpr std::string_view kBase64 = "base64";
constexpr std::string_view kTime = "time_ms";

void put_base64(JsonWriter& out, std::string_view bytes) {
  out.begin_object();
  if (bytes.size() > kShownBytesMax) {
    out.field("omitted_bytes", bytes.size());
  } else {
    out.field(kBase64, http::encode_base64(bytes));
  }
  out.end_object();
}

void put_bytes(JsonWriter& out, std::string_view bytes) {
  if (bytes.size() > kShownBytesMax || !base::is_utf8(bytes)) return put_base64(out, bytes);
  out.value(bytes);
}

void put_maybe(JsonWriter& out, const std::optional<std::string>& bytes) {
  if (bytes) return put_bytes(out, *bytes);
  out.value(nullptr);
}

struct PutHeader {
  JsonWriter& out;
  void operator()(std::monostate) const { out.value(nullptr); }
  void operator()(bool value) const { out.value(value); }
  void operator()(int64_t value) const { out.value(value); }
  void operator()(double value) const { out.value(value); }
  void operator()(base::WallTime value) const { out.begin_object().field(kTime, value.ms).end_object(); }
  void operator()(const std::string& value) const { put_bytes(out, value); }
  void operator()(const broker::Binary& value) const { put_base64(out, value.bytes); }
};

template <typename T>
void put_if(JsonWriter& out, std::string_view name, const std::optional<T>& value) {
  if (value) out.field(name, *value);
}

void put_properties(JsonWriter& out, const HubMessage& message) {
  out.key("properties").begin_object();
  if (!message.subject.empty()) out.field("subject", message.subject);
  put_if(out, "priority", message.priority);
  put_if(out, "durable", message.durable);
  put_if(out, "time_to_live_ms", message.time_to_live_ms);
  put_if(out, "message_id", message.message_id);
  put_if(out, "correlation_id", message.correlation_id);
  put_if(out, "reply_to", message.reply_to);
  put_if(out, "content_type", message.content_type);
  put_if(out, "content_encoding", message.content_encoding);
  put_if(out, "type", message.type);
  put_if(out, "user_id", message.user_id);
  put_if(out, "app_id", message.app_id);
  out.end_object();
}

std::unexpected<base::Error> wrong(std::string_view member, std::string_view wanted) {
  return base::fail(ErrorCode::kInvalid, std::string(member) + ": " + std::string(wanted));
}

// The one member of an object that has no other; null: something else.
const Json* only_member(const Json& json, std::string_view name) {
  return json.object() != nullptr && json.object()->size() == 1 ? json.find(name) : nullptr;
}

base::Result<std::string> base64_of(const Json& text, std::string_view member) {
  auto bytes = text.text() == nullptr ? std::nullopt : http::decode_base64(*text.text());
  if (!bytes) return wrong(member, "this is not base64");
  return std::move(*bytes);
}

base::Result<std::optional<std::string>> bytes_of(const Json* json, std::string_view member) {
  if (json == nullptr || json->is_null()) return std::nullopt;
  if (json->text() != nullptr) return *json->text();
  if (const Json* text = only_member(*json, kBase64)) return base64_of(*text, member);
  return wrong(member, R"(text, {"base64": "..."} or null)");
}

base::Result<HeaderValue> header_value_of(const Json* json) {
  if (json == nullptr || json->is_null()) return std::monostate{};
  if (json->text() != nullptr) return *json->text();
  if (const auto flag = json->boolean()) return *flag;
  if (const auto whole = json->integer()) return *whole;
  if (const auto number = json->number()) return *number;
  if (const Json* time = only_member(*json, kTime); time != nullptr && time->integer()) {
    return base::WallTime{*time->integer()};
  }
  if (const Json* text = only_member(*json, kBase64)) {
    TRY_ASSIGN(std::string bytes, base64_of(*text, "headers"));
    return broker::Binary{std::move(bytes)};
  }
  return wrong("headers", R"(a value is text, a number, true, false, null, {"time_ms": N} or {"base64": "..."})");
}

base::Result<std::vector<broker::Header>> headers_of(const Json* json) {
  std::vector<broker::Header> headers;
  if (json == nullptr) return headers;
  if (json->array() == nullptr) return wrong("headers", R"(an array of {"name": ..., "value": ...})");
  for (const Json& header : *json->array()) {
    const Json* name = header.find("name");
    if (name == nullptr || name->text() == nullptr) return wrong("headers", "each has a name");
    TRY_ASSIGN(HeaderValue value, header_value_of(header.find("value")));
    headers.push_back({*name->text(), std::move(value)});
  }
  return headers;
}

base::Result<> check_members(const Json& json) {
  constexpr std::string_view kMembers[] = {"key", "value", "headers", "timestamp_ms"};
  if (json.object() == nullptr) return wrong("records", "each is an object");
  for (const auto& [name, value] : *json.object()) {
    if (std::ranges::find(kMembers, name) == std::end(kMembers)) {
      return wrong(name, "a record has key, value, headers and timestamp_ms");
    }
  }
  return {};
}

}  // namespace

void put_message(JsonWriter& out, base::Offset offset, const HubMessage& message, base::WallTime appended) {
  out.begin_object().field("offset", offset.value).field("timestamp_ms", message.timestamp.value_or(appended).ms);
  out.key("key");
  put_maybe(out, message.key);
  out.key("value");
  put_maybe(out, message.body);
  out.key("headers").begin_array();
  for (const broker::Header& header : message.headers) {
    out.begin_object().field("name", header.name).key("value");
    std::visit(PutHeader{out}, header.value);
    out.end_object();
  }
  out.end_array();
  put_properties(out, message);
  out.end_object();
}

base::Result<HubMessage> message_of(const Json& json) {
  TRY(check_members(json));
  HubMessage message;
  TRY_ASSIGN(message.key, bytes_of(json.find("key"), "key"));
  TRY_ASSIGN(message.body, bytes_of(json.find("value"), "value"));
  TRY_ASSIGN(message.headers, headers_of(json.find("headers")));
  if (const Json* time = json.find("timestamp_ms"); time != nullptr && !time->is_null()) {
    if (!time->integer() || *time->integer() < 0) return wrong("timestamp_ms", "a whole number, ms since 1970");
    message.timestamp = base::WallTime{*time->integer()};
  }
  return message;
}

}  // namespace polylog::server
