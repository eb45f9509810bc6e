// CompactionSchedule: looks at a cell's streams every few seconds, and has those compacted that are due, one after the other
// (storage/compactor.h). Remembers how far each was compacted; that is durable.
// Owned by its cell's engine. Which streams are compacted, and by which rules, it asks `policy`.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "broker/catalog/records.h"
#include "broker/compaction.h"
#include "storage/cell.h"

namespace polylog::broker {

class Broker;

using CompactionPolicyOf = std::function<std::optional<CompactionPolicy>(const StreamRecord&)>;

inline constexpr base::Duration kCompactionInterval = std::chrono::seconds(5);  // between looks at all partitions

class CompactionSchedule {
 public:
  CompactionSchedule(Broker& broker, storage::Cell& cell, CompactionPolicyOf policy, base::Duration interval);

  // The cell is open: forgets partitions that are gone, and begins to look.
  void start();
  void drop(const base::PartitionKey& partition) { states_.erase(partition); }

  // --- durable state; replay and checkpoints as in storage::Engine
  base::Result<> replay(base::View mutation, base::Lsn lsn);
  base::Result<> restore(base::View object, base::Lsn stamp);
  // The first partition behind `after`, or of all; nothing: that was the last.
  std::optional<base::PartitionKey> next_after(const std::optional<base::PartitionKey>& after) const;
  // Nothing: there is nothing to save of it. Otherwise its stamp.
  std::optional<base::Lsn> save(const base::PartitionKey& partition, base::Writer& out) const;

 private:
  struct State {
    CompactedTo to;
    base::Lsn stamp;
    // in memory only
    base::Offset seen_dirty{-1};
    std::optional<base::WallTime> dirty_since;  // of what begins at seen_dirty
    base::MonoTime not_before;                  // after a failure
  };
  struct Left {  // of a sweep
    std::optional<size_t> next_bucket = 0;
    std::vector<base::PartitionKey> keys;
  };
  struct Metrics {
    Metrics(base::Registry& registry, base::CellId cell);
    base::Counter &passes, &failures, &read_bytes, &written_bytes, &removed_records;
  };

  void arm();
  void sweep(Left left);
  bool begin_if_due(const base::PartitionKey& key, Left& left);
  void done(const base::PartitionKey& key, const base::Result<storage::Compactor::Outcome>& outcome,
            base::Duration took);
  void log(const base::PartitionKey& key, State& state, const CompactedTo& to);

  Broker& broker_;
  storage::Cell& cell_;
  const CompactionPolicyOf policy_;
  const base::Duration interval_;
  Metrics metrics_;
  std::map<base::PartitionKey, State> states_;
};

}  // namespace polylog::broker
