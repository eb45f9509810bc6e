// The engine's own mutations in a cell's WAL (storage/mutation.h has the partition's). docs/formats/mutations.md.
//
// kDelivered v1, kSettled v1:  stream 16 B | index u32 | count u32 | {first i64, last i64}...
// kQueueDropped v1:            stream 16 B | index u32
// kCompacted v1:               stream 16 B | index u32 | clean_end i64 | deletes_until i64, -1: none
// kGroup v1:                   a group mutation (groups/mutations.h)
#pragma once

#include <vector>

#include "broker/compaction.h"
#include "broker/delivery/offset_set.h"
#include "storage/mutation.h"

namespace polylog::broker {

inline constexpr auto kDeliveredMutation = static_cast<storage::MutationType>(0x100);
inline constexpr auto kSettledMutation = static_cast<storage::MutationType>(0x101);
inline constexpr auto kQueueDroppedMutation = static_cast<storage::MutationType>(0x102);
inline constexpr auto kCompactedMutation = static_cast<storage::MutationType>(0x103);
inline constexpr auto kGroupMutation = static_cast<storage::MutationType>(0x200);

// Objects of a checkpoint (storage/checkpoint.h): a subscription, and further parts of one, are key | what
// Subscription::save() and save_more() wrote; what was compacted is like its mutation.
inline constexpr uint16_t kSubscriptionObject = 0x100;
inline constexpr uint16_t kCompactedObject = 0x101;
inline constexpr uint16_t kSubscriptionPartObject = 0x102;
inline constexpr uint16_t kGroupObject = 0x200;
inline constexpr uint16_t kGroupCursorsObject = 0x201;  // further cursors of one

struct RangesMutation {
  base::PartitionKey queue;
  std::vector<OffsetRange> ranges;
};

inline void encode(base::Writer& out, const RangesMutation& m) {
  storage::write_key(out, m.queue);
  out.u32le(static_cast<uint32_t>(m.ranges.size()));
  for (const auto& [first, last] : m.ranges) {
    out.i64le(first.value);
    out.i64le(last.value);
  }
}

inline base::Result<RangesMutation> decode_ranges(base::View payload) {
  base::Reader in(payload);
  RangesMutation m;
  m.queue = storage::read_key(in);
  for (uint32_t left = in.u32le(); left > 0 && in.ok(); --left) {
    const Offset first(in.i64le());
    m.ranges.emplace_back(first, Offset(in.i64le()));
  }
  if (!in.ok() || !in.at_end()) return base::fail(base::ErrorCode::kCorrupt, "a delivery mutation");
  return m;
}

// So far a stream's partition was compacted.
struct CompactedMutation {
  base::PartitionKey partition;
  CompactedTo to;
};

inline void encode(base::Writer& out, const CompactedMutation& m) {
  storage::write_key(out, m.partition);
  out.i64le(m.to.clean_end.value);
  out.i64le(m.to.deletes_until.ms);
}

inline base::Result<CompactedMutation> decode_compacted(base::View payload) {
  base::Reader in(payload);
  CompactedMutation m{.partition = storage::read_key(in), .to = {}};
  m.to.clean_end = Offset(in.i64le());
  m.to.deletes_until = {in.i64le()};
  if (!in.ok() || !in.at_end()) return base::fail(base::ErrorCode::kCorrupt, "how far a partition was compacted");
  return m;
}

}  // namespace polylog::broker
