// Wal: one cell's write-ahead log. Builds slots on the core, writes and syncs them on a worker, and says in order which are
// durable. Group commit: all that is added while one sync runs leaves in the next.
//
// append path   add_batch() / add_mutation() put bytes into the open slot and assign positions and lsns at once;
//               seal() (at a turn's end) closes the open slot and hands all closed slots to the worker if it is idle.
// failure       the first write or sync error is final: on_failed() is called once and nothing is ever reported durable
//               afterwards. A failed fdatasync is not retried.
// Not for       reading (storage/wal_recovery.h, storage/cold_reads.h) or deciding what a mutation means.
// Owned by the cell's core. Lsns count from 1; durable_lsn() is the last lsn of the last durable slot.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "base/metrics.h"
#include "io/loop.h"
#include "storage/mutation.h"
#include "storage/slot.h"
#include "storage/tail_arena.h"
#include "storage/wal_files.h"

namespace polylog::storage {

// Where writing goes on: what recovery found, or {first file, 0, seq 1, lsn 1} for a new cell.
struct WalEnd {
  WalPosition position;
  SlotSeq next_seq{1};
  Lsn next_lsn{1};
  uint32_t previous_crc = 0;
  base::Epoch epoch;  // of the last slot
};

class Wal {
 public:
  struct Options {
    io::Loop& loop;
    WalFiles& files;
    base::CellId cell;
    base::Uuid nonce;
    std::function<base::WallTime()> clock;  // the cell's
    std::function<void(Lsn durable)> on_durable;
    std::function<void(const base::Error&)> on_failed;
    base::Histogram* sync_time = nullptr;  // of group commits, as the core sees them
  };
  static size_t slot_bytes_max(uint64_t file_bytes);
  static size_t part_bytes_for(uint64_t file_bytes);  // what part_bytes_max() will say

  Wal(Options options, const WalEnd& end);
  ~Wal();

  // Blocking, at start-up: writes and syncs the opening slot of `epoch`.
  base::Result<> open_epoch(base::Epoch epoch);
  base::Epoch epoch() const { return epoch_; }

  // The largest batch bytes and mutation bytes one slot takes; longer batches are cut into pieces by the caller.
  size_t part_bytes_max() const { return part_bytes_max_; }

  // How many further files the pieces of one long batch take at most.
  size_t files_for(size_t pieces) const;

  // Makes sure that the next `batch_bytes` and `mutation_bytes` land in one slot. False when the WAL cannot take them now:
  // the disk is full (unless `may_use_reserve`), or it failed.
  bool reserve(size_t batch_bytes, size_t mutation_bytes, bool may_use_reserve);
  struct Added {
    Piece piece;
    base::Slice bytes;
    base::MutView writable;  // until this turn ends
  };
  Added add_batch(View bytes);
  Lsn add_mutation(const Mutation& mutation);

  // Call at a turn's end when someone waits for what was added. What nobody waits for may stay in the open slot, to leave
  // with the next that matters.
  void seal();
  // What is closed, because it was full. The open slot goes on collecting, unless seal() was called for it.
  void send_when_idle();
  void write_witness();  // an empty slot; only when nothing is open or in flight
  Lsn next_lsn() const { return next_lsn_; }
  Lsn durable_lsn() const { return durable_lsn_; }
  // End of the last slot known to be synced: what lies before it can be read back.
  WalPosition durable_end() const { return durable_end_; }
  bool idle() const { return !open_ && closed_.empty() && in_flight_ == 0; }
  bool failed() const { return failed_; }
  size_t undurable_bytes() const { return undurable_bytes_; }  // in closed slots
  size_t open_bytes() const { return open_ ? open_->batch_bytes + open_->mutations.size() : 0; }
  uint64_t written_bytes() const { return written_bytes_; }
  uint64_t mutation_bytes_total() const { return mutation_bytes_total_; }
  uint64_t sync_count() const { return sync_count_; }

  // Position of the next slot to be opened; closes the open one first. For checkpoints.
  WalEnd cut_here();

 private:
  struct OpenSlot {
    WalPosition position;
    Lsn first_lsn;
    SlotKind kind = SlotKind::kData;
    std::vector<base::Slice> batches;  // in order; neighbours in one chunk are merged
    size_t batch_bytes = 0;
    size_t body_bytes_max = 0;
    base::Writer mutations;
    uint32_t mutation_count = 0;
  };
  struct ClosedSlot {
    std::shared_ptr<io::File> file;
    WalPosition position;
    SlotSeq seq;
    Lsn last_lsn;
    std::array<uint8_t, kSlotHeaderBytes> header;
    std::vector<base::Slice> batches;
    std::vector<uint8_t> mutations_and_padding;
    size_t disk_bytes = 0;
  };
  using Group = std::vector<ClosedSlot>;

  bool open(size_t body_bytes, bool may_use_reserve);
  size_t body_bytes_max_at(const WalPosition& at) const;
  void close();
  void submit();
  struct GroupEnd {
    SlotSeq seq;
    Lsn lsn;
    WalPosition position;
    size_t slots = 0;
    size_t bytes = 0;
    base::MonoTime sent_at = {};
  };
  void written(const base::Result<>& result, const GroupEnd& end);
  static base::Result<> write_group(const Group& group);

  Options options_;
  size_t part_bytes_max_;
  base::Epoch epoch_;
  WalPosition position_;
  SlotSeq next_seq_;
  SlotSeq file_first_seq_;  // of the current file, as far as this life wrote it
  SlotSeq durable_seq_{0};
  Lsn next_lsn_;
  Lsn durable_lsn_;
  WalPosition durable_end_;
  uint32_t previous_crc_;
  std::unique_ptr<OpenSlot> open_;
  Group closed_;
  size_t in_flight_ = 0;
  size_t undurable_bytes_ = 0;
  uint64_t written_bytes_ = 0;
  uint64_t mutation_bytes_total_ = 0;
  uint64_t sync_count_ = 0;
  bool someone_waits_ = false;  // for the open slot
  bool failed_ = false;
  TailArena arena_;
  std::unique_ptr<io::Worker> worker_;
};

}  // namespace polylog::storage
