#include "base/log.h"

#include <doctest/doctest.h>

namespace polylog::base {
namespace {

std::string text(std::string_view message, LogFields fields) {
  return log_line(LogFormat::kText, "T", LogLevel::kWarn, "part", message, fields);
}
std::string json(std::string_view message, LogFields fields) {
  return log_line(LogFormat::kJson, "T", LogLevel::kError, "part", message, fields);
}

TEST_CASE("a text line is time, level, component, message and fields") {
  CHECK(text("it failed", {{"peer", "1.2.3.4:5"}, {"count", 3}}) == "T warn part: it failed peer=1.2.3.4:5 count=3");
}

TEST_CASE("a value that could not be told from what is around it is quoted") {
  CHECK(text("m", {{"a", ""}, {"b", "two words"}, {"c", "x=y"}, {"d", "\"\\"}}) ==
        R"(T warn part: m a="" b="two words" c="x=y" d="\"\\")");
}

TEST_CASE("no peer can forge a line: control bytes are escaped") {
  CHECK(text("m\n", {{"a", "x\ny"}}) == R"(T warn part: m\u000a a="x\u000ay")");
  CHECK(json("m\r", {{"a", "x\ty"}}) ==
        R"({"time":"T","level":"error","component":"part","message":"m\u000d","a":"x\u0009y"})");
}

TEST_CASE("a json line has numbers as numbers, and only valid UTF-8") {
  CHECK(json("gr\xC3\xBCn", {{"n", -7}, {"bad", "a\xFF\xC3"}}) ==
        "{\"time\":\"T\",\"level\":\"error\",\"component\":\"part\",\"message\":\"gr\xC3\xBCn\",\"n\":-7,"
        "\"bad\":\"a\\ufffd\\ufffd\"}");
}

TEST_CASE("levels below the least are off") {
  configure_log(LogLevel::kError, LogFormat::kText);
  CHECK(!log_enabled(LogLevel::kWarn));
  CHECK(log_enabled(LogLevel::kError));
  configure_log(LogLevel::kInfo, LogFormat::kText);
  CHECK(!log_enabled(LogLevel::kDebug));
  CHECK(log_enabled(LogLevel::kInfo));
}

}  // namespace
}  // namespace polylog::base
