#include "storage/inspect/checkpoint_mend.h"

#include <bit>

#include "base/crc32c.h"
#include "storage/checkpoint.h"

namespace polylog::storage {
namespace {

constexpr size_t kBlockHeadBytes = 8;
constexpr size_t kHeadCrcAt = kCheckpointHeadBytes - 4;

std::vector<uint8_t> bytes_of(uint32_t number) {
  base::Writer out;
  out.u32le(number);
  return std::move(out.buffer());
}
std::vector<uint8_t> bytes_of(uint64_t number) {
  base::Writer out;
  out.u64le(number);
  return std::move(out.buffer());
}

class Mend {
 public:
  Mend(const std::string& path, const StoredCell& files) : path_(path), files_(files) {}

  std::optional<Repair> run(io::Disk& disk) {
    const auto file = disk.open(path_, io::OpenMode::kRead);
    if (!file) return std::nullopt;
    bytes_.resize((*file)->size().value_or(0));
    if (bytes_.size() < kCheckpointHeadBytes || !(*file)->read_at(bytes_, 0)) return std::nullopt;
    CheckpointHead head;
    return decode_checkpoint_head(bytes_, head) ? mend_body() : mend_head();
  }

 private:
  // --- the body
  std::optional<Repair> mend_body() {
    const auto end = walk();
    if (!end) return std::nullopt;
    const uint32_t crc_of_end = base::crc32c(bytes_of(end->count), end->crc_before);
    Repair repair{.what = "write its checksums again: they cover each other, and say that its objects are whole"};
    if (end->crc == crc_of_end) {
      repair.writes = std::move(wrong_);
    } else if (wrong_.empty() && end->count == objects_) {
      repair.writes.push_back({path_, end->at + 4, bytes_of(crc_of_end)});
    } else if (wrong_.empty() && end->crc == base::crc32c(bytes_of(objects_), end->crc_before)) {
      repair.writes.push_back({path_, end->at + kBlockHeadBytes, bytes_of(objects_)});
    }
    return repair.writes.empty() ? std::nullopt : std::optional(std::move(repair));
  }

  struct End {
    uint64_t at = 0, count = 0;
    uint32_t crc = 0, crc_before = 0;
  };
  // Over all blocks; notes the crcs that do not fit. None: it is cut off, or a length is wrong.
  std::optional<End> walk() {
    base::Reader in(View(bytes_).subspan(kCheckpointHeadBytes));
    uint32_t crc = 0;
    while (in.ok()) {
      const uint64_t at = bytes_.size() - in.remaining();
      const uint32_t length = in.u32le();
      const uint32_t stored = in.u32le();
      if (length == 0) {
        const End end{.at = at, .count = in.u64le(), .crc = stored, .crc_before = crc};
        return in.ok() && in.at_end() ? std::optional(end) : std::nullopt;
      }
      const View payload = in.bytes(length);
      crc = base::crc32c(payload, crc);
      if (crc != stored) wrong_.push_back({path_, at + 4, bytes_of(crc)});
      if (!count_objects(payload)) return std::nullopt;
    }
    return std::nullopt;
  }

  bool count_objects(View payload) {
    base::Reader in(payload);
    for (; in.ok() && !in.at_end(); ++objects_) {
      in.skip(4);
      const uint32_t bytes = in.u32le();
      in.skip(8);
      in.skip(bytes);
    }
    return in.ok();
  }

  // --- the head
  // One bit, of the crc or of what it covers: it cannot be both, because no two bits that differ make the same crc.
  std::optional<Repair> mend_head() const {
    const View covered = View(bytes_).first(kHeadCrcAt);
    const uint32_t stored_crc = base::Reader(View(bytes_).subspan(kHeadCrcAt, 4)).u32le();
    const uint32_t wrong_in_crc = stored_crc ^ base::crc32c(covered);
    std::vector<uint8_t> mended(bytes_.begin(), bytes_.begin() + kCheckpointHeadBytes);
    if (std::has_single_bit(wrong_in_crc)) {
      flip_bit(mended, kHeadCrcAt * 8 + static_cast<size_t>(std::countr_zero(wrong_in_crc)));
    } else if (const auto bit = find_flipped_bit(covered, stored_crc)) {
      flip_bit(mended, *bit);
    }
    return is_proven(mended) ? std::optional(new_head(mended)) : std::nullopt;
  }

  Repair new_head(const std::vector<uint8_t>& head) const {
    Repair repair{.what = "turn back a flipped bit in its head: the log says where it starts"};
    repair.writes.push_back({path_, 0, head});
    return repair;
  }

  bool is_proven(View bytes) const {
    CheckpointHead head;
    if (!decode_checkpoint_head(bytes, head) || head.cell != files_.cell()) return false;
    const WalEnd& start = head.replay_start;
    if (start.next_seq.value != checkpoint_number(path_.substr(path_.rfind('/') + 1))) return false;
    return is_end_of_a_slot(start) || is_begin_of_a_slot(start);
  }

  bool is_end_of_a_slot(const WalEnd& start) const {
    const auto file = files_.file(start.position.file_seq);
    if (!file) return false;
    for (uint64_t offset = 0; offset < start.position.offset; offset += base::limits::kBlockBytes) {
      const auto slot = files_.header_at({start.position.file_seq, offset});
      if (!slot || slot->header.seq.next() != start.next_seq || slot->header.epoch != start.epoch) continue;
      const SlotHeader& h = slot->header;
      if (offset + h.disk_bytes() == start.position.offset && h.lsn.value + h.mutation_count == start.next_lsn.value &&
          slot->crc == start.previous_crc)
        return true;
    }
    return false;
  }

  bool is_begin_of_a_slot(const WalEnd& start) const {
    for (const WalPosition at : {start.position, WalPosition{start.position.file_seq + 1, 0}}) {
      const auto slot = files_.header_at(at);
      if (!slot) continue;
      const SlotHeader& h = slot->header;
      const bool epoch_fits =
          h.kind == SlotKind::kOpening ? h.epoch.value == start.epoch.value + 1 : h.epoch == start.epoch;
      if (epoch_fits && h.seq == start.next_seq && h.lsn == start.next_lsn && h.previous_crc == start.previous_crc)
        return true;
    }
    return false;
  }

  const std::string& path_;
  const StoredCell& files_;
  std::vector<uint8_t> bytes_;
  std::vector<Repair::Write> wrong_;  // crcs of blocks, as they should be
  uint64_t objects_ = 0;
};

}  // namespace

std::optional<Repair> mend_checkpoint(io::Disk& disk, const std::string& path, const StoredCell& files) {
  return Mend(path, files).run(disk);
}

}  // namespace polylog::storage
