// A segment: consecutive batches of one partition in a file of their own, with the index that finds them. RAM holds one
// SegmentRef a segment, however many batches it has: that is what lets a partition be larger than memory.
//
//   | extent head | batches | index blocks | fences |
//
//   index entry, 56 B   base_offset i64 | append_ts i64 | max_ts i64 | position u64 | bytes u32 | count u32 | epoch u32 |
//                       crc u32 | encoding u8 | flags u8 | zero 6 B
//   index block         up to 1024 entries, or as many as cover 4 MiB of batches
//   fence, 40 B         base_offset i64 (of the block's first batch) | max_ts i64 (of the block) | position u64 (of the
//                       block) | entries u32 | crc u32 (crc32c of the block) | zero u64
//
// All little-endian. Offsets ascend and may have gaps. The crc of the fences is in the SegmentRef, which is in the WAL and
// in checkpoints: so every byte that is read is covered by one.
// Used by workers: everything here blocks.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <unordered_map>
#include <vector>

#include "io/disk.h"
#include "storage/batch_ref.h"
#include "storage/extent_file.h"
#include "storage/segment_index.h"

namespace polylog::storage {

// Writes the batches of one segment in order, then its index.
class SegmentWriter {
 public:
  static base::Result<std::unique_ptr<SegmentWriter>> create(io::Disk& disk, const std::string& directory,
                                                             base::CellId cell, uint64_t id);
  base::Result<> append(const BatchRef& batch, View bytes);
  uint64_t data_bytes() const { return ref_.data_bytes; }
  uint32_t batch_count() const { return ref_.batch_count; }
  struct Finished {
    SegmentRef ref;
    std::unique_ptr<io::File> file;
  };
  // The segment stands for [base, end), whether or not there is a batch at each offset.
  base::Result<Finished> finish(Offset base, Offset end);

 private:
  explicit SegmentWriter(std::unique_ptr<ExtentWriter> file) : file_(std::move(file)) {}
  std::unique_ptr<ExtentWriter> file_;
  SegmentRef ref_;
  SegmentIndexBuilder index_;
};

// Reads segments. One a worker lane, which alone uses it: it keeps the index blocks used last, and remembers which blocks'
// batches were verified since it first read the file; those may be sent from the file unseen.
class SegmentReader {
 public:
  struct Source {
    SegmentRef ref;
    std::shared_ptr<io::File> file;
  };
  // Batches from the one that holds `from` (or follows it), below `end`, about `bytes_max` bytes, at least one; none when
  // the segment has nothing there. With bytes, or, if their encoding is `span_encoding` and they are many, as spans.
  struct Wish {
    Offset from, end;
    size_t bytes_max = 0;
    std::optional<uint8_t> span_encoding;
  };
  base::Result<std::vector<StoredBatch>> read(const Source& source, const Wish& wish);
  // The first batch from `from` on with max_ts >= ts.
  base::Result<std::optional<BatchRef>> find_by_time(const Source& source, Offset from, base::WallTime ts);
  // All batches, in order, without their bytes.
  base::Result<std::vector<BatchRef>> list(const Source& source);
  // Index block after index block, each with where it lies and the first offset of it and of the next one: damage in one
  // does not hide the others. An error: the fences, so nothing was visited.
  struct IndexBlock {
    uint64_t position = 0;
    Offset first, next;
    uint32_t entries = 0;
    base::Result<std::vector<BatchRef>> batches;
  };
  base::Result<> for_each_block(const Source& source, const std::function<void(const IndexBlock&)>& visit);

 private:
  struct Fence : SegmentFence {
    bool is_verified = false;  // its batches
  };
  struct Opened {
    std::vector<Fence> fences;
    uint64_t ahead_to = 0;  // so far the system was asked to have it at hand
  };
  struct BlockKey {
    uint64_t extent;
    size_t block;
    friend bool operator==(const BlockKey&, const BlockKey&) = default;
  };
  struct HashBlockKey {
    size_t operator()(const BlockKey& key) const { return key.extent * 0x9E3779B97F4A7C15ull + key.block; }
  };
  using Block = std::shared_ptr<const std::vector<BatchRef>>;

  base::Result<Opened*> open(const Source& source);
  base::Result<Block> block(const Source& source, Opened& opened, size_t index);
  base::Result<> verify(const Source& source, Fence& fence, const std::vector<BatchRef>& batches);
  base::Result<> fill(const Source& source, std::vector<StoredBatch>& run);
  static void read_ahead(Opened& opened, io::File& file, uint64_t begin, uint64_t end);

  std::unordered_map<uint64_t, Opened> opened_;   // by extent
  std::list<std::pair<BlockKey, Block>> recent_;  // newest first
  std::unordered_map<BlockKey, std::list<std::pair<BlockKey, Block>>::iterator, HashBlockKey> blocks_;
};

}  // namespace polylog::storage
