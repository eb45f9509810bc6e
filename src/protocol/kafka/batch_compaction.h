// Compaction of record batches: which keys they show, and how records are taken out of them.
//
// A rewritten batch keeps its base offset, its last offset, its leader epoch, its writer's id, epoch and sequence, its codec and
// the bytes of every record that stays; so offsets and deltas have gaps. The greatest timestamp is that of what stays; with
// append times it stays as it is. An empty batch is a header alone, not compressed.
//
// A record with a key and a null value marks the key as deleted. When such a mark is met for the first time, its batch gets a
// date, the present plus delete_retention_ms: bit 6 of the attributes is set, the base timestamp is the date, and timestamp
// deltas count from there. From that date on the mark itself goes.
//
// Records without a key stay. So do control batches and transactional ones, whole: whether their records count is not known
// here. They show no keys.
#pragma once

#include "protocol/kafka/record_batch.h"
#include "storage/compact_format.h"

namespace polylog::kafka {

class RecordBatchCompaction final : public storage::CompactFormat {
 public:
  void each_key(base::View batch, const VisitKey& visit) const override;
  Outcome rewrite(base::View batch, const Rules& rules) const override;
};

}  // namespace polylog::kafka
