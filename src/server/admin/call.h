// Call: one request to the admin API, as its handler sees it: what was asked, whom to ask, and how to say no. Handlers are
// coroutines; a Call lives until theirs has ended.
//
// Errors are JSON: {"error": {"code": "not_found", "message": "one line that says what to do"}}.
#pragma once

#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "http/json/value.h"
#include "http/json/writer.h"
#include "http/message.h"
#include "http/url.h"
#include "server/admin/admin.h"
#include "server/admin/engine.h"
#include "server/admin/task.h"

namespace polylog::server {

using http::Response;
using Record = broker::Catalog::Record;

Response refuse(int status, std::string_view code, std::string_view message);
Response refuse(const base::Error& error);
Response json_response(http::JsonWriter& out, int status = 200);

struct NumberRange {
  int64_t min = 0;
  int64_t max = std::numeric_limits<int64_t>::max();
};
// kInvalid, naming `what`, when the text is no number in the range.
base::Result<int64_t> number_of(std::string_view what, std::string_view text, NumberRange range);

struct Call {
  const AdminState& state;
  Engine& engine;
  http::Request request;
  std::vector<std::string> names = {};  // what stands for the {placeholders} of the route's path
  http::QueryParameters query = {};

  broker::Broker& broker() { return engine.broker(); }
  const std::string* parameter(std::string_view name) const;  // null: not given
  base::Result<int64_t> number(std::string_view name, int64_t fallback, NumberRange range) const;
  // The body as a JSON object that has no members but these; an empty body is an empty object.
  base::Result<http::Json> body(std::initializer_list<std::string_view> members) const;

  // The stream or queue that the path names first.
  base::Result<Record> find(broker::StreamKind kind);
};

// A part of a list in the order of names: what comes behind `after`, up to `max`.
inline constexpr int64_t kPageItemsDefault = 1000, kPageItemsMax = 10'000;
struct Page {
  std::string after;
  size_t items_max = kPageItemsDefault;
};
base::Result<Page> page_of(const Call& call);

}  // namespace polylog::server

// In a handler: the value, or the error as its answer.
#define ADMIN_TRY(declaration, expression)                                                                         \
  auto POLYLOG_CONCAT(admin_result_, __LINE__) = (expression);                                                     \
  if (!POLYLOG_CONCAT(admin_result_, __LINE__)) co_return refuse(POLYLOG_CONCAT(admin_result_, __LINE__).error()); \
  declaration = std::move(*POLYLOG_CONCAT(admin_result_, __LINE__))
