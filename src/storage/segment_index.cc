#include "storage/segment_index.h"

#include <algorithm>

#include "base/crc32c.h"

namespace polylog::storage {
namespace {

void encode_entry(base::Writer& out, const BatchRef& batch) {
  out.i64le(batch.base_offset.value);
  out.i64le(batch.append_ts.ms);
  out.i64le(batch.max_ts.ms);
  out.u64le(batch.at.offset);
  out.u32le(batch.bytes);
  out.u32le(batch.count);
  out.u32le(batch.epoch.value);
  out.u32le(batch.crc);
  out.u8(batch.encoding);
  out.u8(batch.flags);
  out.zeros(6);
}

}  // namespace

BatchRef decode_segment_entry(base::Reader& in) {
  BatchRef batch;
  batch.base_offset = Offset(in.i64le());
  batch.append_ts = {in.i64le()};
  batch.max_ts = {in.i64le()};
  batch.at = {0, in.u64le()};
  batch.bytes = in.u32le();
  batch.count = in.u32le();
  batch.epoch = base::Epoch(in.u32le());
  batch.crc = in.u32le();
  batch.encoding = in.u8();
  batch.flags = in.u8();
  in.skip(6);
  return batch;
}

SegmentFence decode_segment_fence(base::Reader& in) {
  SegmentFence fence;
  fence.base_offset = Offset(in.i64le());
  fence.max_ts = {in.i64le()};
  fence.position = in.u64le();
  fence.entries = in.u32le();
  fence.crc = in.u32le();
  in.skip(8);
  return fence;
}

void SegmentIndexBuilder::add(const BatchRef& placed) {
  if (blocks_.empty() || blocks_.back().entries == kSegmentBlockEntriesMax ||
      blocks_.back().data_bytes >= kSegmentBlockDataBytes)
    blocks_.push_back({.base_offset = placed.base_offset, .max_ts = placed.max_ts});
  base::Writer entry(entries_);
  encode_entry(entry, placed);
  Block& block = blocks_.back();
  ++block.entries;
  block.max_ts = std::max(block.max_ts, placed.max_ts);
  block.data_bytes += placed.bytes;
}

SegmentIndexBuilder::Index SegmentIndexBuilder::finish(uint64_t position) const {
  base::Writer fences;
  base::View rest = entries_;
  for (const Block& block : blocks_) {
    const size_t bytes = block.entries * kSegmentEntryBytes;
    fences.i64le(block.base_offset.value);
    fences.i64le(block.max_ts.ms);
    fences.u64le(position);
    fences.u32le(block.entries);
    fences.u32le(base::crc32c(rest.first(bytes)));
    fences.u64le(0);
    rest = rest.subspan(bytes);
    position += bytes;
  }
  const uint32_t crc = base::crc32c(fences.view());
  return {.blocks = entries_,
          .fences = std::move(fences.buffer()),
          .fence_count = static_cast<uint32_t>(blocks_.size()),
          .fences_crc = crc};
}

}  // namespace polylog::storage
