// A WAL slot: what one append to a cell's write-ahead log writes. docs/formats/wal.md is the prose twin of this header.
//
//   | header 128 B | batch bytes | mutations | zeros up to the next 4 KiB block |
//
// header (little-endian)                          0        magic 'PLWS'
//    0 magic u32      4 version u16    6 kind u8     7 zero u8
//    8 cell u16      10 zero u16      12 epoch u32
//   16 seq u64       24 lsn u64  (of the first mutation in this slot, or of the next one if it has none)
//   32 durable_seq u64  (highest seq known to be synced when this slot was closed; itself not included)
//   40 file_seq u64  48 file_offset u64  (where this slot lies: a recycled file's leftovers betray themselves)
//   56 nonce 16 B    (of the process that wrote it)
//   72 leader_ts_ms i64
//   80 batch_bytes u32   84 mutation_bytes u32   88 mutation_count u32
//   92 previous_crc u32  (header_crc of the slot before: the chain)
//   96 body_crc u32      (crc32c of batch bytes and mutations)
//  100 zero 24 B
//  124 header_crc u32    (crc32c of bytes 0..123)
//
// mutation:  type u16 | version u8 | zero u8 | length u32 | payload.   The i-th has lsn header.lsn + i.
// Upgrade recipe: a new field takes zero bytes; a changed meaning raises kSlotVersion and recovery keeps reading the old one.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/limits.h"
#include "base/time.h"

namespace polylog::storage {

using base::Lsn;
using base::SlotSeq;
using base::View;

inline constexpr size_t kSlotHeaderBytes = 128;
inline constexpr size_t kMutationHeaderBytes = 8;
inline constexpr uint16_t kSlotVersion = 1;

enum class SlotKind : uint8_t {
  kData = 1,
  kOpening = 2,  // first slot of an epoch
  kWitness = 3,  // empty: says that all before it is durable
};

// Where a slot, or a run of bytes, lies in a cell's WAL.
struct WalPosition {
  uint64_t file_seq = 0;
  uint64_t offset = 0;
  friend constexpr auto operator<=>(const WalPosition&, const WalPosition&) = default;
};

struct SlotHeader {
  SlotKind kind = SlotKind::kData;
  base::CellId cell;
  base::Epoch epoch;
  SlotSeq seq;
  Lsn lsn;
  SlotSeq durable_seq;
  WalPosition position;
  base::Uuid nonce;
  base::WallTime leader_ts;
  uint32_t batch_bytes = 0;
  uint32_t mutation_bytes = 0;
  uint32_t mutation_count = 0;
  uint32_t previous_crc = 0;
  uint32_t body_crc = 0;

  size_t body_bytes() const { return size_t{batch_bytes} + mutation_bytes; }
  size_t disk_bytes() const {
    return (kSlotHeaderBytes + body_bytes() + base::limits::kBlockBytes - 1) / base::limits::kBlockBytes *
           base::limits::kBlockBytes;
  }
};

// Writes the 128 bytes and returns header_crc.
uint32_t encode_slot_header(const SlotHeader& header, base::MutView out);

// False when magic, version or header_crc are wrong. `crc` receives header_crc.
bool decode_slot_header(View bytes, SlotHeader& header, uint32_t& crc);

// True for a sound header of a version we do not know. Magic, version and header_crc keep their places in all versions, so
// that an older program refuses instead of taking a newer slot for a torn one.
bool is_newer_slot_header(View bytes);

// True when these bytes, though they need not verify, were once a header meant for that place. Tells a damaged slot from
// zeros and from what a recycled file held before.
bool resembles_slot_header(View bytes, WalPosition at);

}  // namespace polylog::storage
