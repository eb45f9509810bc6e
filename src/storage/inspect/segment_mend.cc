#include "storage/inspect/segment_mend.h"

#include "base/crc32c.h"
#include "storage/extent_file.h"
#include "storage/segment_index.h"

namespace polylog::storage {
namespace {

class Mend {
 public:
  Mend(io::File& file, const SegmentRef& segment, const std::string& path)
      : file_(file), segment_(segment), path_(path) {}

  std::optional<Repair> run() {
    if (!read()) return std::nullopt;
    const bool fences_are_sound = base::crc32c(fences_) == segment_.fences_crc;
    return fences_are_sound ? mend_blocks() : rebuild_fences();
  }

 private:
  uint64_t entries_at() const { return kExtentHeadBytes + segment_.data_bytes; }

  bool read() {
    const uint64_t entry_bytes = uint64_t{segment_.batch_count} * kSegmentEntryBytes;
    const uint64_t fence_bytes = uint64_t{segment_.fence_count} * kSegmentFenceBytes;
    const uint64_t size = file_.size().value_or(0);
    if (segment_.fences_at != entries_at() + entry_bytes || size != segment_.fences_at + fence_bytes) return false;
    entries_.resize(entry_bytes);
    fences_.resize(fence_bytes);
    return file_.read_at(entries_, entries_at()) && file_.read_at(fences_, segment_.fences_at);
  }

  std::optional<Repair> rebuild_fences() const {
    SegmentIndexBuilder builder;
    for (base::Reader in(entries_); !in.at_end();) builder.add(decode_segment_entry(in));
    auto index = builder.finish(entries_at());
    if (index.fence_count != segment_.fence_count || index.fences_crc != segment_.fences_crc) return std::nullopt;
    Repair repair{.what = "write the fences of its index again, as its entries say"};
    repair.writes.push_back({path_, segment_.fences_at, std::move(index.fences)});
    return repair;
  }

  std::optional<Repair> mend_blocks() {
    Repair repair{.what = "turn back a flipped bit in its index: its crc and all batches that it names prove it"};
    for (base::Reader in(fences_); !in.at_end();) {
      const SegmentFence fence = decode_segment_fence(in);
      const size_t bytes = fence.entries * kSegmentEntryBytes;
      if (fence.position < entries_at() || fence.position > segment_.fences_at) return std::nullopt;
      if (bytes > segment_.fences_at - fence.position) return std::nullopt;
      const base::MutView block = base::MutView(entries_).subspan(fence.position - entries_at(), bytes);
      if (base::crc32c(block) == fence.crc) continue;
      const auto bit = find_flipped_bit(block, fence.crc);
      if (!bit) return std::nullopt;
      flip_bit(block, *bit);
      mended_.push_back(block);
      repair.writes.push_back({path_, fence.position, {block.begin(), block.end()}});
    }
    for (const base::View block : mended_)
      if (!batches_are_in_place(block)) return std::nullopt;
    return repair.writes.empty() ? std::nullopt : std::optional(std::move(repair));
  }

  bool batches_are_in_place(base::View block) {
    uint64_t due = 0;
    Offset next = segment_.base_offset;
    for (base::Reader in(block); !in.at_end();) {
      const BatchRef batch = decode_segment_entry(in);
      const bool is_first = due == 0;
      if ((!is_first && batch.at.offset != due) || batch.at.offset < kExtentHeadBytes) return false;
      if (batch.base_offset < next || batch.end_offset() > segment_.end_offset) return false;
      if (batch.at.offset > entries_at() || batch.bytes > entries_at() - batch.at.offset) return false;
      bytes_.resize(batch.bytes);
      if (!file_.read_at(bytes_, batch.at.offset) || base::crc32c(bytes_) != batch.crc) return false;
      due = batch.at.offset + batch.bytes;
      next = batch.end_offset();
    }
    return true;
  }

  io::File& file_;
  const SegmentRef& segment_;
  const std::string& path_;
  std::vector<uint8_t> entries_, fences_, bytes_;
  std::vector<base::MutView> mended_;  // blocks, in entries_
};

}  // namespace

std::optional<Repair> mend_segment_index(io::File& file, const SegmentRef& segment, const std::string& path) {
  return Mend(file, segment, path).run();
}

}  // namespace polylog::storage
