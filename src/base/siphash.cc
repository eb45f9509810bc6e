#include "base/siphash.h"

#include <bit>
#include <cstring>

namespace polylog::base {
namespace {

static_assert(std::endian::native == std::endian::little);

uint64_t load(const uint8_t* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

struct State {
  uint64_t v0, v1, v2, v3;

  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  }
  void take(uint64_t word) {
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  }
  uint64_t fold() const { return v0 ^ v1 ^ v2 ^ v3; }
};

}  // namespace

SipHash128::SipHash128(const SipKey& key) : k0_(load(key.data())), k1_(load(key.data() + 8)) {}

Hash128 SipHash128::operator()(View bytes) const {
  State state{k0_ ^ 0x736f6d6570736575ull, k1_ ^ 0x646f72616e646f6dull ^ 0xee, k0_ ^ 0x6c7967656e657261ull,
              k1_ ^ 0x7465646279746573ull};
  const size_t whole = bytes.size() / 8 * 8;
  for (size_t at = 0; at < whole; at += 8) state.take(load(bytes.data() + at));
  uint64_t last = uint64_t{bytes.size()} << 56;
  if (bytes.size() > whole) std::memcpy(&last, bytes.data() + whole, bytes.size() - whole);
  state.take(last);
  state.v2 ^= 0xee;
  state.rounds(4);
  const uint64_t low = state.fold();
  state.v1 ^= 0xdd;
  state.rounds(4);
  return {low, state.fold()};
}

}  // namespace polylog::base
