#include "storage/slot.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/wire.h"

namespace polylog::storage {
namespace {

constexpr uint32_t kMagic = 0x53574C50;  // "PLWS"
constexpr size_t kCrcOffset = kSlotHeaderBytes - 4;
constexpr size_t kPositionOffset = 40;

}  // namespace

uint32_t encode_slot_header(const SlotHeader& header, base::MutView out) {
  CHECK(out.size() >= kSlotHeaderBytes, "room for a slot header");
  base::Writer w;
  w.u32le(kMagic);
  w.u16le(kSlotVersion);
  w.u8(static_cast<uint8_t>(header.kind));
  w.u8(0);
  w.u16le(header.cell.value);
  w.u16le(0);
  w.u32le(header.epoch.value);
  w.u64le(header.seq.value);
  w.u64le(header.lsn.value);
  w.u64le(header.durable_seq.value);
  w.u64le(header.position.file_seq);
  w.u64le(header.position.offset);
  w.bytes(header.nonce.bytes);
  w.i64le(header.leader_ts.ms);
  w.u32le(header.batch_bytes);
  w.u32le(header.mutation_bytes);
  w.u32le(header.mutation_count);
  w.u32le(header.previous_crc);
  w.u32le(header.body_crc);
  w.zeros(kCrcOffset - w.size());
  const uint32_t crc = base::crc32c(w.view());
  w.u32le(crc);
  std::memcpy(out.data(), w.view().data(), kSlotHeaderBytes);
  return crc;
}

bool decode_slot_header(View bytes, SlotHeader& header, uint32_t& crc) {
  if (bytes.size() < kSlotHeaderBytes) return false;
  base::Reader r(bytes.first(kSlotHeaderBytes));
  if (r.u32le() != kMagic || r.u16le() != kSlotVersion) return false;
  const uint8_t kind = r.u8();
  r.skip(1);
  header.cell = base::CellId(r.u16le());
  r.skip(2);
  header.epoch = base::Epoch(r.u32le());
  header.seq = SlotSeq(r.u64le());
  header.lsn = Lsn(r.u64le());
  header.durable_seq = SlotSeq(r.u64le());
  header.position = {r.u64le(), r.u64le()};
  std::memcpy(header.nonce.bytes.data(), r.bytes(16).data(), 16);
  header.leader_ts = {r.i64le()};
  header.batch_bytes = r.u32le();
  header.mutation_bytes = r.u32le();
  header.mutation_count = r.u32le();
  header.previous_crc = r.u32le();
  header.body_crc = r.u32le();
  std::memcpy(&crc, bytes.data() + kCrcOffset, 4);
  if (crc != base::crc32c(bytes.first(kCrcOffset))) return false;
  if (kind < 1 || kind > 3) return false;
  header.kind = static_cast<SlotKind>(kind);
  return true;
}

bool is_newer_slot_header(View bytes) {
  if (bytes.size() < kSlotHeaderBytes) return false;
  base::Reader r(bytes);
  const bool newer = r.u32le() == kMagic && r.u16le() > kSlotVersion;
  uint32_t crc = 0;
  std::memcpy(&crc, bytes.data() + kCrcOffset, 4);
  return newer && crc == base::crc32c(bytes.first(kCrcOffset));
}

bool resembles_slot_header(View bytes, WalPosition at) {
  if (bytes.size() < kSlotHeaderBytes) return false;
  SlotHeader header;
  uint32_t crc;
  if (decode_slot_header(bytes, header, crc)) return header.position == at;
  const bool magic_fits = base::Reader(bytes).u32le() == kMagic;
  base::Reader place(bytes.subspan(kPositionOffset));
  const bool file_fits = place.u64le() == at.file_seq;
  const bool offset_fits = place.u64le() == at.offset;
  return magic_fits + file_fits + offset_fits >= 2;  // one may be what is damaged
}

}  // namespace polylog::storage
