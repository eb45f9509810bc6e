// Compaction: what of a stream may be compacted, and whether it is due. Pure functions; CompactionSchedule asks every few
// seconds.
//
//   | clean: no key twice | dirty: compacted next | active: left alone |
//   start           clean end                cleanable end          end
//
// A batch is active while it is both young and near the end: appended less than `active_age_ms_max` ago, with less than
// `active_bytes_max` of the stream behind it. Besides, nothing younger than `min_lag_ms` is compacted, nor what is not yet
// durable. Ages are by the time of appending, on the cell's clock: what records say of themselves does not count.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "storage/partition.h"

namespace polylog::broker {

struct CompactionPolicy {
  int64_t min_lag_ms = 0;
  int64_t max_lag_ms = INT64_MAX;  // older dirty records make it due, whatever the ratio says
  double dirty_ratio_min = 0.5;    // due when the dirty part of all that is not active is larger
  int64_t delete_retention_ms = 86'400'000;
  int64_t active_age_ms_max = 604'800'000;
  uint64_t active_bytes_max = 1'073'741'824;
  int64_t segment_span_ms = INT64_MAX;  // of what is old by age: how much time one segment may span
};

// Of one partition; stored (broker/mutations.h).
struct CompactedTo {
  base::Offset clean_end;
  base::WallTime deletes_until{-1};  // when the last mark that deletes a key may go; -1: there is none
};

struct Cleanable {
  base::Offset dirty, end;
  uint64_t clean_bytes = 0, dirty_bytes = 0;
  std::optional<base::WallTime> oldest_dirty;  // not known if it lies in a segment
  double ratio() const;
};

// Looks at kCleanableStepsMax batches at most; what lies behind them waits for the next time.
inline constexpr size_t kCleanableStepsMax = 65'536;
Cleanable cleanable_part(const storage::Partition& partition, const CompactionPolicy& policy,
                         const CompactedTo& compacted, const storage::WalPosition& durable_end, base::WallTime now);

// Nothing: it is not due. Else how urgent: the dirty ratio; 1 when marks that delete keys may go; from 2 on when dirty
// records are older than they may be, and more the older they are. `oldest_dirty`: since when the dirty part waits, if known.
std::optional<double> urgency(const Cleanable& part, const CompactionPolicy& policy, const CompactedTo& compacted,
                              std::optional<base::WallTime> oldest_dirty, base::WallTime now);

}  // namespace polylog::broker
