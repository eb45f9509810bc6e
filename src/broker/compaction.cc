#include "broker/compaction.h"

#include <algorithm>

namespace polylog::broker {
namespace {

using storage::Partition;
using storage::Piece;

bool is_durable(const Partition& partition, const storage::BatchRef& batch, const storage::WalPosition& durable_end) {
  const auto lies_below = [&](const Piece& piece) {
    return storage::in_pack(piece.at) ||
           storage::WalPosition{piece.at.file_seq, piece.at.offset + piece.bytes} <= durable_end;
  };
  if (batch.piece_count == 1) return lies_below({batch.at, batch.bytes});
  return std::ranges::all_of(partition.pieces_of(batch), lies_below);
}

class Walk {
 public:
  Walk(const Partition& partition, const CompactionPolicy& policy, const CompactedTo& compacted, base::WallTime now)
      : policy_(policy), now_(now), bytes_behind_(partition.stored_bytes()) {
    part_.dirty = part_.end = std::max(compacted.clean_end, partition.start());
  }
  // False: this is active, and so is what follows.
  bool pass(base::Offset base, base::Offset end, uint64_t bytes, base::WallTime append_ts, bool is_one_batch) {
    bytes_behind_ -= std::min(bytes_behind_, bytes);
    if (end <= part_.dirty) {
      part_.clean_bytes += bytes;
      return true;
    }
    const int64_t age_ms = now_.ms - append_ts.ms;
    const bool is_active = age_ms <= policy_.active_age_ms_max && bytes_behind_ < policy_.active_bytes_max;
    if (is_active || age_ms < policy_.min_lag_ms) return false;
    if (part_.dirty_bytes == 0 && is_one_batch) part_.oldest_dirty = append_ts;
    const uint64_t clean = base >= part_.dirty ? 0 : share_before(base, end, bytes);
    part_.clean_bytes += clean;
    part_.dirty_bytes += bytes - clean;
    part_.end = end;
    return true;
  }
  const Cleanable& part() const { return part_; }

 private:
  // How much of a segment lies before the dirty part, if batches are alike.
  uint64_t share_before(base::Offset base, base::Offset end, uint64_t bytes) const {
    const double share =
        static_cast<double>((part_.dirty - base).value) / static_cast<double>(std::max<int64_t>((end - base).value, 1));
    return std::min(bytes, static_cast<uint64_t>(share * static_cast<double>(bytes)));
  }

  const CompactionPolicy& policy_;
  const base::WallTime now_;
  uint64_t bytes_behind_;
  Cleanable part_;
};

}  // namespace

double Cleanable::ratio() const {
  const uint64_t all = clean_bytes + dirty_bytes;
  return all == 0 ? 0 : static_cast<double>(dirty_bytes) / static_cast<double>(all);
}

Cleanable cleanable_part(const Partition& partition, const CompactionPolicy& policy, const CompactedTo& compacted,
                         const storage::WalPosition& durable_end, base::WallTime now) {
  Walk walk(partition, policy, compacted, now);
  for (const storage::SegmentRef& segment : partition.segments())
    if (!walk.pass(segment.base_offset, segment.end_offset, segment.data_bytes, segment.append_ts, false))
      return walk.part();
  size_t steps = 0;
  for (const storage::BatchRef& batch : partition.batches()) {
    if (++steps > kCleanableStepsMax || batch.end_offset() > partition.committed() ||
        !is_durable(partition, batch, durable_end) ||
        !walk.pass(batch.base_offset, batch.end_offset(), batch.bytes, batch.append_ts, true))
      break;
  }
  return walk.part();
}

std::optional<double> urgency(const Cleanable& part, const CompactionPolicy& policy, const CompactedTo& compacted,
                              std::optional<base::WallTime> oldest_dirty, base::WallTime now) {
  if (part.end > part.dirty && policy.max_lag_ms != INT64_MAX) {
    if (!oldest_dirty) return 2;
    const int64_t age_ms = now.ms - oldest_dirty->ms;
    if (age_ms > policy.max_lag_ms)
      return 1 + static_cast<double>(age_ms) / static_cast<double>(std::max<int64_t>(policy.max_lag_ms, 1));
  }
  if (compacted.deletes_until.ms >= 0 && compacted.deletes_until < now && part.end > base::Offset(0)) return 1;
  if (part.end > part.dirty && part.ratio() > policy.dirty_ratio_min) return part.ratio();
  return std::nullopt;
}

}  // namespace polylog::broker
