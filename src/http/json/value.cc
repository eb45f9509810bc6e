#include "http/json/value.h"

#include "http/json/writer.h"

namespace polylog::http {

std::optional<bool> Json::boolean() const {
  const bool* value = std::get_if<bool>(&value_);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<int64_t> Json::integer() const {
  const int64_t* value = std::get_if<int64_t>(&value_);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<double> Json::number() const {
  if (const auto whole = integer()) return static_cast<double>(*whole);
  const double* value = std::get_if<double>(&value_);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

const Json* Json::find(std::string_view name) const {
  if (const Object* members = object()) {
    for (const auto& [key, value] : *members) {
      if (key == name) return &value;
    }
  }
  return nullptr;
}

std::string Json::plain() const {
  if (const std::string* whole = text()) return *whole;
  return is_null() ? std::string() : to_text();
}

std::string Json::to_text() const {
  JsonWriter out;
  out.value(*this);
  return out.take();
}

}  // namespace polylog::http
