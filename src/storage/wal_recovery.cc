#include "storage/wal_recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "base/crc32c.h"

namespace polylog::storage {
namespace {

constexpr size_t kWindowBytes = 8 * base::limits::kMiB;

// Reads one file front to back through a window, so that replay costs one read a few megabytes, not one a slot.
class FileWindow {
 public:
  FileWindow(io::File& file, uint64_t file_bytes) : file_(file), file_bytes_(file_bytes) {}

  base::Result<View> read(uint64_t offset, size_t bytes) {
    if (offset + bytes > file_bytes_) return View{};  // reaches past the end: whoever claimed it lied
    if (offset < start_ || offset + bytes > start_ + buffer_.size()) {
      const uint64_t length = std::min<uint64_t>(std::max(bytes, kWindowBytes), file_bytes_ - offset);
      buffer_.resize(length);
      start_ = offset;
      TRY(file_.read_at(buffer_, offset));
    }
    return View(buffer_).subspan(offset - start_, bytes);
  }

 private:
  io::File& file_;
  uint64_t file_bytes_;
  uint64_t start_ = 0;
  std::vector<uint8_t> buffer_;
};

struct Slot {
  SlotHeader header;
  uint32_t crc = 0;
  View mutations;  // valid until the next read
};

class Recovery {
 public:
  Recovery(const WalSource& files, base::CellId cell, const WalEnd& from) : files_(files), cell_(cell) {
    report_.end = from;
  }

  base::Result<RecoveryReport> run(const SlotVisitor& visit) {
    while (true) {
      TRY_ASSIGN(auto slot, next_slot());
      if (!slot) break;
      TRY(visit(slot->header, slot->mutations));
      advance_past(*slot);
    }
    TRY(judge_tail());
    for (const Kept& kept : kept_) report_.unproven.push_back(kept.slot);
    return report_;
  }

 private:
  WalEnd& end() { return report_.end; }

  base::Result<FileWindow*> window(uint64_t file_seq) {
    if (window_ && window_seq_ == file_seq) return window_.get();
    window_file_ = files_.file(file_seq);
    window_.reset();
    if (!window_file_) return static_cast<FileWindow*>(nullptr);
    window_ = std::make_unique<FileWindow>(*window_file_, files_.file_bytes());
    window_seq_ = file_seq;
    return window_.get();
  }

  // A slot whose own checks hold at that place; nothing about its neighbours.
  base::Result<std::optional<Slot>> sound_slot(WalPosition at) {
    TRY_ASSIGN(FileWindow * file, window(at.file_seq));
    if (file == nullptr) return std::nullopt;
    TRY_ASSIGN(const View head, file->read(at.offset, kSlotHeaderBytes));
    Slot slot;
    if (is_newer_slot_header(head))
      return base::fail(base::ErrorCode::kCorrupt,
                        fmt::format("{} at offset {}: written by a newer version of polylog; start that one",
                                    WalFiles::name_of(at.file_seq), at.offset));
    if (!decode_slot_header(head, slot.header, slot.crc)) return std::nullopt;
    if (slot.header.position != at || slot.header.cell != cell_) return std::nullopt;
    TRY_ASSIGN(const View whole, file->read(at.offset, kSlotHeaderBytes + slot.header.body_bytes()));
    if (whole.empty()) return std::nullopt;
    const View body = whole.subspan(kSlotHeaderBytes);
    if (base::crc32c(body) != slot.header.body_crc) return std::nullopt;
    slot.mutations = body.subspan(slot.header.batch_bytes);
    return slot;
  }

  bool is_successor(const Slot& slot) const {
    const WalEnd& end = report_.end;
    const bool epoch_fits =
        slot.header.kind == SlotKind::kOpening ? slot.header.epoch > end.epoch : slot.header.epoch == end.epoch;
    return epoch_fits && slot.header.seq == end.next_seq && slot.header.lsn == end.next_lsn &&
           slot.header.previous_crc == end.previous_crc;
  }

  base::Result<std::optional<Slot>> next_slot() {
    TRY_ASSIGN(auto here, sound_slot(end().position));
    if (here && is_successor(*here)) return here;
    const WalPosition next_file{end().position.file_seq + 1, 0};
    TRY_ASSIGN(auto there, sound_slot(next_file));
    if (there && is_successor(*there)) return there;
    return std::nullopt;
  }

