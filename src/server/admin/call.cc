#include "server/admin/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace polylog::server {
namespace {

using base::ErrorCode;

struct WireError {
  int status;
  std::string_view code;
};

WireError wire_error(ErrorCode code) {
  switch (code) {
    case ErrorCode::kMalformed:
    case ErrorCode::kInvalid: return {400, "invalid"};
    case ErrorCode::kTooLarge: return {413, "too_large"};
    case ErrorCode::kNotFound: return {404, "not_found"};
    case ErrorCode::kExists: return {409, "exists"};
    case ErrorCode::kInUse:
    case ErrorCode::kLocked: return {409, "in_use"};
    case ErrorCode::kConflict:
    case ErrorCode::kFenced:
    case ErrorCode::kOutOfOrder:
    case ErrorCode::kDuplicate: return {409, "conflict"};
    case ErrorCode::kNotAllowed: return {403, "not_allowed"};
    case ErrorCode::kUnsupported: return {400, "unsupported"};
    case ErrorCode::kOutOfRange: return {400, "out_of_range"};
    case ErrorCode::kLimit: return {409, "limit"};
    case ErrorCode::kDiskFull: return {503, "disk_full"};
    case ErrorCode::kCorrupt: return {500, "corrupt"};
    case ErrorCode::kIo:
    case ErrorCode::kOverloaded:
    case ErrorCode::kStopping: return {503, "unavailable"};
    case ErrorCode::kTimeout: return {503, "timeout"};
  }
  return {500, "unknown"};
}

std::string_view kind_name(broker::StreamKind kind) { return kind == broker::StreamKind::kQueue ? "queue" : "stream"; }

}  // namespace

Response refuse(int status, std::string_view code, std::string_view message) {
  http::JsonWriter out;
  out.begin_object().key("error").begin_object();
  out.field("code", code).field("message", message).end_object().end_object();
  return json_response(out, status);
}

Response refuse(const base::Error& error) {
  const WireError wire = wire_error(error.code);
  return refuse(wire.status, wire.code, error.text.empty() ? base::name_of(error.code) : error.text);
}

Response json_response(http::JsonWriter& out, int status) {
  return {.status = status, .content_type = "application/json", .body = out.take() + '\n'};
}

base::Result<int64_t> number_of(std::string_view what, std::string_view text, NumberRange range) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < range.min || number > range.max) {
    return base::fail(ErrorCode::kInvalid,
                      fmt::format("{}: '{}' is not a whole number from {} to {}", what, text, range.min, range.max));
  }
  return number;
}

const std::string* Call::parameter(std::string_view name) const {
  const auto found = std::ranges::find(query, name, &http::QueryParameters::value_type::first);
  return found == query.end() ? nullptr : &found->second;
}

base::Result<int64_t> Call::number(std::string_view name, int64_t fallback, NumberRange range) const {
  const std::string* text = parameter(name);
  return text == nullptr ? fallback : number_of(name, *text, range);
}

base::Result<http::Json> Call::body(std::initializer_list<std::string_view> members) const {
  if (request.body.empty()) return http::Json(http::Json::Object{});
  TRY_ASSIGN(http::Json json, http::parse_json(request.body));
  if (json.object() == nullptr) return base::fail(ErrorCode::kInvalid, "the body is not a JSON object");
  for (const auto& [name, value] : *json.object()) {
    if (std::ranges::find(members, name) != members.end()) continue;
    return base::fail(ErrorCode::kInvalid,
                      fmt::format("the body has no member '{}'; it takes {}", name, fmt::join(members, ", ")));
  }
  return json;
}

base::Result<Record> Call::find(broker::StreamKind kind) {
  const Record record = broker().catalog().find(names[0]);
  if (record == nullptr) {
    return base::fail(ErrorCode::kNotFound, fmt::format("there is no {} '{}'", kind_name(kind), names[0]));
  }
  if (record->kind != kind) {
    return base::fail(ErrorCode::kNotFound,
                      fmt::format("'{0}' is a {1}; look under /v1/{1}s", names[0], kind_name(record->kind)));
  }
  return record;
}

base::Result<Page> page_of(const Call& call) {
  TRY_ASSIGN(const int64_t max, call.number("max", kPageItemsDefault, {1, kPageItemsMax}));
  const std::string* after = call.parameter("after");
  return Page{.after = after == nullptr ? std::string() : *after, .items_max = static_cast<size_t>(max)};
}

}  // namespace polylog::server
