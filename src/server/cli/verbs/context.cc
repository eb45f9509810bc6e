#include "server/cli/verbs/context.h"

namespace polylog::server {

std::string shown(const http::Json& value) {
  if (value.is_null()) return "-";
  if (const auto flag = value.boolean()) return *flag ? "yes" : "no";
  return value.plain();
}

const http::Json::Array& items(const http::Json& json, std::string_view name) {
  static const http::Json::Array kNone;
  const http::Json::Array* array = at(json, name).array();
  return array == nullptr ? kNone : *array;
}

base::Result<http::Json> get_all(Context& context, std::string path, std::string_view list) {
  http::Json::Array all;
  std::string query;
  while (true) {
    TRY_ASSIGN(const http::Json page, context.client.get(path, query));
    const http::Json::Array& more = items(page, list);
    all.insert(all.end(), more.begin(), more.end());
    const http::Json& next = at(page, "next");
    if (next.is_null()) break;
    query = "after=" + http::percent_encode(next.plain());
  }
  return http::Json(http::Json::Object{{std::string(list), http::Json(std::move(all))}});
}

void print_json(const http::Json& json) { print(json.to_text() + '\n'); }

}  // namespace polylog::server
