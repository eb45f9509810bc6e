#include "base/crc32c.h"

#include <isa-l/crc.h>
#include <nmmintrin.h>

namespace polylog::base {
namespace {

constexpr size_t kShortBytesMax = 256;  // measured: below this the call into ISA-L costs more than the loop

__attribute__((target("sse4.2"))) uint32_t crc_short(const uint8_t* data, size_t size, uint32_t state) {
  uint64_t wide = state;
  for (; size >= 8; size -= 8, data += 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  auto narrow = static_cast<uint32_t>(wide);
  for (; size > 0; --size, ++data) narrow = _mm_crc32_u8(narrow, *data);
  return narrow;
}

}  // namespace

uint32_t crc32c(View bytes, uint32_t crc) {
  if (bytes.size() <= kShortBytesMax) return ~crc_short(bytes.data(), bytes.size(), ~crc);
  uint32_t state = ~crc;
  const uint8_t* data = bytes.data();
  size_t left = bytes.size();
  while (left > 0) {  // ISA-L takes an int length
    const int step = static_cast<int>(left < (1u << 30) ? left : (1u << 30));
    state = crc32_iscsi(const_cast<unsigned char*>(data), step, state);
    data += step;
    left -= static_cast<size_t>(step);
  }
  return ~state;
}

}  // namespace polylog::base
