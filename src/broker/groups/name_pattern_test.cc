#include "broker/groups/name_pattern.h"

#include <doctest/doctest.h>

#include <string>

namespace polylog::broker {
namespace {

TEST_CASE("a pattern is compared with the whole name") {
  const auto pattern = NamePattern::parse("orders-[0-9]+");
  REQUIRE(pattern);
  CHECK(pattern->matches("orders-17"));
  CHECK_FALSE(pattern->matches("my-orders-17"));
  CHECK_FALSE(pattern->matches("orders-17-old"));
  CHECK(NamePattern::parse("^a.*$")->matches("abc"));
  CHECK(NamePattern::parse("a|b")->matches("b"));
}

TEST_CASE("what is no expression, too long or too large is refused") {
  for (const char* text : {"(", "[a", "a{2,1}", "\\8", "(?=x)"}) CHECK_FALSE(NamePattern::parse(text));
  CHECK(NamePattern::parse(std::string(NamePattern::kTextBytesMax, 'a')));
  CHECK_FALSE(NamePattern::parse(std::string(NamePattern::kTextBytesMax + 1, 'a')));
  CHECK_FALSE(NamePattern::parse("((a{100}){100}){100}"));
}

}  // namespace
}  // namespace polylog::broker
