#include "http/json/writer.h"

#include <fmt/format.h>

#include <cmath>

#include "base/utf8.h"

namespace polylog::http {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// The short form of a character that may not stand in a string as it is; empty: there is none.
std::string_view short_escape(char c) {
  switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\b': return "\\b";
    case '\f': return "\\f";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default: return {};
  }
}

struct Put {
  JsonWriter& out;
  void operator()(std::monostate) const { out.value(nullptr); }
  void operator()(bool value) const { out.value(value); }
  void operator()(int64_t value) const { out.value(value); }
  void operator()(double value) const { out.value(value); }
  void operator()(const std::string& value) const { out.value(value); }
  void operator()(const Json::Array& items) const {
    out.begin_array();
    for (const Json& item : items) out.value(item);
    out.end_array();
  }
  void operator()(const Json::Object& members) const {
    out.begin_object();
    for (const auto& [name, member] : members) out.field(name, member);
    out.end_object();
  }
};

}  // namespace

void JsonWriter::separate() {
  if (!out_.empty() && out_.back() != '{' && out_.back() != '[' && out_.back() != ':') out_ += ',';
}

JsonWriter& JsonWriter::open(char bracket) {
  separate();
  out_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::close(char bracket) {
  out_ += bracket;
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view text) {
  separate();
  out_ += text;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  separate();
  quote(name);
  out_ += ':';
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  separate();
  quote(text);
  return *this;
}

JsonWriter& JsonWriter::value(double number) {
  if (!std::isfinite(number)) return value(nullptr);
  std::string text = fmt::format("{}", number);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";  // it reads back as a double
  return raw(text);
}

JsonWriter& JsonWriter::value(const Json& json) {
  std::visit(Put{*this}, json.value());
  return *this;
}

void JsonWriter::quote(std::string_view text) {
  out_ += '"';
  while (!text.empty()) {
    const size_t bytes = base::utf8_char_bytes(text);
    const std::string_view escape = short_escape(text[0]);
    if (bytes == 0) {
      out_ += kReplacement;
    } else if (!escape.empty()) {
      out_ += escape;
    } else if (bytes == 1 && static_cast<unsigned char>(text[0]) < 0x20) {
      out_ += fmt::format("\\u{:04x}", static_cast<unsigned>(text[0]));
    } else {
      out_ += text.substr(0, bytes);
    }
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  out_ += '"';
}

}  // namespace polylog::http
