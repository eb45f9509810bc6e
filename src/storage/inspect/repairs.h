// Repairs: what may be done to stored files because it is proven to lose nothing. A repair is plain data; whoever finds the
// damage makes it, together with the proof, and looks only; apply() alone writes.
//
// The rule: bytes that somebody was promised are never guessed. What may change is what other bytes, themselves verified,
// say again: an index, a checksum, a head, a checkpoint whose log is whole; and files and tails that nothing counts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/disk.h"

namespace polylog::storage {

struct Repair {
  std::string what;  // "rebuild its index from ...": for people
  struct Write {
    std::string file;
    uint64_t offset = 0;
    std::vector<uint8_t> bytes;
  };
  struct Cut {
    std::string file;
    uint64_t size = 0;
  };
  std::vector<Write> writes;  // in this order, each synced before the next
  std::optional<Cut> cut;
  std::vector<std::string> removes;
};

// Blocking. Repeating it, after a crash in the middle say, does no harm. Errors: kIo, kDiskFull.
base::Result<> apply(io::Disk& disk, const Repair& repair);

// The one bit (0: the lowest of the first byte) that is wrong if `bytes`, with just one bit changed, are to have the
// crc32c `crc`, which continues `before`. None: it takes more than one bit. Not a proof by itself: with more damage than
// one bit, a wrong bit fits once in 2^32 / bits.
std::optional<size_t> find_flipped_bit(base::View bytes, uint32_t crc, uint32_t before = 0);
void flip_bit(base::MutView bytes, size_t bit);

}  // namespace polylog::storage
