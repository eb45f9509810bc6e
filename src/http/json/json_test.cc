#include <doctest/doctest.h>

#include <limits>

#include "base/utf8.h"
#include "http/json/base64.h"
#include "http/json/value.h"
#include "http/json/writer.h"

namespace polylog::http {
namespace {

std::string quoted(std::string_view text) { return JsonWriter().value(text).take(); }

std::string nested(size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST_CASE("json: what is written is escaped, and reads back the same") {
  CHECK(quoted("plain") == "\"plain\"");
  CHECK(quoted("a\"b\\c/d") == R"("a\"b\\c/d")");
  CHECK(quoted("\b\f\n\r\t") == R"("\b\f\n\r\t")");
  CHECK(quoted(std::string_view("\0\x01\x1f\x7f", 4)) == "\"\\u0000\\u0001\\u001f\x7f\"");
  CHECK(quoted("grün \xF0\x9F\x98\x80") == "\"grün \xF0\x9F\x98\x80\"");
  std::string every_char;
  for (int c = 0; c < 128; ++c) every_char += static_cast<char>(c);
  const auto back = parse_json(quoted(every_char));
  REQUIRE(back);
  CHECK(*back->text() == every_char);
}

TEST_CASE("json: bytes that are no text become replacement characters, so that it stays JSON") {
  CHECK(quoted("a\xFF"
               "b") ==
        "\"a\xEF\xBF\xBD"
        "b\"");
  CHECK(quoted("\xC3") == "\"\xEF\xBF\xBD\"");
  CHECK(quoted("\xED\xA0\x80") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST_CASE("json: numbers, nesting and commas") {
  JsonWriter out;
  out.begin_object().field("a", 1).key("b").begin_array().value(-2).value(0.5).value(true).value(nullptr);
  out.begin_object().end_object().begin_array().end_array().end_array();
  out.field("c", std::optional<int>()).field("d", std::numeric_limits<double>::infinity()).end_object();
  CHECK(out.take() == R"({"a":1,"b":[-2,0.5,true,null,{},[]],"c":null,"d":null})");
  CHECK(JsonWriter().value(std::numeric_limits<int64_t>::min()).take() == "-9223372036854775808");
  CHECK(JsonWriter().value(1e300).take() == "1e+300");
  CHECK(JsonWriter().value(-0.0).take() == "-0.0");
  CHECK(JsonWriter().value(7.0).take() == "7.0");
}

TEST_CASE("json: a document is read as what it is, and written back the same") {
  const std::string text =
      R"({"name":"x","n":-7,"big":9223372036854775807,"f":1.5,"t":true,"z":null,"l":[1,{"k":[]}]})";
  const auto json = parse_json(text);
  REQUIRE(json);
  CHECK(*json->find("name")->text() == "x");
  CHECK(json->find("n")->integer() == -7);
  CHECK(json->find("big")->integer() == std::numeric_limits<int64_t>::max());
  CHECK(json->find("f")->number() == 1.5);
  CHECK_FALSE(json->find("f")->integer());
  CHECK(json->find("t")->boolean() == true);
  CHECK(json->find("z")->is_null());
  CHECK(json->find("l")->array()->size() == 2);
  CHECK(json->find("nope") == nullptr);
  CHECK(json->find("l")->find("k") == nullptr);
  CHECK(json->to_text() == text);
  CHECK(json->find("name")->plain() == "x");
  CHECK(json->find("z")->plain().empty());
}

TEST_CASE("json: what is not JSON is refused") {
  for (std::string_view text : {"", " ", "{", "}", "[1,]", "{\"a\":}", "{a:1}", "nul", "01", "1 2", "\"\\x\"",
                                "\"\xFF\"", "\"\n\"", "{\"a\":1,}", "'a'", "NaN"}) {
    CAPTURE(text);
    const auto json = parse_json(text);
    REQUIRE_FALSE(json);
    CHECK(json.error().code == base::ErrorCode::kMalformed);
    CHECK_FALSE(json.error().text.empty());
  }
}

TEST_CASE("json: 64 levels pass, one more does not") {
  CHECK(parse_json(nested(kJsonDepthMax)));
  const auto past = parse_json(nested(kJsonDepthMax + 1));
  REQUIRE_FALSE(past);
  CHECK(past.error().code == base::ErrorCode::kTooLarge);
  CHECK_FALSE(parse_json(std::string(100'000, '[')));
}

TEST_CASE("base64: the vectors of RFC 4648, and what is no base64") {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"},
                                                         {"\xFB\xFF\xFE", "+//+"}};
  for (const auto& [bytes, text] : vectors) {
    CHECK(encode_base64(bytes) == text);
    CHECK(decode_base64(text) == bytes);
  }
  for (const char* bad : {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "=", "====", "Z===", "Zm=v", "Zm9v\n", "Zm-v"}) {
    CAPTURE(bad);
    CHECK_FALSE(decode_base64(bad));
  }
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  CHECK(decode_base64(encode_base64(all)) == all);
}

TEST_CASE("utf8: well-formed text is told from other bytes") {
  for (const char* good : {"", "plain", "grün", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xF4\x8F\xBF\xBF"}) {
    CHECK(base::is_utf8(good));
  }
  for (const char* bad : {"\x80", "\xC0\x80", "\xC3", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                          "\xF5\x80\x80\x80", "\xE2\x82", "a\xFF"}) {
    CHECK_FALSE(base::is_utf8(bad));
  }
}

}  // namespace
}  // namespace polylog::http
