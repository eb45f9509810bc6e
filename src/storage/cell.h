// Cell: the unit of ownership and durability. A fixed set of partitions and engine objects with ONE write-ahead log.
//
// Everything is staged at once against the newest (appended) state and gets an lsn; nothing may leave the broker before the
// lsn it depends on is committed. The engine above asks committed_lsn() and is told by Engine::on_commit(); replies wait
// there. A cell that failed (sync error, corruption) refuses to stage and never commits again.
//
// durability: kCommit: committed = durable. kInterval: committed = appended; a crash may take back the last moments, and the
// epoch, which rises at every start, tells clients.
// Lives on one core for as long as it is open. Knows no wire format and no queue or group: those are the Engine's.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "io/disk.h"
#include "io/loop.h"
#include "storage/cell_clock.h"
#include "storage/checkpoint.h"
#include "storage/cold_reads.h"
#include "storage/compactor.h"
#include "storage/extents.h"
#include "storage/packer.h"
#include "storage/partition.h"
#include "storage/wal.h"
#include "storage/wal_recovery.h"

namespace polylog::storage {

enum class Durability { kCommit, kInterval };

// All objects of an engine, one after the other, for one checkpoint. Between the steps other work goes on: what comes
// meanwhile may be left out, what goes may have been saved, nothing comes twice.
class ObjectWalk {
 public:
  enum class Step : uint8_t { kObject, kNothing, kEnd };
  virtual ~ObjectWalk() = default;
  // A short step, whatever there is. kObject: `payload` has got an object, or a part of a large one, which `object`
  // describes (but for its payload). kNothing: there was nothing to save where it looked.
  virtual Step next(base::Writer& payload, CheckpointObject& object) = 0;
};

// What the engine keeps in a cell besides partitions, as the cell sees it.
class Engine {
 public:
  virtual ~Engine() = default;
  // Replay: the same functions that live code uses to change durable state. A mutation at or below the object's stamp is
  // skipped by the engine.
  virtual base::Result<> replay(const Mutation& mutation, Lsn lsn) = 0;
  virtual base::Result<> restore(const CheckpointObject& object) = 0;
  virtual std::unique_ptr<ObjectWalk> walk_objects() = 0;  // one at a time
  virtual void on_commit(Lsn committed) = 0;               // after partitions' committed ends moved
  virtual void on_partition_commit(Partition& partition) = 0;
  virtual void on_cell_failed(const base::Error& error) = 0;
  virtual void on_space_change(bool full) = 0;
};

// Defined in cell.cc (staging, committing, reading), cell_open.cc and cell_checkpoint.cc.
class Cell final : private PackerHost, private CompactHost {
 public:
  struct Options {
    io::Loop& loop;
    io::Disk& disk;
    std::string directory;
    base::CellId id;
    base::Uuid nonce;
    uint64_t wal_file_bytes = base::limits::kWalFileBytesDefault;
    uint64_t reserve_bytes = base::limits::kReserveBytesDefault;
    size_t tail_bytes_max = 64 * base::limits::kMiB;
    size_t memory_only_bytes_max =
        64 * base::limits::kMiB;                           // of all memory-only partitions; past it producers are held
    size_t undurable_bytes_max = 64 * base::limits::kMiB;  // staged, not yet on disk; past it append() says kOverloaded
    uint64_t checkpoint_wal_bytes = 256 * base::limits::kMiB;
    uint64_t checkpoint_mutation_bytes = 32 * base::limits::kMiB;
    uint64_t release_bytes_per_second = 16 * base::limits::kMiB;  // of checkpoints that only give space back
    uint64_t keep_files = 4;       // WAL files: what is older moves to segments, and is emptied when half dead
    uint64_t burst_bytes = 0;      // of WAL files that may wait to be moved while more is written fast
    size_t open_files_max = 1024;  // of packs, segments and log files that are written no more, at a time
    uint64_t pack_bytes_per_second = 256 * base::limits::kMiB;
    size_t compact_bytes_max = 16 * base::limits::kMiB;  // memory for the keys of one compaction
    Durability durability = Durability::kCommit;
    base::Duration durability_interval = std::chrono::milliseconds(100);  // of kInterval: how often the WAL is synced
    base::Histogram* sync_time = nullptr;                                 // Wal::Options::sync_time
  };
  Cell(Options options, Engine& engine);
  ~Cell() override;

  // Blocking, at start-up: loads, replays, raises the epoch. kCorrupt: this cell stays closed.
  base::Result<RecoveryReport> open();

