#include "storage/inspect/batch_check.h"

#include <fmt/format.h>

#include "base/crc32c.h"
#include "storage/inspect/segment_mend.h"

namespace polylog::storage {

void BatchCheck::damage(std::string file, std::optional<uint64_t> offset, std::string what,
                        const base::PartitionKey& key, Offset from, Offset end) {
  options_.report(
      {.file = std::move(file), .offset = offset, .what = std::move(what), .lost = Finding::Lost{key, from, end}});
}

void BatchCheck::damage_segment(std::optional<uint64_t> offset, std::string what, Offset from, Offset end) {
  walk_.is_whole = false;
  damage(walk_.path, offset, std::move(what), walk_.key, from, end);
}

// One repair makes the whole index good: it goes with the first that is said of it.
void BatchCheck::damage_index(std::optional<uint64_t> offset, std::string what, Offset from, Offset end) {
  Finding finding{
      .file = walk_.path, .offset = offset, .what = std::move(what), .lost = Finding::Lost{walk_.key, from, end}};
  if (!walk_.has_damaged_index) finding.repair = mend_segment_index(*walk_.source.file, walk_.source.ref, walk_.path);
  walk_.is_whole = false;
  walk_.has_damaged_index = true;
  options_.report(finding);
}

void BatchCheck::check(const Partition& partition) {
  for (const SegmentRef& segment : partition.segments()) check_segment(partition.key(), segment);
  for (const BatchRef& ref : partition.batches()) check_batch(partition, ref);
}

void BatchCheck::check_batch(const Partition& partition, const BatchRef& ref) {
  const std::string path = files_.name_of(ref.at);
  const auto bad = [&](const std::string& file, uint64_t offset, std::string what) {
    damage(file, offset, std::move(what), partition.key(), ref.base_offset, ref.end_offset());
  };
  uint32_t crc = 0;
  for (const Piece& piece : partition.pieces_of(ref)) {
    const std::string name = files_.name_of(piece.at);
    if (in_pack(piece.at)) named_.insert(name);
    const auto file = files_.file_of(piece.at);
    if (!file) return bad(name, piece.at.offset, "the file is missing, and a batch lies in it");
    const uint64_t size = file->size().value_or(0);
    if (piece.at.offset > size || piece.bytes > size - piece.at.offset)
      return bad(name, piece.at.offset, "the file ends before a batch in it does");
    buffer_.resize(piece.bytes);
    if (const auto read = file->read_at(buffer_, piece.at.offset); !read)
      return bad(name, piece.at.offset, read.error().text);
    crc = base::crc32c(buffer_, crc);
  }
  ++counts_.batches;
  counts_.bytes += ref.bytes;
  options_.progress(ref.bytes);
  if (crc != ref.crc) bad(path, ref.at.offset, "a batch does not verify");
}

void BatchCheck::check_segment(const base::PartitionKey& key, const SegmentRef& segment) {
  const std::string path = files_.directory() + "/" + to_file_name({ExtentKind::kSegment, segment.extent});
  if (!named_.insert(path).second) return;
  walk_ = {.key = key, .source = {segment, files_.segment(segment.extent)}, .path = path, .next = segment.base_offset};
  ++counts_.segments;
  const auto all_lost = [&](std::optional<uint64_t> offset, std::string what) {
    damage_segment(offset, std::move(what), segment.base_offset, segment.end_offset);
  };
  if (!walk_.source.file) return all_lost({}, "the segment is missing");
  const uint64_t size = walk_.source.file->size().value_or(0);
  const uint64_t fence_bytes = segment.fence_count * uint64_t{kSegmentFenceBytes};
  if (size < fence_bytes || segment.fences_at != size - fence_bytes)
    return all_lost({}, fmt::format("{} bytes long, not as its partition says", size));
  SegmentReader reader;
  const auto read =
      reader.for_each_block(walk_.source, [this](const SegmentReader::IndexBlock& block) { check_index_block(block); });
  if (!read) {
    const Finding finding = to_finding(read.error(), files_.directory());
    return damage_index(finding.offset, finding.what, segment.base_offset, segment.end_offset);
  }
  check_totals();
}

void BatchCheck::check_index_block(const SegmentReader::IndexBlock& block) {
  if (!block.batches) {
    const Finding finding = to_finding(block.batches.error(), files_.directory());
    walk_.next = block.next;
    return damage_index(finding.offset.value_or(block.position), finding.what, block.first, block.next);
  }
  for (const BatchRef& ref : *block.batches) check_segment_batch(ref);
}

void BatchCheck::check_segment_batch(const BatchRef& ref) {
  const SegmentRef& segment = walk_.source.ref;
  const auto bad = [&](std::string what) {
    damage_segment(ref.at.offset, std::move(what), ref.base_offset, ref.end_offset());
  };
  ++walk_.batches;
  walk_.bytes += ref.bytes;
  walk_.max_ts = walk_.batches == 1 ? ref.max_ts : std::max(walk_.max_ts, ref.max_ts);
  ++counts_.batches;
  counts_.bytes += ref.bytes;
  options_.progress(ref.bytes);
  if (ref.base_offset < walk_.next || ref.end_offset() > segment.end_offset)
    return bad(fmt::format("a batch at {} is out of its place", ref.base_offset.value));
  walk_.next = ref.end_offset();
  if (ref.at.offset < kExtentHeadBytes || ref.at.offset + ref.bytes > segment.fences_at)
    return bad("a batch lies outside the segment's batches");
  buffer_.resize(ref.bytes);
  if (const auto read = walk_.source.file->read_at(buffer_, ref.at.offset); !read) return bad(read.error().text);
  if (base::crc32c(buffer_) != ref.crc) bad("a batch does not verify");
}

void BatchCheck::check_totals() {
  const SegmentRef& segment = walk_.source.ref;
  if (!walk_.is_whole) return;  // said already
  if (walk_.batches == segment.batch_count && walk_.bytes == segment.data_bytes &&
      (walk_.batches == 0 || walk_.max_ts == segment.max_ts))
    return;
  options_.report({.file = walk_.path,
                   .offset = segment.fences_at,
                   .what = fmt::format("holds {} batches with {} bytes, its partition says {} with {}", walk_.batches,
                                       walk_.bytes, segment.batch_count, segment.data_bytes),
                   .lost = {}});
}

}  // namespace polylog::storage
