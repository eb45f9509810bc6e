// Checkpoints: the state of a cell's objects in one file, so that replay begins late. docs/formats/checkpoint.md.
//
// Fuzzy: objects are written one after the other between loop turns, each stamped with the lsn of the newest mutation it
// reflects; replay from the checkpoint's start skips, per object, what its stamp covers. A file counts only under its final
// name `checkpoint-<16 hex>.plc`, which it gets once it and the WAL up to its highest stamp are synced.
//
// file (little-endian)
//   head   magic 'PLCK' u32 | version u16 | cell u16 | epoch u32 | replay start: file_seq u64, offset u64, next_seq u64,
//          next_lsn u64, previous_crc u32 | leader_ts_ms i64 | crc32c of the head u32
//   block  bytes u32 | crc u32 (crc32c of the payload, continued from the crc before) | payload: objects
//   end    0 u32 | crc u32 (of the count, likewise) | object count u64
//   object type u16 | version u8 | zero u8 | bytes u32 | stamp u64 | payload
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "io/disk.h"
#include "io/loop.h"
#include "storage/wal.h"

namespace polylog::storage {

inline constexpr size_t kCheckpointBlockBytes = 256 * base::limits::kKiB;
inline constexpr size_t kCheckpointHeadBytes = 60;

struct CheckpointHead {
  base::CellId cell;
  WalEnd replay_start;
  base::WallTime leader_ts;
};

bool decode_checkpoint_head(View bytes, CheckpointHead& head);

// Types 1 and 2 are a partition; types from 0x100 on belong to broker/.
struct CheckpointObject {
  uint16_t type = 0;
  uint8_t version = 1;
  Lsn stamp;
  View payload;
};
inline constexpr uint16_t kPartitionObject = 1;
inline constexpr uint16_t kPartitionBatchesObject = 2;  // further batches of a partition whose object came before
inline bool is_of_partition(const CheckpointObject& object) {
  return object.type == kPartitionObject || object.type == kPartitionBatchesObject;
}

void encode_object(base::Writer& out, const CheckpointObject& object);

// Writes one checkpoint on a worker, block by block, while the core goes on collecting objects.
class CheckpointWriter {
 public:
  CheckpointWriter(io::Disk& disk, io::Worker& worker, std::string directory, const CheckpointHead& head);
  void add(const CheckpointObject& object);
  uint64_t bytes() const { return bytes_; }  // of what was added
  // More waits for the disk than should lie in memory: add nothing for a while.
  bool lags() const { return *blocks_waiting_ > kBlocksWaitingMax; }
  // The last block, the sync, the final name and the removal of older checkpoints. `done` runs on the core.
  void finish(std::function<void(base::Result<>)> done);

 private:
  static constexpr size_t kBlocksWaitingMax = 16;
  struct Shared;  // used by the worker only
  void flush();
  io::Worker& worker_;
  std::shared_ptr<Shared> shared_;
  base::Writer block_;
  uint64_t count_ = 0, bytes_ = 0;
  std::shared_ptr<size_t> blocks_waiting_ = std::make_shared<size_t>(0);
  bool too_large_ = false;
};

// Blocking, at start-up. No checkpoint: nullopt. Damage: kCorrupt, naming file and offset.
base::Result<std::optional<CheckpointHead>> load_checkpoint(
    io::Disk& disk, const std::string& directory, base::CellId cell,
    const std::function<base::Result<>(const CheckpointObject&)>& visit);

// One file, whatever its name says. Where a block does not verify, `go_on` (it may be empty) is asked whether to read on
// behind it; its objects are left out.
using CheckpointDamage = std::function<bool(uint64_t offset, std::string_view what)>;
base::Result<CheckpointHead> read_checkpoint(io::Disk& disk, const std::string& path,
                                             const std::function<base::Result<>(const CheckpointObject&)>& visit,
                                             const CheckpointDamage& go_on = {});
// The name of the one that counts; empty: there is none. With `before`, the newest that is older than that one.
base::Result<std::string> newest_checkpoint(io::Disk& disk, const std::string& directory,
                                            const std::string& before = {});
// Its replay start's next seq; 0: no name of a checkpoint.
uint64_t checkpoint_number(std::string_view name);

}  // namespace polylog::storage
