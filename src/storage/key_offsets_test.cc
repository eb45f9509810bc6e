#include "storage/key_offsets.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

namespace polylog::storage {
namespace {

base::View key(const std::string& text) { return base::as_view(text); }

TEST_CASE("the_last_offset_of_a_key_is_found_and_an_unknown_key_is_not") {
  KeyOffsets keys(24 * 1024, 1000, {});
  CHECK(keys.put(key("a"), Offset(0)));
  CHECK(keys.put(key("b"), Offset(5)));
  CHECK(keys.put(key("a"), Offset(7)));
  CHECK(keys.put(key("b"), Offset(3)));  // the greater one stays
  CHECK(keys.put(key(""), Offset(9)));   // an empty key is a key
  CHECK(keys.find(key("a")) == Offset(7));
  CHECK(keys.find(key("b")) == Offset(5));
  CHECK(keys.find(key("")) == Offset(9));
  CHECK(!keys.find(key("c")));
  CHECK(keys.size() == 3);
}

TEST_CASE("a_full_table_takes_known_keys_and_refuses_one_key_more") {
  constexpr size_t kBytes = 24 * 400;
  KeyOffsets keys(kBytes, 1'000'000, {});
  CHECK(keys.memory_bytes() <= kBytes);
  CHECK(keys.keys_max() == 300);
  for (int i = 0; i < 300; ++i) REQUIRE(keys.put(key(std::to_string(i)), Offset(i)));
  CHECK(!keys.put(key("one more"), Offset(300)));
  CHECK(!keys.find(key("one more")));
  CHECK(keys.put(key("17"), Offset(301)));
  for (int i = 0; i < 300; ++i) CHECK(keys.find(key(std::to_string(i))) == Offset(i == 17 ? 301 : i));
}

TEST_CASE("few_keys_take_little_memory_and_all_of_them_fit") {
  for (size_t expected = 0; expected < 50; ++expected) {
    KeyOffsets keys(1 << 20, expected, {});
    CHECK(keys.memory_bytes() <= KeyOffsets::kSlotBytes * (expected * 4 / 3 + 8));
    for (size_t i = 0; i < expected; ++i) REQUIRE(keys.put(key(std::to_string(i)), Offset(0)));
  }
}

TEST_CASE("each_key_belongs_to_one_part_and_parts_are_about_as_large") {
  constexpr int kKeys = 3'000;
  constexpr size_t kParts = 3;
  size_t kept = 0;
  std::vector<bool> is_found(kKeys);
  for (size_t index = 0; index < kParts; ++index) {
    KeyOffsets keys(1 << 20, kKeys, {}, KeyPart{.index = index, .count = kParts});
    for (int i = 0; i < kKeys; ++i) REQUIRE(keys.put(key(std::to_string(i)), Offset(i)));
    CHECK(keys.size() > kKeys / kParts * 9 / 10);
    CHECK(keys.size() < kKeys / kParts * 11 / 10);
    kept += keys.size();
    for (int i = 0; i < kKeys; ++i)
      if (keys.find(key(std::to_string(i)))) is_found[i] = true;
  }
  CHECK(kept == kKeys);
  CHECK(std::ranges::all_of(is_found, std::identity()));
}

}  // namespace
}  // namespace polylog::storage
