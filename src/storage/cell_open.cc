// Cell: opening. Checkpoint, replay, checks, and the first slot of a new epoch.
#include <fmt/format.h>

#include "storage/cell.h"
#include "storage/replay.h"

namespace polylog::storage {

base::Result<RecoveryReport> Cell::open() {
  TRY(options_.disk.make_directory(options_.directory));
  TRY_ASSIGN(const io::Disk::Space space, options_.disk.space(options_.directory));
  disk_bytes_ = space.total_bytes;
  TRY(files_.open_existing());
  TRY(extents_.open_existing());
  TRY_ASSIGN(const auto head, load_checkpoint(options_.disk, options_.directory, options_.id,
                                              [this](const CheckpointObject& object) { return restore(object); }));
  WalEnd start{.position = {files_.sequence_numbers().empty() ? 1 : files_.sequence_numbers().front(), 0}};
  if (head) {
    start = head->replay_start;
    newest_leader_ts_ = head->leader_ts;
  }
  TRY_ASSIGN(RecoveryReport report,
             recover_wal(files_, options_.id, start,
                         [this](const SlotHeader& header, View mutations) { return replay_slot(header, mutations); }));
  newest_leader_ts_ = std::max(newest_leader_ts_, report.newest_leader_ts);
  TRY(check_recovered(report));
  TRY(make_durable(files_, report));
  TRY(files_.set_current(report.end.position.file_seq));
  if (files_.file_bytes() - report.end.position.offset < Wal::slot_bytes_max(files_.file_bytes()))
    TRY(files_.make_next());  // the opening slot will not fit
  for (auto& [key, partition] : partitions_) {
    count_live(partition->all_pieces(), +1);
    for (const SegmentRef& segment : partition->segments()) extents_.use_segment(segment);
    partition->commit_to(partition->appended());
  }
  clock_.start(options_.loop.now(), options_.loop.wall_now(), newest_leader_ts_);
  wal_ = std::make_unique<Wal>(Wal::Options{.loop = options_.loop,
                                            .files = files_,
                                            .cell = options_.id,
                                            .nonce = options_.nonce,
                                            .clock = [this] { return now(); },
                                            .on_durable = [this](Lsn durable) { on_durable(durable); },
                                            .on_failed = [this](const base::Error& error) { on_failed(error); },
                                            .sync_time = options_.sync_time},
                               report.end);
  files_.set_on_change([this] { engine_.on_space_change(disk_full()); });
  files_.set_on_failed([this](const base::Error& error) { on_failed(error); });
  TRY(wal_->open_epoch(report.end.epoch.next()));
  committed_lsn_ = wal_->durable_lsn();
  files_.prepare_ahead();
  extents_.remove_dead();
  // A stop, or a kill, leaves files to which only a checkpoint can say goodbye; the next one may be long in coming.
  space_freed_ = !files_.dead_before(files_.current()).empty();
  if (space_freed_) look_again();
  return report;
}

// A checkpoint is published only when the WAL is synced up to its highest stamp, and a WAL file goes only when nothing live
// lies in it. Where that does not hold, something durable was lost: going on would reuse lsns that stamps cover.
base::Result<> Cell::check_recovered(const RecoveryReport& report) const {
  const WalPosition end = report.end.position;
  if (report.end.next_lsn <= highest_restored_stamp_)
    return base::fail(base::ErrorCode::kCorrupt,
                      fmt::format("{}/{} at offset {}: the log ends before mutation {}, and the checkpoint reflects {}",
                                  options_.directory, WalFiles::name_of(end.file_seq), end.offset,
                                  report.end.next_lsn.value, highest_restored_stamp_.value));
  for (const auto& [key, partition] : partitions_) TRY(check_extents(*partition));
  return {};
}

base::Result<> Cell::check_extents(const Partition& partition) const {
  for (const Piece& piece : partition.all_pieces()) {
    if (file_of(piece.at.file_seq)) continue;
    const std::string name = in_pack(piece.at) ? to_file_name({ExtentKind::kPack, piece.at.file_seq & ~kPackBit})
                                               : WalFiles::name_of(piece.at.file_seq);
    return base::fail(base::ErrorCode::kCorrupt, fmt::format("{}/{} is missing: a batch lies in it at offset {}",
                                                             options_.directory, name, piece.at.offset));
  }
  for (const SegmentRef& segment : partition.segments()) TRY(extents_.check_segment(segment));
  return {};
}

base::Result<> Cell::replay_slot(const SlotHeader& header, View mutations) {
  base::Reader reader(mutations);
  Mutation mutation;
  Lsn lsn = header.lsn;
  for (; next_mutation(reader, mutation); lsn = lsn.next()) {
    if (auto result = replay_mutation(mutation, lsn); !result) {
      return base::fail(result.error().code,
                        fmt::format("{} at offset {}, mutation {}: {}", WalFiles::name_of(header.position.file_seq),
                                    header.position.offset, lsn.value, result.error().text));
    }
  }
  if (!reader.ok() || lsn.value != header.lsn.value + header.mutation_count)
    return base::fail(base::ErrorCode::kCorrupt, "a slot's mutations do not fill it");
  return {};
}

base::Result<> Cell::replay_mutation(const Mutation& mutation, Lsn lsn) {
  if (mutation.type >= MutationType::kFirstOfEngine) return engine_.replay(mutation, lsn);
  return storage::replay_mutation(partitions_, mutation, lsn);
}

base::Result<> Cell::restore(const CheckpointObject& object) {
  highest_restored_stamp_ = std::max(highest_restored_stamp_, object.stamp);
  if (!is_of_partition(object)) return engine_.restore(object);
  return restore_partition(partitions_, object);
}

}  // namespace polylog::storage
