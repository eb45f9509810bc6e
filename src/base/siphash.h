// SipHash-2-4 with 128 bits of output: a keyed hash whose collisions nobody can find who does not know the key.
// Not for: checksums (crc32c.h), passwords.
#pragma once

#include <array>
#include <compare>
#include <cstdint>

#include "base/bytes.h"

namespace polylog::base {

struct Hash128 {
  uint64_t low = 0, high = 0;
  friend constexpr auto operator<=>(const Hash128&, const Hash128&) = default;
};

using SipKey = std::array<uint8_t, 16>;

class SipHash128 {
 public:
  explicit SipHash128(const SipKey& key);
  Hash128 operator()(View bytes) const;

 private:
  uint64_t k0_, k1_;
};

}  // namespace polylog::base
