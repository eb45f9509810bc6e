// Retention: from which offset on a stream is kept, by age and by size. Pure functions; CellEngine asks every few seconds and
// trims. Queues are not retained by time: their entries go when they are settled.
//
// Age is that of the youngest record of a batch (or of a segment's youngest batch), and never more than the time since it
// was appended: what is loaded with times long past stays as long as anything else. A time in the future holds back what
// follows it until then.
// Size goes batch by batch: what is left is at least `bytes_max`.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "storage/partition.h"

namespace polylog::broker {

struct RetentionPolicy {
  std::optional<int64_t> age_ms_max;
  std::optional<uint64_t> bytes_max;
  bool keeps_all() const { return !age_ms_max && !bytes_max; }
};

// The offset to trim to; the partition's start if nothing is due. Looks at kRetentionStepsMax batches at most: what is left
// over is found the next time.
inline constexpr size_t kRetentionStepsMax = 8'192;
base::Offset retained_from(const storage::Partition& partition, const RetentionPolicy& policy, base::WallTime now);

}  // namespace polylog::broker