  // --- staging
  struct BatchInfo {
    uint32_t count = 0;
    uint8_t encoding = 0;
    uint8_t flags = 0;
    base::WallTime max_ts;
    std::optional<WriterStamp> writer;
    // Patches the first piece in place once the offset is known; may be empty.
    std::function<void(base::MutView first_piece, Offset base, base::Epoch epoch)> place;
  };
  struct Appended {
    Offset base_offset;
    base::WallTime append_ts;
    Lsn lsn;  // the append is committed when committed_lsn() reaches it
  };
  base::Result<Appended> append(Partition& partition, const BatchInfo& info, View bytes);
  Lsn trim(Partition& partition, Offset log_start);
  void drop(const base::PartitionKey& key) { drop(std::span(&key, 1)); }
  void drop(std::span<const base::PartitionKey> keys);  // in one go through the tail, which may be long
  // What was trimmed is given back by a checkpoint within seconds, not by the next one that is due.
  void release_soon() { space_freed_ = true; }
  // The engine's own mutations. Always taken unless the cell failed (then Lsn{} never commits).
  Lsn log(MutationType type, View payload, uint8_t version = 1);

  // --- state
  base::CellId id() const { return options_.id; }
  base::Epoch epoch() const { return wal_ ? wal_->epoch() : base::Epoch{}; }
  bool failed() const { return failed_; }
  bool disk_full() const { return files_.only_reserve_left(); }
  bool reserve_low() const { return files_.reserve_low(); }
  // Nothing that brings more should be logged: a full disk has little reserve left, or WAL files are not made fast enough.
  bool room_is_short() const { return files_.reserve_low() || files_.preparing_lags(); }
  // More is staged than should wait for the disk, or lies in memory-only partitions than memory allows.
  bool overloaded() const {
    return !failed_ && (files_.preparing_lags() || wal_->undurable_bytes() > options_.undurable_bytes_max / 2 ||
                        memory_only_bytes_ > options_.memory_only_bytes_max);
  }
  Lsn committed_lsn() const { return committed_lsn_; }
  Lsn appended_lsn() const { return Lsn(wal_->next_lsn().value - 1); }
  Partition* find(const base::PartitionKey& key) override;
  Partition& find_or_make(const base::PartitionKey& key, bool memory_only);
  template <typename Visit>
  void for_each_partition(Visit visit) {
    for (auto& [key, partition] : partitions_) visit(*partition);
  }
  base::WallTime now();
  // Adds the keys of some of the hash table's buckets; returns where to go on, or nothing at the end. A partition that is
  // made meanwhile may make the table grow, so that some are left out and others come twice.
  std::optional<size_t> keys(size_t first_bucket, std::vector<base::PartitionKey>& keys) const override;

  // --- reading
  // Fills in the bytes that are not in RAM. What is still on its way to the disk is read when it is there; a cell that
  // fails meanwhile answers kIo.
  void load(const Partition& partition, std::vector<StoredBatch> batches, ColdReads::Done done);
  // Reads what lies in a segment; `wish.from` is below the partition's resident_start().
  void read_segment(const Partition& partition, const SegmentReader::Wish& wish, ColdReads::Done done);
  // The first committed batch with max_ts >= ts; nullopt: nothing is that young. Answers at once where it can.
  void find_by_time(const Partition& partition, base::WallTime ts, ColdReads::Found done);
  void find_newest(const Partition& partition, ColdReads::Found done);  // the first one with the greatest max_ts

  // --- life
  // Closes and sends what was staged; call at each turn's end that staged something. Where nobody waits for it, it may
  // leave a moment later, with what others stage meanwhile: a sync saved.
  enum class Wait : uint8_t { kSomeone, kNobody };
  void end_turn(Wait wait = Wait::kSomeone);
  void checkpoint(std::function<void(base::Result<>)> done);  // joins a running round
  uint64_t checkpoint_bytes_written() const { return checkpoint_bytes_written_; }
  bool checkpointing() const { return round_ != nullptr; }
  const Packer::Counts& packed() const { return packer_.counts(); }
  Compactor& compactor() { return compactor_; }
  const Extents& extents() const { return extents_; }
  const Wal& wal() const { return *wal_; }
  base::Result<io::Disk::Space> disk_space() const { return options_.disk.space(options_.directory); }
  size_t partition_count() const { return partitions_.size(); }
  size_t tail_bytes() const { return tail_bytes_; }
  size_t memory_only_bytes() const { return memory_only_bytes_; }
  const Options& options() const { return options_; }
  std::string describe() const;

 private:
  struct PendingCommit {
    Lsn lsn;
    Partition* partition;
    Offset end;
  };
  struct TailEntry {
    Partition* partition;
    Offset base_offset;
    uint64_t at;  // tail_span_ when it came
  };
  struct WaitingLoad {
    WalPosition until;  // readable when the WAL is durable up to here
    base::PartitionKey partition;
    std::vector<StoredBatch> batches;
    ColdReads::Done done;
  };
  struct Round {  // of a checkpoint
    WalEnd start;
    std::vector<uint64_t> dead_files;
    Extents::Dead dead_extents;
    uint64_t number = 0;
    size_t next_bucket = 0, bucket_count = 0;  // of partitions_
    std::vector<base::PartitionKey> bucket;    // what is left of the last one
    struct Part {                              // what is left of a partition of many batches
      base::PartitionKey partition;
      Lsn stamp;
      Partition::SavedPart saved;
    };
    std::optional<Part> part;
    std::unique_ptr<ObjectWalk> objects;
    Lsn highest_stamp;
    std::unique_ptr<CheckpointWriter> writer;
    std::vector<std::function<void(base::Result<>)>> waiting;
  };

