// Json: a JSON document as a plain value, and parse_json(), which reads one. Documents are small (a request's body, an
// answer of our own API): everything is copied, nothing is lazy.
// Whole numbers that fit are int64; all others are doubles. Not for: writing (json/writer.h), streams of documents.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace polylog::http {

inline constexpr size_t kJsonDepthMax = 64;  // arrays and objects within each other

class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;  // in order
  using Value = std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object>;

  Json() = default;
  explicit Json(Value value) : value_(std::move(value)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  // Null, or nothing, when it is something else.
  const std::string* text() const { return std::get_if<std::string>(&value_); }
  const Array* array() const { return std::get_if<Array>(&value_); }
  const Object* object() const { return std::get_if<Object>(&value_); }
  std::optional<bool> boolean() const;
  std::optional<int64_t> integer() const;
  std::optional<double> number() const;
  const Json* find(std::string_view name) const;  // the first member of that name; null: none, or not an object

  // For people and tables: text as it is, numbers and true/false in JSON's form, null empty, the rest as JSON.
  std::string plain() const;
  std::string to_text() const;  // as JSON, without spaces
  const Value& value() const { return value_; }

 private:
  Value value_;
};

// kMalformed, with a text that says what is wrong, kTooLarge: nested deeper than kJsonDepthMax.
base::Result<Json> parse_json(std::string_view text);

}  // namespace polylog::http
