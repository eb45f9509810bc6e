// parse_json() over simdjson, which is seen here only.
#include <simdjson.h>

#include "http/json/value.h"

namespace polylog::http {
namespace {

namespace dom = simdjson::dom;

Json convert(dom::element element);

Json convert_array(dom::array array) {
  Json::Array items;
  for (const dom::element item : array) items.push_back(convert(item));
  return Json(std::move(items));
}

Json convert_object(dom::object object) {
  Json::Object members;
  for (const auto field : object) members.emplace_back(std::string(field.key), convert(field.value));
  return Json(std::move(members));
}

// The depth is bounded by the parser. Each get follows the element's own type: none can fail.
Json convert(dom::element element) {
  switch (element.type()) {
    case dom::element_type::ARRAY: return convert_array(element.get_array().value_unsafe());
    case dom::element_type::OBJECT: return convert_object(element.get_object().value_unsafe());
    case dom::element_type::INT64: return Json(element.get_int64().value_unsafe());
    case dom::element_type::UINT64: return Json(static_cast<double>(element.get_uint64().value_unsafe()));
    case dom::element_type::DOUBLE: return Json(element.get_double().value_unsafe());
    case dom::element_type::STRING: return Json(std::string(element.get_string().value_unsafe()));
    case dom::element_type::BOOL: return Json(element.get_bool().value_unsafe());
    case dom::element_type::NULL_VALUE: return Json();
  }
  return {};
}

}  // namespace

base::Result<Json> parse_json(std::string_view text) {
  dom::parser parser;
  if (parser.allocate(text.size() + 1, kJsonDepthMax) != simdjson::SUCCESS) {
    return base::fail(base::ErrorCode::kTooLarge, "the JSON document is too large");
  }
  dom::element root;
  // An empty text may have no address at all, which the library hands to memcpy().
  const simdjson::error_code error = text.empty() ? simdjson::EMPTY : parser.parse(text.data(), text.size()).get(root);
  if (error == simdjson::DEPTH_ERROR) {
    return base::fail(base::ErrorCode::kTooLarge,
                      "the JSON document is nested deeper than " + std::to_string(kJsonDepthMax) + " levels");
  }
  if (error != simdjson::SUCCESS) {
    return base::fail(base::ErrorCode::kMalformed, std::string("not valid JSON: ") + simdjson::error_message(error));
  }
  return convert(root);
}

}  // namespace polylog::http