  base::Result<> replay_slot(const SlotHeader& header, View mutations);
  base::Result<> replay_mutation(const Mutation& mutation, Lsn lsn);
  base::Result<> restore(const CheckpointObject& object);
  base::Result<> check_recovered(const RecoveryReport& report) const;
  base::Result<> check_extents(const Partition& partition) const;
  std::shared_ptr<io::File> file_of(uint64_t file_seq) const;
  std::shared_ptr<BatchLoad> make_load(const Partition& partition, std::vector<StoredBatch> batches) const override;
  SegmentReader::Source source_of(const SegmentRef& segment) const override {
    return {segment, extents_.segment(segment.extent)};
  }
  void count_live(const std::vector<Piece>& pieces, int sign);
  template <typename Change>
  void free_by(Partition& partition, Change change);
  // PackerHost and CompactHost
  bool makes_segment_of(const base::PartitionKey& key) const override { return packer_.makes_segment_of(key); }
  uint64_t durable_file() const override { return wal_->durable_end().file_seq; }
  bool can_log_moves() const override { return !failed_ && files_.can_advance(true); }
  bool moves_must_wait() const override { return round_ != nullptr && round_->part.has_value(); }
  void log_segment(Partition& partition, const SegmentRef& segment) override;
  void log_move(const MoveMutation& move) override;
  void on_durable(Lsn durable);
  void start_waiting_loads();
  static void look_up_again(const Partition& partition, std::vector<StoredBatch>& batches);
  void commit(Lsn lsn);
  void on_failed(const base::Error& error);
  void keep_in_tail(Partition& partition, Offset base_offset, size_t bytes);
  void forget(const std::unordered_set<const Partition*>& partitions);
  void append_in_memory(Partition& partition, const BatchInfo& info, View bytes, Appended& appended);
  base::Result<> make_room_for(size_t pieces);
  base::Result<std::vector<Piece>> write_pieces(View bytes, const BatchInfo& info, Offset base, base::Slice& whole,
                                                uint32_t& crc, size_t mutation_bytes);
  void seal_after(base::Duration delay);
  void arm_witness();
  void consider_checkpoint();
  void look_again();
  void checkpoint_step();
  bool save_partitions();
  bool save_objects();
  size_t save_partition(Partition& partition);
  size_t save_more_batches();
  void end_saving();
  void checkpoint_publish();
  void end_round(const base::Result<>& result);

  Options options_;
  Engine& engine_;
  WalFiles files_;
  Extents extents_;
  std::unique_ptr<Wal> wal_;
  ColdReads cold_reads_;
  TailArena memory_arena_;  // for memory-only partitions
  CellClock clock_;
  std::unordered_map<base::PartitionKey, std::unique_ptr<Partition>> partitions_;
  std::deque<PendingCommit> pending_;
  std::deque<WaitingLoad> waiting_loads_;
  std::deque<TailEntry> tail_order_;
  size_t tail_bytes_ = 0;
  uint64_t tail_span_ = 0;  // bytes ever put into the tail
  size_t memory_only_bytes_ = 0;
  uint64_t disk_bytes_ = 0;  // the size of the file system, at open
  Lsn committed_lsn_;
  Lsn highest_restored_stamp_;  // of the checkpoint that was loaded
  base::WallTime newest_leader_ts_;
  bool failed_ = false;
  bool checkpoint_failed_ = false;
  bool look_armed_ = false;
  bool space_freed_ = false;     // a partition was dropped since the last checkpoint began
  bool interval_armed_ = false;  // a seal is due by timer
  bool witness_armed_ = false;
  bool witness_written_ = false;
  uint64_t sync_count_at_arm_ = 0;
  uint64_t checkpoint_wal_bytes_ = 0;  // wal totals at the last round's begin
  uint64_t checkpoint_mutation_bytes_ = 0;
  uint64_t rounds_ = 0;
  uint64_t checkpoint_bytes_written_ = 0;
  uint64_t newest_checkpoint_bytes_ = 0;  // 0: made before this start
  base::MonoTime next_checkpoint_;        // not before, after one that failed
  base::MonoTime next_release_;           // nor one that only gives space back, while the disk is not full
  std::unique_ptr<Round> round_;
  Packer packer_;
  Compactor compactor_;
  std::unique_ptr<io::Worker> checkpoint_worker_;
};

}  // namespace polylog::storage
