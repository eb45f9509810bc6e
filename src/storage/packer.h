// Packer: moves what outlives the WAL, in the background, so that WAL files can be written over.
//
//   streams    what lies in WAL files older than the newest `keep_files` moves into segments, a quarter of a file
//              and more of one partition at a time: the second and last time that it is written
//   the rest   WAL files, and packs, of which little lives are emptied into a pack: one entry that stays for weeks does not
//              hold a whole file. A file's contents are left alone for some seconds, since most will die by themselves
//
// One move at a time: choose (a few thousand batches a turn), copy (a few MiB a step, on a worker, paced to
// `bytes_per_second`), publish the file, log the move. What was trimmed or dropped meanwhile is left out. A crash before the
// move is durable leaves a file that nobody names. Streams are moved after a burst of writes and not during it, unless its
// WAL files are more than `burst_bytes`.
// Owned by the cell's core. Does not decide what is deleted, nor release anything: checkpoints do.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "io/loop.h"
#include "storage/batch_load.h"
#include "storage/extents.h"
#include "storage/partition.h"
#include "storage/segment.h"
#include "storage/wal_files.h"

namespace polylog::storage {

// What the packer needs of its cell.
class PackerHost {
 public:
  virtual ~PackerHost() = default;
  // Adds some keys; returns where to go on, or nothing at the end.
  virtual std::optional<size_t> keys(size_t first_bucket, std::vector<base::PartitionKey>& keys) const = 0;
  virtual Partition* find(const base::PartitionKey& key) = 0;
  virtual uint64_t durable_file() const = 0;  // WAL files below it are synced to their end
  // Whether one mutation more is sure to find room: on a full disk one that does not stops the cell.
  virtual bool can_log_moves() const = 0;
  // A partition is being saved in parts: what moves now could not be told from its parts and the log.
  virtual bool moves_must_wait() const = 0;
  // Log and apply; the file is registered already.
  virtual void log_segment(Partition& partition, const SegmentRef& segment) = 0;
  virtual void log_move(const MoveMutation& move) = 0;
};

class Packer {
 public:
  struct Options {
    io::Loop& loop;
    io::Disk& disk;
    std::string directory;
    base::CellId cell;
    uint64_t keep_files = 4;
    uint64_t burst_bytes = 0;  // of WAL files that may wait while more is written fast
    uint64_t bytes_per_second = 256 * base::limits::kMiB;
  };
  struct Counts {
    uint64_t segments = 0, segment_bytes = 0;
    uint64_t packs = 0, pack_bytes = 0;
  };
  Packer(Options options, WalFiles& files, Extents& extents, PackerHost& host);

  ~Packer();

  // Something was written or freed: looks whether there is work, a second from now at the latest.
  void poke();
  void stop();  // the cell failed: nothing is moved any more
  const Counts& counts() const { return counts_; }
  bool busy() const { return scan_ != nullptr || copy_ != nullptr || moved_ != nullptr; }
  bool makes_segment_of(const base::PartitionKey& partition) const;  // just now

 private:
  struct Item {
    base::PartitionKey partition;
    BatchRef ref;
    uint64_t position = 0;  // in the pack; 0: not there
  };
  struct Scan;
  struct Copy;
  struct Moved;

  void look();
  bool in_burst() const;
  uint64_t pace() const;
  uint64_t burst_files() const { return options_.burst_bytes / files_.file_bytes(); }
  std::unique_ptr<Scan> plan();
  void scan_step();
  bool stays_in_log(const Piece& piece) const;
  size_t segment_length(const Partition& partition, size_t& batches_left) const;
  bool choose_segment(const Partition& partition, size_t& batches_left);
  size_t choose_for_pack(const Partition& partition, size_t batches_max);
  void end_scan();
  void start_copy(std::unique_ptr<Copy> copy);
  const Partition* where_it_was(const Item& item) const;
  void copy_step();
  void copied(const base::Result<>& result);
  void publish();
  void finish_segment(SegmentWriter::Finished finished);
  void finish_pack(std::unique_ptr<io::File> file);
  MoveMutation next_move(Moved& moved) const;
  void log_moves();
  void give_up(const base::Error& error);
  void end_loan();
  void end_copy();

  Options options_;
  WalFiles& files_;
  Extents& extents_;
  PackerHost& host_;
  std::unique_ptr<Scan> scan_;
  std::shared_ptr<Copy> copy_;
  std::unique_ptr<Moved> moved_;
  Counts counts_;
  bool armed_ = false;
  base::MonoTime armed_at_;
  uint64_t armed_at_file_ = 0;
  bool stopped_ = false;
  bool borrowed_ = false;             // the room that a file of the reserve left
  base::MonoTime not_before_;         // after a failure
  uint64_t scanned_at_file_ = 0;      // no segment was found when this was the current file
  std::set<uint64_t> damaged_files_;  // their batches stay where they are
  std::unique_ptr<io::Worker> worker_;
};

}  // namespace polylog::storage
