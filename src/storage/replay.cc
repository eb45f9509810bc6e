#include "storage/replay.h"

#include <fmt/format.h>

#include <map>

namespace polylog::storage {
namespace {

// A partition that is dropped further on may lack what moved: its object was not in the checkpoint any more.
base::Result<> replay_move(Partitions& partitions, const MoveMutation& move, Lsn lsn) {
  std::map<base::PartitionKey, bool> replays;  // whether this mutation is news to the partition
  for (const MoveMutation::Run& run : move.runs) {
    const auto found = partitions.find(run.partition);
    if (found == partitions.end()) continue;
    Partition* partition = found->second.get();
    const auto [at, is_first] = replays.try_emplace(run.partition, lsn > partition->stamp());
    if (at->second && partition->has_run(run)) partition->apply_move(move.pack, run, lsn);
  }
  return {};
}

base::Result<> restore_more(Partitions& partitions, const base::PartitionKey& key, base::Reader& in, uint8_t version) {
  if (version != 1)
    return base::fail(base::ErrorCode::kCorrupt, "written by a newer version of polylog; start that one");
  const auto found = partitions.find(key);
  if (found == partitions.end() || !found->second->load_more(in))
    return base::fail(base::ErrorCode::kCorrupt, "a checkpoint's batches do not follow those of their partition");
  return {};
}

}  // namespace

Partition& find_or_make(Partitions& partitions, const base::PartitionKey& key, bool memory_only) {
  auto& slot = partitions[key];
  if (!slot) slot = std::make_unique<Partition>(key, memory_only);
  return *slot;
}

base::Result<> replay_mutation(Partitions& partitions, const Mutation& mutation, Lsn lsn) {
  if (mutation.version != 1)
    return base::fail(base::ErrorCode::kCorrupt, "written by a newer version of polylog; start that one");
  switch (mutation.type) {
    case MutationType::kAppend: {
      TRY_ASSIGN(const AppendMutation append, decode_append(mutation.payload));
      Partition& partition = find_or_make(partitions, append.partition, false);
      if (lsn > partition.stamp()) partition.apply_append(append, lsn, {});
      return {};
    }
    case MutationType::kTrim: {
      TRY_ASSIGN(const TrimMutation trim, decode_trim(mutation.payload));
      Partition& partition = find_or_make(partitions, trim.partition, false);
      if (lsn > partition.stamp()) partition.apply_trim(trim.log_start, lsn);
      return {};
    }
    case MutationType::kDrop: {
      TRY_ASSIGN(const DropMutation drop, decode_drop(mutation.payload));
      partitions.erase(drop.partition);
      return {};
    }
    case MutationType::kSegment: {
      TRY_ASSIGN(const SegmentMutation m, decode_segment(mutation.payload));
      // Like replay_move(): one that lacks what moved is dropped further on.
      const auto found = partitions.find(m.partition);
      if (found == partitions.end()) return {};
      Partition& partition = *found->second;
      if (lsn > partition.stamp() && partition.appended() >= m.segment.end_offset)
        partition.apply_segment(m.segment, lsn);
      return {};
    }
    case MutationType::kMove: {
      TRY_ASSIGN(const MoveMutation m, decode_move(mutation.payload));
      return replay_move(partitions, m, lsn);
    }
    case MutationType::kFirstOfEngine: break;
  }
  return base::fail(base::ErrorCode::kCorrupt,
                    fmt::format("unknown mutation type {}: written by a newer version of polylog; start that one",
                                static_cast<int>(mutation.type)));
}

// Partition object, and that of further batches: stream 16 B | index u32 | what Partition::save(), save_more() wrote.
base::Result<> restore_partition(Partitions& partitions, const CheckpointObject& object) {
  base::Reader in(object.payload);
  const base::PartitionKey key = read_key(in);
  if (object.type == kPartitionBatchesObject) return restore_more(partitions, key, in, object.version);
  Partition& partition = find_or_make(partitions, key, false);
  if (object.version > Partition::kSavedVersion)
    return base::fail(base::ErrorCode::kCorrupt, "written by a newer version of polylog; start that one");
  if (!partition.load(in, object.stamp, object.version))
    return base::fail(base::ErrorCode::kCorrupt, "a checkpoint's partition does not decode");
  return {};
}

}  // namespace polylog::storage
