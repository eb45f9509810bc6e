// Partition: one totally ordered sequence of entries, as batches. Knows where each batch lies, keeps the newest in RAM, and
// holds the four ends of the log:
//
//   start <= committed <= appended.     Readers see [start, committed).  (durable and reserved ends are the cell's: Wal)
//
// Old batches may have moved into segments: those come first, and are read through storage/segment.h. The batches behind
// them are known one by one; they lie in WAL files and packs.
//
//   | segment | segment | batch batch batch ... |
//                       ^ resident_start()
//
// State changes only through the apply_ functions, live and in replay alike. Each object carries the lsn of the newest
// mutation it reflects (stamp); replay skips what a checkpoint already holds.
// Does not write, sync, or know what is in a batch. Owned by its cell's core. A memory-only partition has batches without
// pieces: its tail is all there is.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "storage/batch_ref.h"
#include "storage/mutation.h"
#include "storage/writers.h"

namespace polylog::storage {

class Partition {
 public:
  Partition(base::PartitionKey key, bool memory_only) : key_(key), memory_only_(memory_only) {}

  const base::PartitionKey& key() const { return key_; }
  bool memory_only() const { return memory_only_; }
  Offset start() const { return start_; }
  Offset committed() const { return committed_; }
  Offset appended() const { return appended_; }
  Lsn stamp() const { return stamp_; }
  // Read by offset only, so that its old batches need not be known one by one.
  bool moves_to_segments() const { return moves_to_segments_ && !held_; }
  void set_moves_to_segments(bool moves) { moves_to_segments_ = moves; }
  // Its oldest batches are being rewritten: until that is over none moves to a segment.
  void hold_batches(bool hold) { held_ = hold; }
  WriterTable& writers() { return writers_; }
  const WriterTable& writers() const { return writers_; }

  // What a change left behind: counted down as live, and given back one day.
  struct Freed {
    std::vector<Piece> pieces;
    std::vector<SegmentRef> segments;
  };
  // `bytes` may be empty (replay).
  void apply_append(const AppendMutation& m, Lsn lsn, base::Slice bytes);
  // Drops whole batches, and whole segments, below `log_start`.
  Freed apply_trim(Offset log_start, Lsn lsn);
  // The segment stands for all that lay in its range.
  Freed apply_segment(const SegmentRef& segment, Lsn lsn);
  bool has_run(const MoveMutation::Run& run) const;  // all of it, without a gap
  // The run's batches lie in `pack` now, those apart that lie in a later one. CHECKs has_run().
  Freed apply_move(uint64_t pack, const MoveMutation::Run& run, Lsn lsn);
  std::vector<Piece> all_pieces() const;
  const std::deque<SegmentRef>& segments() const { return segments_; }
  // The segment that holds `offset`, or, where there is a gap, the next one. Null: it is behind all of them.
  const SegmentRef* segment_at(Offset offset) const;
  Offset resident_start() const { return segments_.empty() ? start_ : segments_.back().end_offset; }
  const std::deque<BatchRef>& batches() const { return batches_; }
  void commit_to(Offset end);

  // Of the batches behind the segments:
  // The batch that holds `offset`; null when it is below the first or at/after the end.
  const BatchRef* find(Offset offset) const;
  // Batches from the one that holds `from`, up to `end` (exclusive) and about `bytes_max`, at least one.
  void read(Offset from, Offset end, size_t bytes_max, std::vector<StoredBatch>& out,
            size_t batches_max = SIZE_MAX) const;
  StoredBatch batch_at(Offset offset) const;  // CHECKs that find() would find it
  std::vector<Piece> pieces_of(const BatchRef& ref) const;

  // First batch whose max_ts >= ts, or null. And the batch with the greatest max_ts.
  const BatchRef* find_by_time(base::WallTime ts) const;
  const BatchRef* newest_by_time() const;

  struct EpochStart {
    base::Epoch epoch;
    Offset start;
  };
  const std::vector<EpochStart>& epochs() const { return epochs_; }

  uint64_t stored_bytes() const { return stored_bytes_; }
  uint64_t batch_count() const { return batches_.size() + segment_batches_; }
  // Lets go of the RAM of the oldest cached batch if it is the one at `base_offset`; returns the bytes freed.
  size_t evict_tail(Offset base_offset);
  size_t tail_bytes() const { return tail_bytes_; }

  // A partition of many batches is saved in parts, between which it goes on changing: the head first, with no more than
  // `batches_max` of its batches, then those from `next` on. What is trimmed or moves before its part is saved shows in that
  // part; replay from the head's stamp on does it again, to the same end.
  struct SavedPart {
    Offset next, end;  // equal: that was the last part
    bool is_last() const { return next >= end; }
  };
  SavedPart save(base::Writer& out, size_t batches_max = SIZE_MAX) const;
  SavedPart save_more(base::Writer& out, const SavedPart& before, size_t batches_max) const;
  static constexpr uint8_t kSavedVersion = 2;               // 1: without segments
  bool load(base::Reader& in, Lsn stamp, uint8_t version);  // into a fresh partition
  bool load_more(base::Reader& in);
  // False: it does not decode, or `visit` says so.
  static bool read_batches(base::Reader& in, const std::function<bool(BatchRef&, std::vector<Piece>&)>& visit);
  // Once for each number: whether this is the first time. For walks over all partitions that begin again.
  bool mark(uint64_t walk) { return std::exchange(marked_, walk) != walk; }
  std::string describe() const;

 private:
  size_t index_of(Offset offset) const;  // batches_.size() if none
  size_t tail_first() const { return batches_.size() - tail_.size(); }
  void save_batch(base::Writer& out, const BatchRef& ref) const;
  void pop_front_batch(Freed& freed);
  void drop_segment(std::deque<SegmentRef>::iterator at, Freed& freed);
  void push_epoch(base::Epoch epoch, Offset at);

  base::PartitionKey key_;
  bool memory_only_;
  bool moves_to_segments_ = false;  // as the engine says; not stored
  bool held_ = false;
  // persistent
  Offset start_, appended_;
  std::deque<SegmentRef> segments_;
  std::deque<BatchRef> batches_;
  std::map<int64_t, std::vector<Piece>> more_pieces_;  // by base offset: the second piece and on
  std::vector<EpochStart> epochs_;
  WriterTable writers_;
  Lsn stamp_;
  // in memory only
  Offset committed_;
  std::deque<base::Slice> tail_;  // bytes of the last tail_.size() batches
  size_t tail_bytes_ = 0;
  uint64_t stored_bytes_ = 0;  // segments too
  uint64_t segment_batches_ = 0;
  uint64_t marked_ = 0;
};

}  // namespace polylog::storage
