// Replay of partitions: what a checkpoint's object or a mutation of the log does to them, for a cell that opens and for
// whoever only looks at its files. Decides by each partition's stamp what is news to it. Not here: the engine's mutations.
// Errors: kCorrupt.
#pragma once

#include <memory>
#include <unordered_map>

#include "storage/checkpoint.h"
#include "storage/partition.h"

namespace polylog::storage {

using Partitions = std::unordered_map<base::PartitionKey, std::unique_ptr<Partition>>;

Partition& find_or_make(Partitions& partitions, const base::PartitionKey& key, bool memory_only);
// `mutation` is below kFirstOfEngine, `object` is_of_partition().
base::Result<> replay_mutation(Partitions& partitions, const Mutation& mutation, Lsn lsn);
base::Result<> restore_partition(Partitions& partitions, const CheckpointObject& object);

}  // namespace polylog::storage
