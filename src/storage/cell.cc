#include "storage/cell.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/log.h"

namespace polylog::storage {
namespace {

constexpr auto kWitnessAfter = std::chrono::seconds(1);
constexpr auto kNobodyWaits = std::chrono::milliseconds(2);  // how long what nobody waits for may stay
constexpr auto kReleaseInterval = std::chrono::seconds(1);  // between checkpoints that only give space back
constexpr auto kCheckpointRetryAfter = std::chrono::seconds(1);
constexpr size_t kAppendMutationBytesMax = 128;  // without further pieces
constexpr size_t kPieceMutationBytes = 20;
constexpr size_t kReserveFilesMin = 2;  // one to write to, one to lend to a checkpoint
constexpr uint64_t kDiskShareOfBatch = 2;  // the WAL files of one batch take at most half of the disk

}  // namespace

struct Cell::Round {
  WalEnd start;
  std::vector<uint64_t> dead_files;
  std::vector<base::PartitionKey> partitions;
  std::vector<std::string> objects;
  size_t next_partition = 0, next_object = 0;
  Lsn highest_stamp;
  std::unique_ptr<CheckpointWriter> writer;
  std::vector<std::function<void(base::Result<>)>> waiting;
};

Cell::Cell(Options options, Engine& engine)
    : options_(std::move(options)),
      engine_(engine),
      files_({.disk = options_.disk,
              .loop = options_.loop,
              .directory = options_.directory,
              .file_bytes = options_.wal_file_bytes,
              .reserve_files = std::max<size_t>(kReserveFilesMin, options_.reserve_bytes / options_.wal_file_bytes)}),
      cold_reads_(options_.loop, files_),
      checkpoint_worker_(options_.loop.make_worker("checkpoint")) {}

// --- opening

base::Result<RecoveryReport> Cell::open() {
  TRY(options_.disk.make_directory(options_.directory));
  TRY_ASSIGN(const io::Disk::Space space, options_.disk.space(options_.directory));
  disk_bytes_ = space.total_bytes;
  TRY(files_.open_existing());
  TRY_ASSIGN(const auto head, load_checkpoint(options_.disk, options_.directory, options_.id,
                                              [this](const CheckpointObject& object) { return restore(object); }));
  WalEnd start{.position = {files_.sequence_numbers().empty() ? 1 : files_.sequence_numbers().front(), 0}};
  if (head) {
    start = head->replay_start;
    newest_leader_ts_ = head->leader_ts;
  }
  TRY_ASSIGN(RecoveryReport report,
             recover_wal(files_, options_.id, start, [this](const SlotHeader& header, View mutations) {
               return replay_slot(header, mutations);
             }));
  newest_leader_ts_ = std::max(newest_leader_ts_, report.newest_leader_ts);
  TRY(check_recovered(report));
  // What recovery kept is synced before anything is answered.
  for (uint64_t seq : files_.sequence_numbers())
    if (seq <= report.end.position.file_seq) TRY(files_.file(seq)->sync_data());
  TRY(files_.set_current(report.end.position.file_seq));
  if (files_.file_bytes() - report.end.position.offset < Wal::slot_bytes_max(files_.file_bytes()))
    TRY(files_.make_next());  // the opening slot will not fit
  for (auto& [key, partition] : partitions_) {
    count_live(partition->all_pieces(), +1);
    partition->commit_to(partition->appended());
  }
  clock_.start(options_.loop.now(), options_.loop.wall_now(), newest_leader_ts_);
  wal_ = std::make_unique<Wal>(Wal::Options{.loop = options_.loop,
                                            .files = files_,
                                            .cell = options_.id,
                                            .nonce = options_.nonce,
                                            .clock = [this] { return now(); },
                                            .on_durable = [this](Lsn durable) { on_durable(durable); },
                                            .on_failed = [this](const base::Error& error) { on_failed(error); }},
                               report.end);
  files_.set_on_change([this] { engine_.on_space_change(disk_full()); });
  files_.set_on_failed([this](const base::Error& error) { on_failed(error); });
  TRY(wal_->open_epoch(report.end.epoch.next()));
  committed_lsn_ = wal_->durable_lsn();
  files_.prepare_ahead();
  return report;
}

Cell::~Cell() = default;

// A checkpoint is published only when the WAL is synced up to its highest stamp, and a WAL file goes only when nothing live
// lies in it. Where that does not hold, something durable was lost: going on would reuse lsns that stamps cover.
base::Result<> Cell::check_recovered(const RecoveryReport& report) const {
  const WalPosition end = report.end.position;
  if (report.end.next_lsn <= highest_restored_stamp_)
    return base::fail(base::ErrorCode::kCorrupt,
                      fmt::format("{}/{} at offset {}: the log ends before mutation {}, and the checkpoint reflects {}",
                                  options_.directory, WalFiles::name_of(end.file_seq), end.offset,
                                  report.end.next_lsn.value, highest_restored_stamp_.value));
  for (const auto& [key, partition] : partitions_)
    for (const Piece& piece : partition->all_pieces())
      if (!files_.file(piece.at.file_seq))
        return base::fail(base::ErrorCode::kCorrupt,
                          fmt::format("{}/{} is missing: a batch lies in it at offset {}", options_.directory,
                                      WalFiles::name_of(piece.at.file_seq), piece.at.offset));
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
  if (mutation.version != 1)
    return base::fail(base::ErrorCode::kCorrupt, "written by a newer version of polylog; start that one");
  switch (mutation.type) {
    case MutationType::kAppend: {
      TRY_ASSIGN(const AppendMutation append, decode_append(mutation.payload));
      Partition& partition = find_or_make(append.partition, false);
      if (lsn > partition.stamp()) partition.apply_append(append, lsn, {});
      return {};
    }
    case MutationType::kTrim: {
      TRY_ASSIGN(const TrimMutation trim, decode_trim(mutation.payload));
      Partition& partition = find_or_make(trim.partition, false);
      if (lsn > partition.stamp()) partition.apply_trim(trim.log_start, lsn);
      return {};
    }
    case MutationType::kDrop: {
      TRY_ASSIGN(const DropMutation drop, decode_drop(mutation.payload));
      partitions_.erase(drop.partition);
      return {};
    }
    case MutationType::kFirstOfEngine: break;
  }
  return base::fail(base::ErrorCode::kCorrupt,
                    fmt::format("unknown mutation type {}: written by a newer version of polylog; start that one",
                                static_cast<int>(mutation.type)));
}

// Partition object: stream 16 B | index u32 | what Partition::save() wrote.
base::Result<> Cell::restore(const CheckpointObject& object) {
  highest_restored_stamp_ = std::max(highest_restored_stamp_, object.stamp);
  if (object.type != kPartitionObject) return engine_.restore(object);
  base::Reader in(object.payload);
  const base::PartitionKey key = read_key(in);
  Partition& partition = find_or_make(key, false);
  if (object.version != 1 || !partition.load(in, object.stamp))
    return base::fail(base::ErrorCode::kCorrupt, "a checkpoint's partition does not decode");
  return {};
}

void Cell::count_live(const std::vector<Piece>& pieces, int sign) {
  for (const Piece& piece : pieces) files_.add_live(piece.at.file_seq, sign * static_cast<int64_t>(piece.bytes));
}

// --- staging

Partition* Cell::find(const base::PartitionKey& key) {
  const auto found = partitions_.find(key);
  return found == partitions_.end() ? nullptr : found->second.get();
}

Partition& Cell::find_or_make(const base::PartitionKey& key, bool memory_only) {
  auto& slot = partitions_[key];
  if (!slot) slot = std::make_unique<Partition>(key, memory_only);
  return *slot;
}

base::WallTime Cell::now() { return clock_.read(options_.loop.now(), options_.loop.wall_now()); }

base::Result<Cell::Appended> Cell::append(Partition& partition, const BatchInfo& info, View bytes) {
  if (info.count == 0 || bytes.empty()) return base::fail(base::ErrorCode::kInvalid, "a batch without records");
  Appended appended{.base_offset = partition.appended(), .append_ts = now(), .lsn = {}};
  if (partition.memory_only()) {
    append_in_memory(partition, info, bytes, appended);
    return appended;
  }
  if (failed_) return base::fail(base::ErrorCode::kIo, "the cell stopped after a failed write");
  if (wal_->undurable_bytes() > options_.undurable_bytes_max)
    return base::fail(base::ErrorCode::kOverloaded, "more is waiting for the disk than memory allows");

  AppendMutation m{.partition = partition.key(),
                   .base_offset = partition.appended(),
                   .count = info.count,
                   .epoch = epoch(),
                   .encoding = info.encoding,
                   .flags = info.flags,
                   .append_ts = appended.append_ts,
                   .max_ts = info.max_ts,
                   .pieces = {},
                   .writer = info.writer};
  const size_t piece_count = (bytes.size() + wal_->part_bytes_max() - 1) / wal_->part_bytes_max();
  if (piece_count > kPiecesPerBatchMax) return base::fail(base::ErrorCode::kTooLarge, "a batch of too many pieces");
  if (piece_count > 1) TRY(make_room_for(piece_count));
  base::Slice whole;
  TRY_ASSIGN(m.pieces, write_pieces(bytes, info, m.base_offset, whole, m.crc,
                                    kAppendMutationBytesMax + piece_count * kPieceMutationBytes));
  base::Writer payload;
  encode(payload, m);
  appended.lsn = wal_->add_mutation({MutationType::kAppend, 1, payload.view()});
  count_live(m.pieces, +1);
  const size_t kept_bytes = whole.size();
  const size_t bytes_before = partition.tail_bytes();
  partition.apply_append(m, appended.lsn, std::move(whole));
  if (kept_bytes == 0) tail_bytes_ -= bytes_before;  // a batch in pieces is not kept in RAM, nor what lies before it
  keep_in_tail(partition, appended.base_offset, kept_bytes);
  pending_.push_back({appended.lsn, &partition, partition.appended()});
  return appended;
}

// All or nothing: a batch that ran out of files half way would use up what the next attempt needs.
base::Result<> Cell::make_room_for(size_t pieces) {
  const size_t files = wal_->files_for(pieces);
  if (files_.has_ready(files)) return {};
  if (files * files_.file_bytes() > disk_bytes_ / kDiskShareOfBatch)
    return base::fail(base::ErrorCode::kTooLarge, "larger than what fits a disk of this size");
  files_.want_ready(files);
  if (files_.disk_is_full())
    return base::fail(base::ErrorCode::kDiskFull, "no room for new data; free space or delete streams");
  return base::fail(base::ErrorCode::kOverloaded, "the WAL files for a batch so long are not ready yet");
}

// Copies the batch into the open slot; a batch longer than a slot takes goes ahead in pieces, and the mutation that names
// them comes last: all are durable before it counts.
base::Result<std::vector<Piece>> Cell::write_pieces(View bytes, const BatchInfo& info, Offset base, base::Slice& whole,
                                                    uint32_t& crc, size_t mutation_bytes) {
  const size_t part = wal_->part_bytes_max();
  std::vector<Piece> pieces;
  for (size_t at = 0; at < bytes.size() || pieces.empty(); at += part) {
    const View piece = bytes.subspan(at, std::min(part, bytes.size() - at));
    if (!wal_->reserve(piece.size(), mutation_bytes, false)) {
      if (disk_full()) return base::fail(base::ErrorCode::kDiskFull, "no room for new data; free space or delete streams");
      return base::fail(base::ErrorCode::kOverloaded, "the next WAL file is not ready yet");
    }
    Wal::Added added = wal_->add_batch(piece);
    if (pieces.empty() && info.place) info.place(added.writable, base, epoch());
    crc = base::crc32c(added.bytes.view(), crc);
    pieces.push_back(added.piece);
    whole = pieces.size() == 1 ? std::move(added.bytes) : base::Slice{};  // several pieces are read back when asked for
  }
  return pieces;
}

void Cell::append_in_memory(Partition& partition, const BatchInfo& info, View bytes, Appended& appended) {
  auto [slice, writable] = memory_arena_.copy(bytes);
  if (info.place) info.place(writable, partition.appended(), epoch());
  AppendMutation m{.partition = partition.key(),
                   .base_offset = partition.appended(),
                   .count = info.count,
                   .epoch = epoch(),
                   .encoding = info.encoding,
                   .flags = info.flags,
                   .append_ts = appended.append_ts,
                   .max_ts = info.max_ts,
                   .pieces = {},
                   .writer = info.writer};
  memory_only_bytes_ += bytes.size();
  partition.apply_append(m, partition.stamp(), std::move(slice));
  partition.commit_to(partition.appended());
}

Lsn Cell::log(MutationType type, View payload, uint8_t version) {
  if (failed_) return Lsn(UINT64_MAX);
  if (!wal_->reserve(0, payload.size() + kMutationHeaderBytes, true)) {
    // Its effect is about to be applied: a cell whose state runs ahead of its log must not go on.
    on_failed({base::ErrorCode::kDiskFull, "the disk is full and the reserve is used up"});
    return Lsn(UINT64_MAX);
  }
  return wal_->add_mutation({type, version, payload});
}

Lsn Cell::trim(Partition& partition, Offset log_start) {
  if (partition.memory_only()) {
    const uint64_t before = partition.stored_bytes();
    partition.apply_trim(log_start, partition.stamp());
    memory_only_bytes_ -= before - partition.stored_bytes();
    return {};
  }
  base::Writer payload;
  encode(payload, TrimMutation{partition.key(), log_start});
  const Lsn lsn = log(MutationType::kTrim, payload.view());
  const size_t bytes_before = partition.tail_bytes();
  count_live(partition.apply_trim(log_start, lsn), -1);
  tail_bytes_ -= bytes_before - partition.tail_bytes();
  return lsn;
}

void Cell::drop(const base::PartitionKey& key) {
  const auto found = partitions_.find(key);
  if (found == partitions_.end()) return;
  Partition& partition = *found->second;
  if (!partition.memory_only()) {
    base::Writer payload;
    encode(payload, DropMutation{key});
    log(MutationType::kDrop, payload.view());
    count_live(partition.all_pieces(), -1);
    space_freed_ = true;
  }
  forget(partition);
  partitions_.erase(found);
}

void Cell::forget(Partition& partition) {
  if (partition.memory_only()) {
    memory_only_bytes_ -= partition.stored_bytes();
  } else {
    tail_bytes_ -= partition.tail_bytes();
  }
  std::erase_if(pending_, [&](const PendingCommit& p) { return p.partition == &partition; });
  std::erase_if(tail_order_, [&](const TailEntry& t) { return t.partition == &partition; });
}

void Cell::keep_in_tail(Partition& partition, Offset base_offset, size_t bytes) {
  if (bytes == 0) return;
  tail_span_ += bytes;
  tail_order_.push_back({&partition, base_offset, tail_span_});
  tail_bytes_ += bytes;
  // By age, not by what is left: one small batch that stays keeps the whole chunk it lies in. So entries of trimmed batches
  // go like the others, and are never more than those of an untrimmed tail would be.
  while (!tail_order_.empty() && tail_span_ - tail_order_.front().at > options_.tail_bytes_max) {
    const TailEntry oldest = tail_order_.front();
    tail_order_.pop_front();
    tail_bytes_ -= oldest.partition->evict_tail(oldest.base_offset);  // nothing, if it was trimmed meanwhile
  }
}

// --- committing

void Cell::end_turn(Wait wait) {
  if (failed_) return;
  witness_written_ = false;
  if (options_.durability == Durability::kInterval) {
    if (wal_->undurable_bytes() > 0) wal_->seal();  // full slots leave at once, so that memory stays bounded
    seal_after(options_.durability_interval);
    commit(appended_lsn());
  } else if (wait == Wait::kSomeone) {
    wal_->seal();
  } else {
    seal_after(kNobodyWaits);
  }
  arm_witness();
  consider_checkpoint();
}

void Cell::on_durable(Lsn durable) {
  if (failed_) return;
  start_waiting_loads();
  if (durable <= committed_lsn_) return engine_.on_commit(committed_lsn_);  // nothing new is visible, but room was made
  commit(durable);
}

void Cell::seal_after(base::Duration delay) {
  if (interval_armed_) return;
  interval_armed_ = true;
  options_.loop.call_at(options_.loop.now() + delay, [this] {
    interval_armed_ = false;
    if (!failed_) wal_->seal();
  });
}

void Cell::commit(Lsn lsn) {
  if (lsn <= committed_lsn_) return;
  committed_lsn_ = lsn;
  std::vector<Partition*> moved;
  while (!pending_.empty() && pending_.front().lsn <= lsn) {
    const PendingCommit& next = pending_.front();
    next.partition->commit_to(std::min(next.end, next.partition->appended()));
    if (moved.empty() || moved.back() != next.partition) moved.push_back(next.partition);
    pending_.pop_front();
  }
  for (Partition* partition : moved) engine_.on_partition_commit(*partition);
  engine_.on_commit(lsn);
}

void Cell::on_failed(const base::Error& error) {
  if (std::exchange(failed_, true)) return;
  base::log_error("storage", fmt::format("cell {} stopped: {}. It refuses writes from now on; restart polylog once the "
                                         "disk is sound",
                                         options_.id.value, error.text));
  for (WaitingLoad& waiting : std::exchange(waiting_loads_, {})) waiting.done(std::unexpected(error));
  engine_.on_cell_failed(error);
}

// --- reading

void Cell::load(const Partition& partition, std::vector<StoredBatch> batches, ColdReads::Done done) {
  WalPosition until;
  for (const StoredBatch& batch : batches) {
    if (!batch.bytes.empty()) continue;
    const Piece last = partition.pieces_of(batch.ref).back();
    until = std::max(until, WalPosition{last.at.file_seq, last.at.offset + last.bytes});
  }
  if (until <= wal_->durable_end()) return cold_reads_.load(partition, std::move(batches), std::move(done));
  if (failed_) return done(base::fail(base::ErrorCode::kIo, "the cell stopped before this was written"));
  waiting_loads_.push_back({until, partition.key(), std::move(batches), std::move(done)});
}

void Cell::start_waiting_loads() {
  for (WaitingLoad& waiting : std::exchange(waiting_loads_, {})) {
    const Partition* partition = find(waiting.partition);
    if (partition == nullptr) {
      waiting.done(base::fail(base::ErrorCode::kNotFound, "dropped meanwhile"));
    } else if (waiting.until > wal_->durable_end()) {
      waiting_loads_.push_back(std::move(waiting));
    } else {  // what was trimmed meanwhile may lie in a file that is gone
      std::erase_if(waiting.batches,
                    [&](const StoredBatch& batch) { return partition->find(batch.ref.base_offset) == nullptr; });
      cold_reads_.load(*partition, std::move(waiting.batches), std::move(waiting.done));
    }
  }
}

void Cell::arm_witness() {
  if (witness_armed_) return;
  witness_armed_ = true;
  sync_count_at_arm_ = wal_->sync_count();
  options_.loop.call_at(options_.loop.now() + kWitnessAfter, [this] {
    witness_armed_ = false;
    if (failed_) return;
    consider_checkpoint();  // one that had to wait its turn
    if (witness_written_) return;
    if (wal_->idle() && wal_->sync_count() == sync_count_at_arm_) {
      witness_written_ = true;
      wal_->write_witness();
    } else {
      arm_witness();
    }
  });
}

// --- checkpoints

void Cell::consider_checkpoint() {
  if (round_ || options_.loop.now() < next_checkpoint_) return;
  const bool due = checkpoint_failed_ || wal_->written_bytes() - checkpoint_wal_bytes_ >= options_.checkpoint_wal_bytes ||
                   wal_->mutation_bytes_total() - checkpoint_mutation_bytes_ >= options_.checkpoint_mutation_bytes;
  // Space that a deletion freed is given back soon: another cell, or another program, may be waiting for it.
  const bool releasable = (space_freed_ || disk_full()) && !files_.dead_before(files_.current()).empty();
  if (releasable) next_checkpoint_ = options_.loop.now() + kReleaseInterval;
  if (due || releasable) checkpoint([](base::Result<>) {});
}

void Cell::checkpoint(std::function<void(base::Result<>)> done) {
  if (failed_) return done(base::fail(base::ErrorCode::kIo, "the cell stopped"));
  if (round_) {
    round_->waiting.push_back(std::move(done));
    return;
  }
  space_freed_ = checkpoint_failed_ = false;
  round_ = std::make_unique<Round>();
  round_->waiting.push_back(std::move(done));
  checkpoint_wal_bytes_ = wal_->written_bytes();
  checkpoint_mutation_bytes_ = wal_->mutation_bytes_total();
  round_->start = wal_->cut_here();
  // Dead now means: no object written from here on can name them.
  round_->dead_files = files_.dead_before(round_->start.position.file_seq);
  for (const auto& [key, partition] : partitions_)
    if (!partition->memory_only()) round_->partitions.push_back(key);
  round_->objects = engine_.object_names();
  round_->writer = std::make_unique<CheckpointWriter>(
      options_.disk, *checkpoint_worker_, options_.directory,
      CheckpointHead{.cell = options_.id, .replay_start = round_->start, .leader_ts = now()});
  checkpoint_step();
}

void Cell::checkpoint_step() {
  if (failed_) return end_round(base::fail(base::ErrorCode::kIo, "the cell stopped"));
  // A step's work is bounded by bytes, so that no turn grows long; the next step runs in the next turn.
  size_t bytes = 0;
  base::Writer payload;
  while (bytes < kCheckpointBlockBytes && round_->next_partition < round_->partitions.size()) {
    const base::PartitionKey key = round_->partitions[round_->next_partition++];
    const Partition* partition = find(key);
    if (partition == nullptr) continue;
    payload.clear();
    write_key(payload, key);
    partition->save(payload);
    round_->writer->add({.type = kPartitionObject, .stamp = partition->stamp(), .payload = payload.view()});
    bytes += payload.size();
  }
  while (bytes < kCheckpointBlockBytes && round_->next_object < round_->objects.size()) {
    CheckpointObject object;
    payload.clear();
    if (!engine_.snapshot(round_->objects[round_->next_object++], payload, object)) continue;
    object.payload = payload.view();
    round_->writer->add(object);
    bytes += payload.size();
  }
  const bool collected =
      round_->next_partition == round_->partitions.size() && round_->next_object == round_->objects.size();
  if (collected) {
    round_->highest_stamp = appended_lsn();
    wal_->seal();
    return checkpoint_publish();
  }
  options_.loop.call_at(options_.loop.now(), [this] { checkpoint_step(); });
}

// Published only when the WAL is durable up to the highest stamp any object may carry.
void Cell::checkpoint_publish() {
  if (failed_) return end_round(base::fail(base::ErrorCode::kIo, "the cell stopped"));
  if (wal_->durable_lsn() < round_->highest_stamp) {
    options_.loop.call_at(options_.loop.now() + std::chrono::milliseconds(1), [this] { checkpoint_publish(); });
    return;
  }
  round_->writer->finish([this](const base::Result<>& result) { end_round(result); });
}

void Cell::end_round(const base::Result<>& result) {
  auto round = std::move(round_);
  if (result) {
    files_.release(round->dead_files);
  } else {
    base::log_error("storage", fmt::format("cell {}: checkpoint failed: {}", options_.id.value, result.error().text));
    checkpoint_failed_ = true;
    next_checkpoint_ = options_.loop.now() + kCheckpointRetryAfter;
    options_.loop.call_at(next_checkpoint_, [this] {
      if (!failed_) consider_checkpoint();
    });
    if (result.error().code == base::ErrorCode::kDiskFull) files_.lend_reserve();
  }
  for (auto& done : round->waiting) done(result);
}

std::string Cell::describe() const {
  return fmt::format("cell {}: epoch {} appended {} committed {} partitions {} wal files {} tail {} B{}{}",
                     options_.id.value, epoch().value, wal_ ? appended_lsn().value : 0, committed_lsn_.value,
                     partitions_.size(), files_.count(), tail_bytes_, failed_ ? " FAILED" : "",
                     disk_full() ? " disk full" : "");
}

}  // namespace polylog::storage
