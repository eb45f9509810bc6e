#include "base/siphash.h"

#include <doctest/doctest.h>

#include <vector>

namespace polylog::base {
namespace {

SipKey counting_key() {
  SipKey key;
  for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<uint8_t>(i);
  return key;
}

// The first published vectors: key 00 01 .. 0f, input of n bytes 00 01 ...
TEST_CASE("siphash_gives_the_published_vectors") {
  const SipHash128 hash(counting_key());
  const std::vector<uint8_t> input{0};
  CHECK(hash({}) == Hash128{0xe6a825ba047f81a3ull, 0x930255c71472f66dull});
  CHECK(hash(input) == Hash128{0x44af996bd8c187daull, 0x45fc229b11597634ull});
}

TEST_CASE("siphash_depends_on_every_byte_on_the_length_and_on_the_key") {
  const SipHash128 hash(counting_key());
  for (size_t size = 1; size < 40; ++size) {
    std::vector<uint8_t> bytes(size, 7);
    const Hash128 before = hash(bytes);
    for (uint8_t& byte : bytes) {
      byte ^= 0x80;
      CHECK(hash(bytes) != before);
      byte ^= 0x80;
    }
    CHECK(hash(View(bytes).first(size - 1)) != before);
    CHECK(SipHash128(SipKey{})(bytes) != before);
  }
}

}  // namespace
}  // namespace polylog::base
