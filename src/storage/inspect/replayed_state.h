// ReplayedState: the partitions of a cell as its checkpoint and its log describe them, past damage too. Behind each gap in
// the log an era begins, in which partitions start anew at their next append; what a later mutation says of older batches
// (a trim, a segment, a move) is done to the earlier eras as well. Offsets that no era has, and that no trim or segment
// covers in the end, are lost.
#pragma once

#include <vector>

#include "storage/inspect/findings.h"
#include "storage/replay.h"

namespace polylog::storage {

class ReplayedState {
 public:
  ReplayedState() { begin_era(); }
  void begin_era() { eras_.emplace_back(); }
  base::Result<> restore(const CheckpointObject& object) { return restore_partition(eras_.back(), object); }
  // kCorrupt: it cannot follow what was replayed before; nothing was changed.
  base::Result<> replay(const Mutation& mutation, Lsn lsn);

  const std::vector<Partitions>& eras() const { return eras_; }
  std::vector<base::PartitionKey> keys() const;  // sorted
  // [start, end) over all eras.
  std::pair<Offset, Offset> range_of(const base::PartitionKey& key) const;
  std::vector<Finding::Lost> lost() const;

 private:
  base::Result<> append(const Mutation& mutation, Lsn lsn);
  const Partition* newest(const base::PartitionKey& key) const;

  std::vector<Partitions> eras_;
  std::vector<Finding::Lost> gaps_;
};

}  // namespace polylog::storage