  void advance_past(const Slot& slot) {
    const SlotHeader& h = slot.header;
    end() = {.position = {h.position.file_seq, h.position.offset + h.disk_bytes()},
             .next_seq = h.seq.next(),
             .next_lsn = Lsn(h.lsn.value + h.mutation_count),
             .previous_crc = slot.crc,
             .epoch = h.epoch};
    kept_.push_back({h.seq, {h.position, h.disk_bytes()}});
    while (!kept_.empty() && kept_.front().seq <= h.durable_seq) kept_.pop_front();
    ++report_.slots;
    report_.bytes += h.disk_bytes();
    report_.newest_leader_ts = std::max(report_.newest_leader_ts, h.leader_ts);
  }

  // Behind the end: nothing, leftovers, a torn write, or proof that something durable was damaged.
  base::Result<> judge_tail() {
    const WalPosition stop = end().position;
    for (uint64_t seq : files_.sequence_numbers()) {
      if (seq < stop.file_seq) continue;
      const uint64_t start = seq == stop.file_seq ? stop.offset : 0;
      for (uint64_t offset = start; offset + kSlotHeaderBytes <= files_.file_bytes();
           offset += base::limits::kBlockBytes) {
        TRY_ASSIGN(auto slot, sound_slot({seq, offset}));
        if (!slot || slot->header.epoch < end().epoch) continue;
        if (slot->header.durable_seq >= end().next_seq) return corrupt(*slot);
        report_.cut = RecoveryReport::Cut{WalFiles::name_of(stop.file_seq), stop.offset};
      }
    }
    return note_torn_header(stop);
  }

  // A torn or damaged slot may have no sound follower: its header's remains alone tell that something was written.
  base::Result<> note_torn_header(WalPosition stop) {
    TRY_ASSIGN(FileWindow * file, window(stop.file_seq));
    if (file == nullptr) return {};
    TRY_ASSIGN(const View head, file->read(stop.offset, kSlotHeaderBytes));
    SlotHeader header;
    uint32_t crc;
    const bool left_over = decode_slot_header(head, header, crc) && header.epoch < end().epoch;
    if (!left_over && resembles_slot_header(head, stop))
      report_.cut = RecoveryReport::Cut{WalFiles::name_of(stop.file_seq), stop.offset};
    return {};
  }

  base::Result<> corrupt(const Slot& witness) {
    const WalPosition stop = end().position;
    return base::fail(
        base::ErrorCode::kCorrupt,
        fmt::format("{} at offset {}: slot {} is damaged, and slot {} at {}:{} says that it had been synced",
                    WalFiles::name_of(stop.file_seq), stop.offset, end().next_seq.value, witness.header.seq.value,
                    WalFiles::name_of(witness.header.position.file_seq), witness.header.position.offset));
  }

  struct Kept {
    SlotSeq seq;
    RecoveryReport::Unproven slot;
  };
  const WalSource& files_;
  base::CellId cell_;
  RecoveryReport report_;
  std::deque<Kept> kept_;  // above the highest durable_seq seen
  std::shared_ptr<io::File> window_file_;
  std::unique_ptr<FileWindow> window_;
  uint64_t window_seq_ = 0;
};

}  // namespace

base::Result<> make_durable(const WalFiles& files, const RecoveryReport& report) {
  std::vector<uint8_t> bytes;
  for (const RecoveryReport::Unproven& slot : report.unproven) {
    TRY_ASSIGN(const auto file, files.open_for_writing(slot.at.file_seq));
    bytes.resize(slot.bytes);
    TRY(file->read_at(bytes, slot.at.offset));
    const View view = bytes;
    TRY(file->write_at({&view, 1}, slot.at.offset));
    TRY(file->sync_data());
  }
  return {};
}

base::Result<RecoveryReport> recover_wal(const WalSource& files, base::CellId cell, const WalEnd& from,
                                         const SlotVisitor& visit) {
  return Recovery(files, cell, from).run(visit);
}

}  // namespace polylog::storage
