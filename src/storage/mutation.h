// Mutations: every state change of a cell, carrying its result. A mutation is in a WAL slot or it did not happen; replay is
// apply(mutation) with no clock, no randomness and no protocol code. docs/formats/mutations.md lists them all.
//
// The partition's own mutations are encoded here; those of queues and groups belong to broker/ and pass through as bytes.
// An unknown type or a newer version refuses to open: never skipped.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "base/wire.h"
#include "storage/batch_ref.h"

namespace polylog::storage {

enum class MutationType : uint16_t {
  kAppend = 1,             // a batch joined a partition
  kTrim = 2,               // entries below an offset are gone
  kDrop = 3,               // a partition and all attached state are gone
  kSegment = 4,            // a range of a partition lies in a segment now
  kMove = 5,               // batches lie in a pack now
  kFirstOfEngine = 0x100,  // from here on: broker/
};

struct Mutation {
  MutationType type;
  uint8_t version = 1;
  View payload;
};

void encode_mutation(base::Writer& out, const Mutation& mutation);
// Reads the next one; false at the end or on damage (then `reader.ok()` is false).
bool next_mutation(base::Reader& reader, Mutation& mutation);

// A writer that numbers its records, so that a repeated append is recognised.
struct WriterStamp {
  int64_t id = -1;
  int16_t epoch = -1;
  int32_t first_sequence = -1;
  int32_t last_sequence = -1;
};

// kAppend v1, little-endian:
//   stream 16 B | index u32 | base_offset i64 | count u32 | epoch u32 | crc u32 | encoding u8 | flags u8 |
//   append_ts i64 | max_ts i64 | piece_count u8 | pieces {file_seq u64, offset u64, bytes u32}... |
//   tagged fields until the end: tag u8, length u8, bytes.   tag 1: writer {id i64, epoch i16, first i32, last i32}
struct AppendMutation {
  base::PartitionKey partition;
  base::Offset base_offset;
  uint32_t count = 0;
  base::Epoch epoch;
  uint32_t crc = 0;  // crc32c of the batch
  uint8_t encoding = 0;
  uint8_t flags = 0;
  base::WallTime append_ts;
  base::WallTime max_ts;
  std::vector<Piece> pieces;
  std::optional<WriterStamp> writer;
};
inline constexpr size_t kPiecesPerBatchMax = 255;

// kTrim v1: stream 16 B | index u32 | log_start i64.      kDrop v1: stream 16 B | index u32.
struct TrimMutation {
  base::PartitionKey partition;
  base::Offset log_start;
};
struct DropMutation {
  base::PartitionKey partition;
};

// kSegment v1: stream 16 B | index u32 | SegmentRef (write_segment). Whatever the partition had in [base, end) is replaced.
struct SegmentMutation {
  base::PartitionKey partition;
  SegmentRef segment;
};
// kMove v1: pack u64 | count u32 | {stream 16 B | index u32 | base_offset i64 | batches u32 | position u64}...
// Each run: so many batches, from the one at base_offset on, one behind the other from `position`, each in one piece.
struct MoveMutation {
  struct Run {
    base::PartitionKey partition;
    Offset base_offset;
    uint32_t batch_count = 0;
    uint64_t position = 0;
  };
  uint64_t pack = 0;
  std::vector<Run> runs;
};
inline constexpr size_t kMoveRunBytes = 40;

void encode(base::Writer& out, const AppendMutation& m);
void encode(base::Writer& out, const TrimMutation& m);
void encode(base::Writer& out, const DropMutation& m);
void encode(base::Writer& out, const SegmentMutation& m);
void encode(base::Writer& out, const MoveMutation& m);
base::Result<AppendMutation> decode_append(View payload);
base::Result<TrimMutation> decode_trim(View payload);
base::Result<DropMutation> decode_drop(View payload);
base::Result<SegmentMutation> decode_segment(View payload);
base::Result<MoveMutation> decode_move(View payload);

void write_key(base::Writer& out, const base::PartitionKey& key);
base::PartitionKey read_key(base::Reader& in);
// extent u64 | base i64 | end i64 | data_bytes u64 | batch_count u32 | max_ts i64 | append_ts i64 | fences_at u64 | fence_count u32 |
// fences_crc u32
void write_segment(base::Writer& out, const SegmentRef& segment);
SegmentRef read_segment(base::Reader& in);

}  // namespace polylog::storage
