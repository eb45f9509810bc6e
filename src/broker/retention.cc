#include "broker/retention.h"

#include <algorithm>

namespace polylog::broker {
namespace {

class Sweep {
 public:
  Sweep(const storage::Partition& partition, const RetentionPolicy& policy, base::WallTime now)
      : policy_(policy), now_(now), bytes_left_(partition.stored_bytes()), from_(partition.start()) {}

  // False: this one stays, and so does what follows.
  bool pass(base::WallTime max_ts, base::WallTime append_ts, uint64_t bytes, base::Offset end) {
    const bool too_old = policy_.age_ms_max && now_.ms - std::max(max_ts, append_ts).ms > *policy_.age_ms_max;
    const bool too_much = policy_.bytes_max && bytes_left_ >= *policy_.bytes_max + bytes;
    if (!too_old && !too_much) return false;
    bytes_left_ -= bytes;
    from_ = end;
    return ++steps_ < kRetentionStepsMax;
  }
  base::Offset from() const { return from_; }

 private:
  const RetentionPolicy& policy_;
  const base::WallTime now_;
  uint64_t bytes_left_;
  base::Offset from_;
  size_t steps_ = 0;
};

}  // namespace

base::Offset retained_from(const storage::Partition& partition, const RetentionPolicy& policy, base::WallTime now) {
  Sweep sweep(partition, policy, now);
  if (policy.keeps_all()) return sweep.from();
  for (const storage::SegmentRef& segment : partition.segments())
    if (!sweep.pass(segment.max_ts, segment.append_ts, segment.data_bytes, segment.end_offset)) return sweep.from();
  for (const storage::BatchRef& batch : partition.batches()) {
    if (batch.end_offset() > partition.committed()) break;
    if (!sweep.pass(batch.max_ts, batch.append_ts, batch.bytes, batch.end_offset())) break;
  }
  return sweep.from();
}

}  // namespace polylog::broker
