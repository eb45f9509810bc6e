// References to stored bytes: pieces, batches, segments. Plain values.
//
// A Piece names its extent by `file_seq`: a WAL file's number, or a pack's id with kPackBit. Moving bytes changes pieces and
// nothing else. A segment's batches are found through its own index, so that a partition keeps one SegmentRef for all.
#pragma once

#include <memory>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "io/disk.h"
#include "storage/slot.h"

namespace polylog::storage {

using base::Offset;
using base::OffsetCount;

inline constexpr uint64_t kPackBit = uint64_t{1} << 63;
inline bool in_pack(const WalPosition& at) { return (at.file_seq & kPackBit) != 0; }

// A run of stored bytes. Lies within one file.
struct Piece {
  WalPosition at;
  uint32_t bytes = 0;
  friend constexpr auto operator<=>(const Piece&, const Piece&) = default;
};

struct BatchRef {
  Offset base_offset;
  uint32_t count = 0;
  uint32_t bytes = 0;  // of all pieces
  WalPosition at;      // of the first piece; further ones in Partition::more_pieces_. In a segment: {0, position}
  base::WallTime append_ts;
  base::WallTime max_ts;
  base::Epoch epoch;
  uint32_t crc = 0;  // crc32c of all its bytes: checked whenever they come from disk
  uint8_t encoding = 0;
  uint8_t flags = 0;
  uint8_t piece_count = 1;  // 0: memory only
  Offset end_offset() const { return base_offset + OffsetCount(count); }
};

// A batch and, when they are at hand, its bytes: in RAM, or as a span of a file whose bytes were verified.
struct StoredBatch {
  BatchRef ref;
  base::Slice bytes;  // empty: not in RAM, to be loaded, unless there is a span
  io::FileSpan span;
};

struct SegmentRef {
  uint64_t extent = 0;
  Offset base_offset, end_offset;
  uint64_t data_bytes = 0;
  uint32_t batch_count = 0;
  base::WallTime max_ts;
  base::WallTime append_ts;  // the latest
  uint64_t fences_at = 0;    // position in the file
  uint32_t fence_count = 0;
  uint32_t fences_crc = 0;
  friend bool operator==(const SegmentRef&, const SegmentRef&) = default;
};

}  // namespace polylog::storage
