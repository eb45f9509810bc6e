#include "server/admin/resources/message_json.h"

#include <doctest/doctest.h>

namespace polylog::server {
namespace {

std::string json_of(const broker::HubMessage& message) {
  http::JsonWriter out;
  put_message(out, base::Offset(7), message, base::WallTime{5});
  return out.take();
}

base::Result<broker::HubMessage> read(std::string_view text) { return message_of(*http::parse_json(text)); }

TEST_CASE("message json: text is text, other bytes are base64, nothing is null") {
  CHECK(json_of({.body = "grün", .key = "\xFF"}) ==
        R"({"offset":7,"timestamp_ms":5,"key":{"base64":"/w=="},"value":"grün","headers":[],"properties":{}})");
  CHECK(json_of({.timestamp = base::WallTime{9}}) ==
        R"({"offset":7,"timestamp_ms":9,"key":null,"value":null,"headers":[],"properties":{}})");
}

TEST_CASE("message json: bytes up to the limit are shown, and of more only how many") {
  CHECK(json_of({.body = std::string(kShownBytesMax, 'x')}).find("omitted_bytes") == std::string::npos);
  const std::string past = json_of({.body = std::string(kShownBytesMax + 1, 'x'), .key = "k"});
  CHECK(past == R"({"offset":7,"timestamp_ms":5,"key":"k","value":{"omitted_bytes":16777217},"headers":[],)"
                R"("properties":{}})");
}

TEST_CASE("message json: headers keep their order, names and types; properties are there when set") {
  broker::HubMessage message{.body = ""};
  message.headers = {{"a", true},
                     {"a", int64_t{-1}},
                     {"b", 0.5},
                     {"c", base::WallTime{3}},
                     {"d", std::string("t")},
                     {"e", broker::Binary{"\x01"}},
                     {"f", std::monostate{}}};
  message.subject = "s";
  message.priority = 3;
  message.content_type = "text/plain";
  CHECK(json_of(message) ==
        R"({"offset":7,"timestamp_ms":5,"key":null,"value":"","headers":[{"name":"a","value":true},)"
        R"({"name":"a","value":-1},{"name":"b","value":0.5},{"name":"c","value":{"time_ms":3}},)"
        R"({"name":"d","value":"t"},{"name":"e","value":{"base64":"AQ=="}},{"name":"f","value":null}],)"
        R"("properties":{"subject":"s","priority":3,"content_type":"text/plain"}})");
}

TEST_CASE("message json: what a client sends becomes the message it says") {
  const auto message = read(R"({"key":{"base64":"/w=="},"value":null,"timestamp_ms":9,"headers":[{"name":"a","value":1},
      {"name":"b","value":{"time_ms":3}},{"name":"c","value":{"base64":"AQ=="}},{"name":"d"},{"name":"e","value":"x"},
      {"name":"f","value":false},{"name":"g","value":1.5}]})");
  REQUIRE(message);
  CHECK(message->key == "\xFF");
  CHECK_FALSE(message->body);
  CHECK(message->timestamp == base::WallTime{9});
  REQUIRE(message->headers.size() == 7);
  CHECK(std::get<int64_t>(message->headers[0].value) == 1);
  CHECK(std::get<base::WallTime>(message->headers[1].value) == base::WallTime{3});
  CHECK(std::get<broker::Binary>(message->headers[2].value).bytes == "\x01");
  CHECK(std::holds_alternative<std::monostate>(message->headers[3].value));
  CHECK(std::get<std::string>(message->headers[4].value) == "x");
  CHECK(std::get<bool>(message->headers[5].value) == false);
  CHECK(std::get<double>(message->headers[6].value) == 1.5);
  CHECK(read("{}")->body == std::nullopt);
}

TEST_CASE("message json: what is no message is refused, and the error names the member") {
  for (const auto& [text, member] : {std::pair{R"({"key":1})", "key"},
                                     {R"({"value":["x"]})", "value"},
                                     {R"({"value":{"base64":"x"}})", "value"},
                                     {R"({"value":{"base64":1}})", "value"},
                                     {R"({"value":{"base64":"AQ==","x":1}})", "value"},
                                     {R"({"headers":{}})", "headers"},
                                     {R"({"headers":[{"value":1}]})", "headers"},
                                     {R"({"headers":[{"name":"a","value":[]}]})", "headers"},
                                     {R"({"headers":[1]})", "headers"},
                                     {R"({"timestamp_ms":-1})", "timestamp_ms"},
                                     {R"({"timestamp_ms":"1"})", "timestamp_ms"},
                                     {R"({"offset":1})", "offset"},
                                     {R"([])", "records"}}) {
    CAPTURE(text);
    const auto message = read(text);
    REQUIRE_FALSE(message);
    CHECK(message.error().code == base::ErrorCode::kInvalid);
    CHECK(message.error().text.starts_with(member));
  }
}

}  // namespace
}  // namespace polylog::server
