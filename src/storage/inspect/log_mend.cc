#include "storage/inspect/log_mend.h"

#include <algorithm>
#include <array>

#include "base/crc32c.h"
#include "base/wire.h"

namespace polylog::storage {
namespace {

constexpr size_t kCrcAt = kSlotHeaderBytes - 4;
using HeaderBytes = std::array<uint8_t, kSlotHeaderBytes>;

bool follows(const SlotHeader& header, const WalEnd& due) {
  const bool epoch_fits = header.kind == SlotKind::kOpening ? header.epoch > due.epoch : header.epoch == due.epoch;
  return epoch_fits && header.seq == due.next_seq && header.lsn == due.next_lsn &&
         header.previous_crc == due.previous_crc;
}

bool next_slot_knows(const StoredCell& files, const SlotHeader& header, uint32_t crc) {
  const WalPosition behind{header.position.file_seq, header.position.offset + header.disk_bytes()};
  for (const WalPosition at : {behind, WalPosition{header.position.file_seq + 1, 0}}) {
    const auto next = files.header_at(at);
    if (next && next->header.seq == header.seq.next() && next->header.previous_crc == crc) return true;
  }
  return false;
}

bool is_proven(const StoredCell& files, const WalEnd& due, WalPosition at, const HeaderBytes& bytes) {
  SlotHeader header;
  uint32_t crc = 0;
  if (!decode_slot_header(bytes, header, crc)) return false;
  if (header.position != at || header.cell != files.cell() || !follows(header, due)) return false;
  return files.body_verifies(header) && next_slot_knows(files, header, crc);
}

// The bytes with another crc, and with another bit.
std::vector<HeaderBytes> candidates(const HeaderBytes& bytes) {
  const base::View covered = base::View(bytes).first(kCrcAt);
  HeaderBytes with_crc = bytes;
  const uint32_t crc = base::crc32c(covered);
  std::memcpy(with_crc.data() + kCrcAt, &crc, sizeof crc);
  std::vector<HeaderBytes> all{with_crc};
  if (const auto bit = find_flipped_bit(covered, base::Reader(base::View(bytes).last(4)).u32le())) {
    all.push_back(bytes);
    flip_bit(all.back(), *bit);
  }
  return all;
}

bool is_zero(base::View bytes) {
  return std::ranges::all_of(bytes, [](uint8_t byte) { return byte == 0; });
}

}  // namespace

std::optional<Repair> mend_slot_header(const StoredCell& files, const WalEnd& due) {
  for (const WalPosition at : {due.position, WalPosition{due.position.file_seq + 1, 0}}) {
    const auto file = files.file(at.file_seq);
    HeaderBytes bytes;
    if (!file || at.offset + kSlotHeaderBytes > files.file_bytes() || !file->read_at(bytes, at.offset)) continue;
    for (const HeaderBytes& candidate : candidates(bytes)) {
      if (!is_proven(files, due, at, candidate)) continue;
      Repair repair{.what = "turn back a flipped bit in its header: the slots around it and its own bytes prove it"};
      repair.writes.push_back({files.name_of(at), at.offset, {candidate.begin(), candidate.end()}});
      return repair;
    }
  }
  return std::nullopt;
}

Repair cut_log(const StoredCell& files, const WalEnd& end) {
  Repair repair{.what = "cut it, as the next start would"};
  const std::vector<uint8_t> zeros(base::limits::kBlockBytes);
  std::vector<uint8_t> block(base::limits::kBlockBytes);
  for (const uint64_t seq : files.sequence_numbers()) {
    if (seq < end.position.file_seq) continue;
    const uint64_t first = seq == end.position.file_seq ? end.position.offset : 0;
    for (uint64_t offset = first; offset + block.size() <= files.file_bytes(); offset += block.size()) {
      const WalPosition at{seq, offset};
      const auto slot = files.header_at(at);
      const bool counts = slot && slot->header.epoch >= end.epoch;
      const bool is_remains = !slot && at == end.position && files.file(seq)->read_at(block, offset) && !is_zero(block);
      if (counts || is_remains) repair.writes.push_back({files.name_of(at), offset, zeros});
    }
  }
  std::ranges::reverse(repair.writes);  // half done, the log still ends where it did
  return repair;
}

}  // namespace polylog::storage
