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

// Takes as many steps as it has letters.
std::string letters(size_t count) {
  std::string text;
  for (; count >= 1'000; count -= 1'000) text += "a{1000}";
  return count == 0 ? text : text + "a{" + std::to_string(count) + "}";
}

size_t most_letters(size_t compiled_bytes) {
  size_t count = 100;
  for (size_t step = 65'536; step > 0; step /= 2) {
    const auto pattern = NamePattern::parse(letters(count + step));
    if (pattern && pattern->compiled_bytes() <= compiled_bytes) count += step;
  }
  return count;
}

TEST_CASE("most patterns take little memory, long ones more, and past a limit they are refused") {
  CHECK(NamePattern::parse("(orders|payments)-[a-z0-9.]+-v[0-9]{1,3}")->compiled_bytes() ==
        NamePattern::kCompiledBytesLittle);
  const size_t little = most_letters(NamePattern::kCompiledBytesLittle);
  CHECK(little > 500);
  CHECK(NamePattern::parse(letters(little))->compiled_bytes() == NamePattern::kCompiledBytesLittle);
  CHECK(NamePattern::parse(letters(little + 1))->compiled_bytes() == NamePattern::kCompiledBytesMax);
  const size_t most = most_letters(NamePattern::kCompiledBytesMax);
  CHECK(most > NamePattern::kTextBytesMax);
  CHECK(NamePattern::parse(letters(most)));
  CHECK_FALSE(NamePattern::parse(letters(most + 1)));
}

}  // namespace
}  // namespace polylog::broker
