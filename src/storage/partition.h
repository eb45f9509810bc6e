// Partition: one totally ordered sequence of entries, as batches. Knows where each batch lies, keeps the newest in RAM, and
// holds the four ends of the log:
//
//   start <= committed <= appended.     Readers see [start, committed).  (durable and reserved ends are the cell's: Wal)
//
// State changes only through apply_append() and apply_trim(), live and in replay alike. Each object carries the lsn of the
// newest mutation it reflects (stamp); replay skips what a checkpoint already holds.
// Does not write, sync, or know what is in a batch. Owned by its cell's core. A memory-only partition has batches without
// pieces: its tail is all there is.
#pragma once

#include <deque>
#include <map>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "storage/mutation.h"
#include "storage/writers.h"

namespace polylog::storage {

using base::Offset;
using base::OffsetCount;

struct BatchRef {
  Offset base_offset;
  uint32_t count = 0;
  uint32_t bytes = 0;  // of all pieces
  WalPosition at;      // of the first piece; further ones in Partition::more_pieces_
  base::WallTime append_ts;
  base::WallTime max_ts;
  base::Epoch epoch;
  uint32_t crc = 0;  // crc32c of all its bytes: checked whenever they come from disk
  uint8_t encoding = 0;
  uint8_t flags = 0;
  uint8_t piece_count = 1;  // 0: memory only
  Offset end_offset() const { return base_offset + OffsetCount(count); }
};

// A batch and, when they are at hand, its bytes.
struct StoredBatch {
  BatchRef ref;
  base::Slice bytes;  // empty: not in RAM, to be loaded
};

class Partition {
 public:
  Partition(base::PartitionKey key, bool memory_only) : key_(key), memory_only_(memory_only) {}

  const base::PartitionKey& key() const { return key_; }
  bool memory_only() const { return memory_only_; }
  Offset start() const { return start_; }
  Offset committed() const { return committed_; }
  Offset appended() const { return appended_; }
  Lsn stamp() const { return stamp_; }
  WriterTable& writers() { return writers_; }
  const WriterTable& writers() const { return writers_; }

  // `bytes` may be empty (replay). Returns the offsets' end.
  void apply_append(const AppendMutation& m, Lsn lsn, base::Slice bytes);
  // Drops whole batches below `log_start`; returns their pieces, so that live bytes can be counted down.
  std::vector<Piece> apply_trim(Offset log_start, Lsn lsn);
  std::vector<Piece> all_pieces() const;
  void commit_to(Offset end);

  // The batch that holds `offset`; null when it is below the first or at/after the end.
  const BatchRef* find(Offset offset) const;
  // Batches from the one that holds `from`, up to `end` (exclusive) and about `bytes_max`, at least one.
  void read(Offset from, Offset end, size_t bytes_max, std::vector<StoredBatch>& out) const;
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
  size_t batch_count() const { return batches_.size(); }
  // Lets go of the RAM of the oldest cached batch if it is the one at `base_offset`; returns the bytes freed.
  size_t evict_tail(Offset base_offset);
  size_t tail_bytes() const { return tail_bytes_; }

  void save(base::Writer& out) const;
  bool load(base::Reader& in, Lsn stamp);  // into a fresh partition
  std::string describe() const;

 private:
  size_t index_of(Offset offset) const;  // batches_.size() if none
  void push_epoch(base::Epoch epoch, Offset at);

  base::PartitionKey key_;
  bool memory_only_;
  // persistent
  Offset start_, appended_;
  std::deque<BatchRef> batches_;
  std::map<int64_t, std::vector<Piece>> more_pieces_;  // by base offset: the second piece and on
  std::vector<EpochStart> epochs_;
  WriterTable writers_;
  Lsn stamp_;
  // in memory only
  Offset committed_;
  std::deque<base::Slice> tail_;  // bytes of the last tail_.size() batches
  size_t tail_bytes_ = 0;
  uint64_t stored_bytes_ = 0;
};

}  // namespace polylog::storage
