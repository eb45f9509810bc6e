// Subscription: which entries of a work-queue partition are ready, open (leased to a consumer) or settled.
//
//   floor            fresh                 appended end
//     | settled/open/ready | never acquired  |
//
// Everything below `floor` is settled, everything from `fresh` on was never acquired. In between: `settled_` (durable),
// `delivered_` (durable: was handed out before, so a next hand-out is flagged redelivered) and `open_` and `returned_`
// (in memory: after a restart what was open is ready again). An entry that comes back is ready at its original place.
// State stays small however long the queue is, and whatever of it is settled: delivery/offset_set.h.
//
// Durable changes are apply_delivered() and apply_settled(), live and in replay alike. Owned by its cell's core.
// Not for: who gets what (delivery/dispatcher.h), bytes (storage/partition.h).
#pragma once

#include <string>
#include <vector>

#include "broker/delivery/offset_set.h"

namespace polylog::broker {

struct AcquiredRun {
  Offset first, last;
  bool redelivered = false;
};

class Subscription {
 public:
  // Up to `max` ready entries below `end`, lowest first; they become open.
  std::vector<AcquiredRun> acquire(uint32_t max, Offset end);
  // What acquire() would give first; Offset(-1) if nothing is ready.
  Offset first_ready(Offset end) const;
  uint64_t ready_count(Offset end) const;
  uint64_t open_count() const { return open_.count(); }

  // Of the given ranges, those that are open now: the rest was settled before or never handed out.
  std::vector<OffsetRange> open_within(const std::vector<OffsetRange>& ranges) const;
  void give_back(const std::vector<OffsetRange>& ranges);  // open again becomes ready
  void give_back(const OffsetSet& open);
  std::vector<OffsetRange> ready_ranges(Offset end) const;

  void apply_delivered(const std::vector<OffsetRange>& ranges, base::Lsn lsn);
  void apply_settled(const std::vector<OffsetRange>& ranges, base::Lsn lsn);
  Offset floor() const { return floor_; }
  base::Lsn stamp() const { return stamp_; }
  // After replay: nothing is leased any more, all that was delivered and not settled is ready.
  void restart();

  // One of many ranges is saved in parts, in the order of offsets; between them it goes on changing. A part shows its own
  // moment: replay from the first part's stamp on brings all of them to the same one. Each is floor i64 | settled | delivered.
  struct SavedPart {
    Offset next, end;  // equal: that was the last part
    bool is_last() const { return next >= end; }
  };
  SavedPart save(base::Writer& out, size_t ranges_max = SIZE_MAX) const;  // of each kind
  SavedPart save_more(base::Writer& out, const SavedPart& before, size_t ranges_max) const;
  bool load(base::Reader& in, base::Lsn stamp);  // into a fresh one
  bool load_more(base::Reader& in);
  std::string describe() const;

 private:
  // durable
  Offset floor_;
  OffsetSet settled_;    // above floor_
  OffsetSet delivered_;  // from floor_ on, not settled
  base::Lsn stamp_;
  // in memory
  Offset fresh_;
  OffsetSet open_, returned_;
};

}  // namespace polylog::broker
