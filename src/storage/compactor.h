// Compactor: rewrites the old part of a partition so that of records with the same key only the last stays. A pass:
//
//   1. read    [dirty, end) front to back: the last offset of each key (storage/key_offsets.h). When that memory is full,
//              `end` moves to where it got: the next pass goes on from there. Where one batch has more keys than fit, `end` is
//              its end, and the pass is made for one part of the keys after the other
//   2. rewrite [start, end) front to back, group by group (some segments, or the batches behind them): what is left of a group
//              goes to a new segment, which is synced, and then takes the place of the old ones by a logged mutation
//
// A record goes only when a later one of its key is stored durably below `end`; the order of records, their offsets and their
// bytes stay. So a crash at any moment leaves a log that is right and in part compacted. A reader goes on in the old file or
// in the new one: both hold, from any offset on, all that is still the last of its key.
// The last batch of a segment stays, if need be empty: a reader finds from every offset on how far the log goes. So does the
// last batch of each writer that numbers its records.
//
// Reading, hashing and packing happen on a worker, a few MiB a step, paced to `bytes_per_second`. Memory: `key_bytes_max`, the
// step, and one batch unpacked. Passes over several partitions run side by side, a step each in turn: a short one need not
// wait for a long one; each has its own `key_bytes_max`.
// While a group of batches is rewritten, the packer moves none of that partition; a group of segments does not stop it.
// Owned by the cell's core. Does not decide what is due (broker/compaction.h) nor what a key is (storage/compact_format.h).
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "io/loop.h"
#include "storage/batch_load.h"
#include "storage/compact_format.h"
#include "storage/extents.h"
#include "storage/key_offsets.h"
#include "storage/partition.h"
#include "storage/segment.h"

namespace polylog::storage {

// What the compactor needs of its cell.
class CompactHost {
 public:
  virtual ~CompactHost() = default;
  virtual Partition* find(const base::PartitionKey& key) = 0;
  virtual SegmentReader::Source source_of(const SegmentRef& segment) const = 0;
  virtual std::shared_ptr<BatchLoad> make_load(const Partition& partition, std::vector<StoredBatch> batches) const = 0;
  // Whether one mutation more is sure to find room: on a full disk one that does not stops the cell.
  virtual bool can_log_moves() const = 0;
  virtual void log_segment(Partition& partition, const SegmentRef& segment) = 0;
  virtual bool makes_segment_of(const base::PartitionKey& key) const = 0;  // another one does, just now
};

class Compactor {
 public:
  struct Options {
    io::Loop& loop;
    io::Disk& disk;
    std::string directory;
    base::CellId cell;
    uint64_t bytes_per_second = 256 * base::limits::kMiB;
    size_t key_bytes_max = 16 * base::limits::kMiB;
    base::SipKey secret = {};
  };
  struct Plan {
    base::PartitionKey partition;
    Offset dirty, end;  // [start, dirty) was compacted before; what lies below `end` is durable and old enough
    base::WallTime now;
    int64_t delete_retention_ms = 0;
    uint64_t segment_bytes_max = 128 * base::limits::kMiB;  // of a new segment
    int64_t segment_span_ms = INT64_MAX;                    // between the appends of its first and its last batch
    std::function<const CompactFormat*(uint8_t encoding)> format_of;  // null: such batches have no keys
  };
  struct Counts {
    uint64_t bytes_read = 0, bytes_written = 0, records_removed = 0;
  };
  struct Outcome {
    Offset clean;                                 // compacted up to here
    std::optional<base::WallTime> deletes_until;  // when the last mark that deletes a key may go
    Counts counts;
  };
  using Done = std::function<void(base::Result<Outcome>)>;
  Compactor(Options options, Extents& extents, CompactHost& host);
  ~Compactor();

  // Not while the same partition is under way. kNotFound: it was dropped meanwhile. kConflict: it changed otherwise; try
  // again.
  void run(Plan plan, Done done);
  bool busy() const { return pass_ != nullptr; }
  void stop() { stopped_ = true; }  // the cell failed: the pass ends without a word

 private:
  struct Pass;
  struct Step;
  struct Group;

  void next_step();
  void map_step(Partition& partition);
  void rewrite_step(Partition& partition);
  void take_turns();
  std::optional<Group> choose_group(const Partition& partition) const;
  bool begin_group(Partition& partition);
  void end_group(Pass& pass);
  base::Result<std::shared_ptr<Step>> make_step(const Partition& partition, Offset from, Offset end) const;
  void work(std::shared_ptr<Step> step, std::function<base::Result<>(Pass&, Step&)> job);
  void publish();
  void finish_group(SegmentWriter::Finished finished);
  void end_pass(base::Result<Outcome> outcome);

  Options options_;
  Extents& extents_;
  CompactHost& host_;
  std::shared_ptr<Pass> pass_;                 // whose turn it is
  std::deque<std::shared_ptr<Pass>> waiting_;  // for theirs
  bool stopped_ = false;
  std::unique_ptr<io::Worker> worker_;
};

}  // namespace polylog::storage
