// CompactionSchedule: looks at a cell's streams every few seconds, and has those compacted that are due, the most urgent first
// (storage/compactor.h). Two at a time, a long one and a short one: what is short waits for what is short alone. Remembers
// how far each was compacted; that is durable.
// What cannot be compacted is tried again after half a minute, then after twice as long, up to an hour. Said once.
// Owned by its cell's engine. Which streams are compacted, and by which rules, it asks `policy`.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/metrics.h"
#include "broker/catalog/records.h"
#include "broker/compaction.h"
#include "storage/cell.h"

namespace polylog::broker {

class Broker;

using CompactionPolicyOf = std::function<std::optional<CompactionPolicy>(const StreamRecord&)>;

inline constexpr base::Duration kCompactionInterval = std::chrono::seconds(5);  // between looks at all partitions
inline constexpr size_t kCompactionsAtATime = 2;                                // of one cell
inline constexpr size_t kCompactionsDueMax = 4'096;  // of a cell and kind, found in one look at all
inline constexpr uint64_t kShortCompactionBytes = 64 * base::limits::kMiB;  // read twice: half a second

class CompactionSchedule {
 public:
  struct Options {
    CompactionPolicyOf policy = {};  // empty: nothing is compacted
    base::Duration interval = kCompactionInterval;
    uint64_t short_bytes_max = kShortCompactionBytes;  // of a partition that need not wait for larger ones
    size_t due_max = kCompactionsDueMax;               // of more the most urgent; the next look finds the others
  };
  CompactionSchedule(Broker& broker, storage::Cell& cell, Options options);

  // The cell is open: forgets partitions that are gone, and begins to look.
  void start();
  void drop(const base::PartitionKey& partition);

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
    struct Failed {
      base::MonoTime at;
      base::Duration retry_after;
      base::Offset start;  // of the partition then: when it moves, what is damaged may be gone
    };
    std::optional<Failed> failed;
  };
  enum Lane : uint8_t { kShort, kLong };
  struct Candidate {
    base::PartitionKey partition;
    double urgency;
    bool operator>(const Candidate& other) const {
      return std::pair(urgency, partition) > std::pair(other.urgency, other.partition);
    }
  };
  struct Due {
    Cleanable part;
    CompactionPolicy policy;
    double urgency;
  };
  struct Sweep {
    std::optional<size_t> next_bucket = 0;
    std::vector<base::PartitionKey> keys;
    std::array<std::vector<Candidate>, kCompactionsAtATime> found;  // by lane; heaps, the least urgent first
  };
  struct Metrics {
    Metrics(base::Registry& registry, base::CellId cell);
    base::Counter &passes, &failures, &read_bytes, &written_bytes, &removed_records;
    base::Gauge& failing;
  };

  void arm();
  void sweep(Sweep sweep);
  void note_due(std::vector<Candidate>& found, const Candidate& candidate) const;
  void end_sweep(Sweep& sweep);
  std::optional<Due> look_at(const base::PartitionKey& key, size_t& steps);
  bool must_wait(const State& state, const storage::Partition& partition) const;
  Lane lane_of(const Due& due) const;
  void begin_next(Lane lane);
  void begin_next_later(Lane lane);
  void begin(const base::PartitionKey& key, const Due& due, Lane lane);
  void done(const base::PartitionKey& key, const base::Result<storage::Compactor::Outcome>& outcome,
            base::Duration took);
  void failed(const base::PartitionKey& key, State& state, const storage::Partition& partition,
              const base::Error& error);
  void succeeded(const base::PartitionKey& key, State& state, const storage::Compactor::Outcome& outcome,
                 base::Duration took);
  void forget_failure(const base::PartitionKey& partition);  // it is not to be compacted any more
  void log(const base::PartitionKey& key, State& state, const CompactedTo& to);

  Broker& broker_;
  storage::Cell& cell_;
  const Options options_;
  Metrics metrics_;
  std::map<base::PartitionKey, State> states_;
  std::array<std::vector<Candidate>, kCompactionsAtATime> due_;  // by lane, the most urgent last
  std::array<std::optional<base::PartitionKey>, kCompactionsAtATime> running_;
};

}  // namespace polylog::broker
