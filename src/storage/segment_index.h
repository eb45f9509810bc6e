// The index of a segment: entries in blocks, and a fence a block. The bytes are drawn in storage/segment.h. Plain memory;
// who reads and writes files: storage/segment.h, and inspect/segment_mend.h, which makes a damaged index anew.
#pragma once

#include <vector>

#include "base/limits.h"
#include "base/wire.h"
#include "storage/batch_ref.h"

namespace polylog::storage {

inline constexpr size_t kSegmentEntryBytes = 56;
inline constexpr size_t kSegmentFenceBytes = 40;
inline constexpr size_t kSegmentBlockEntriesMax = 1024;
inline constexpr size_t kSegmentBlockDataBytes = 4 * base::limits::kMiB;

struct SegmentFence {
  Offset base_offset;     // of the block's first batch
  base::WallTime max_ts;  // of the block
  uint64_t position = 0;  // of the block in the file
  uint32_t entries = 0, crc = 0;
};

BatchRef decode_segment_entry(base::Reader& in);
SegmentFence decode_segment_fence(base::Reader& in);

// Takes the batches of a segment in order, each with its place in the file, and lays out their index.
class SegmentIndexBuilder {
 public:
  void add(const BatchRef& placed);
  struct Index {
    std::vector<uint8_t> blocks, fences;  // as they lie in the file, one behind the other
    uint32_t fence_count = 0, fences_crc = 0;
  };
  Index finish(uint64_t position) const;  // of the first block

 private:
  struct Block {
    Offset base_offset;
    base::WallTime max_ts;
    uint32_t entries = 0;
    uint64_t data_bytes = 0;
  };
  std::vector<uint8_t> entries_;
  std::vector<Block> blocks_;
};

}  // namespace polylog::storage
