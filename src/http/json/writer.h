// JsonWriter: JSON text, written front to back, without spaces.
//
//   JsonWriter out;
//   out.begin_object().field("name", name).key("sizes").begin_array().value(1).value(2).end_array().end_object();
//
// Text that is not UTF-8 comes out with U+FFFD for each byte that belongs to no character, so that the result always is
// JSON: where bytes count, send base64. A double that JSON does not have (NaN, infinity) becomes null.
// The caller balances begin and end, and gives each member of an object a key.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/json/value.h"

namespace polylog::http {

class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool flag) { return raw(flag ? "true" : "false"); }
  JsonWriter& value(double number);
  JsonWriter& value(std::nullptr_t) { return raw("null"); }
  JsonWriter& value(const Json& json);
  template <std::integral Int>
  JsonWriter& value(Int number) {
    return raw(std::to_string(number));
  }
  template <typename T>
  JsonWriter& value(const std::optional<T>& maybe) {
    return maybe ? value(*maybe) : value(nullptr);
  }
  template <typename T>
  JsonWriter& field(std::string_view name, const T& member) {
    return key(name).value(member);
  }

  size_t size_bytes() const { return out_.size(); }
  std::string take() { return std::move(out_); }

 private:
  void separate();  // a comma, where one belongs
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  JsonWriter& raw(std::string_view text);
  void quote(std::string_view text);

  std::string out_;
};

}  // namespace polylog::http
