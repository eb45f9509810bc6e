// Cell: checkpoint rounds, and giving back what they no longer name.
#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "storage/cell.h"

namespace polylog::storage {
namespace {

constexpr auto kReleaseInterval = std::chrono::seconds(1);  // between checkpoints that only give space back
constexpr auto kDiskLags = std::chrono::milliseconds(1);
constexpr size_t kPartitionsPerTurn = 2048;                          // and buckets
constexpr size_t kBatchesPerObject = 4096;                           // 236 KiB
constexpr size_t kPartitionBytesPerTurn = 128 * base::limits::kKiB;  // or one object
constexpr size_t kObjectsPerTurn = 2048;                             // of the engine, and places without one
constexpr size_t kObjectBytesPerTurn = 64 * base::limits::kKiB;      // they lie scattered in memory, unlike batches
constexpr auto kCheckpointRetryAfter = std::chrono::seconds(1);

}  // namespace

void Cell::consider_checkpoint() {
  const bool asked = space_freed_ || disk_full();
  if (round_ || options_.loop.now() < next_checkpoint_) {
    if (asked && !round_) look_again();
    return;
  }
  // Where the state is large, not before as much was logged as a checkpoint writes.
  const uint64_t wal_bytes = std::max(options_.checkpoint_wal_bytes, newest_checkpoint_bytes_);
  const uint64_t mutation_bytes = std::max(options_.checkpoint_mutation_bytes, newest_checkpoint_bytes_);
  const bool due = checkpoint_failed_ || wal_->written_bytes() - checkpoint_wal_bytes_ >= wal_bytes ||
                   wal_->mutation_bytes_total() - checkpoint_mutation_bytes_ >= mutation_bytes;
  // Space that a deletion freed is given back soon: another cell, or another program, may be waiting for it. But a large
  // state is not written again and again for a file each.
  const base::MonoTime now = options_.loop.now();
  if (asked) next_checkpoint_ = now + kReleaseInterval;  // looking costs something, too
  if (asked && !due && !disk_full() && now < next_release_) return look_again();
  const bool releasable = asked && (!files_.dead_before(files_.current()).empty() || !extents_.dead().empty());
  space_freed_ = false;
  if (releasable)
    next_release_ = now + std::chrono::seconds(newest_checkpoint_bytes_ / options_.release_bytes_per_second);
  if (due || releasable) checkpoint([](base::Result<>) {});
}

void Cell::look_again() {
  if (look_armed_) return;
  look_armed_ = true;
  options_.loop.call_at(next_checkpoint_, [this] {
    look_armed_ = false;
    if (!failed_) consider_checkpoint();
  });
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
  round_->dead_extents = extents_.dead();
  round_->number = ++rounds_;
  round_->objects = engine_.walk_objects();
  round_->writer = std::make_unique<CheckpointWriter>(
      options_.disk, *checkpoint_worker_, options_.directory,
      CheckpointHead{.cell = options_.id, .replay_start = round_->start, .leader_ts = now()});
  checkpoint_step();
}

void Cell::checkpoint_step() {
  if (failed_) return end_round(base::fail(base::ErrorCode::kIo, "the cell stopped"));
  if (round_->writer->lags()) {
    options_.loop.call_at(options_.loop.now() + kDiskLags, [this] { checkpoint_step(); });
    return;
  }
  if (!save_partitions() && !save_objects()) return end_saving();
  options_.loop.call_at(options_.loop.now(), [this] { checkpoint_step(); });
}

// A step's work is bounded by bytes, so that no turn grows long; the next step runs in the next turn.
// As much as a turn may take; false: all partitions are saved. A table of partitions that grew is gone through again.
bool Cell::save_partitions() {
  size_t bytes = 0;
  for (size_t seen = 0; seen < kPartitionsPerTurn && bytes < kPartitionBytesPerTurn; ++seen) {
    if (round_->part) {
      bytes += save_more_batches();
      continue;
    }
    if (!round_->bucket.empty()) {
      Partition* partition = find(round_->bucket.back());
      round_->bucket.pop_back();
      if (partition != nullptr && !partition->memory_only() && partition->mark(round_->number))
        bytes += save_partition(*partition);
      continue;
    }
    if (std::exchange(round_->bucket_count, partitions_.bucket_count()) != partitions_.bucket_count())
      round_->next_bucket = 0;
    if (round_->next_bucket == round_->bucket_count) return false;
    const size_t bucket = round_->next_bucket++;
    for (auto at = partitions_.begin(bucket); at != partitions_.end(bucket); ++at) round_->bucket.push_back(at->first);
  }
  return true;
}

size_t Cell::save_partition(Partition& partition) {
  base::Writer payload;
  write_key(payload, partition.key());
  const Partition::SavedPart saved = partition.save(payload, kBatchesPerObject);
  round_->writer->add({.type = kPartitionObject,
                       .version = Partition::kSavedVersion,
                       .stamp = partition.stamp(),
                       .payload = payload.view()});
  if (!saved.is_last()) round_->part = {partition.key(), partition.stamp(), saved};
  return payload.size();
}

size_t Cell::save_more_batches() {
  Round::Part& part = *round_->part;
  const Partition* partition = find(part.partition);
  base::Writer payload;
  if (partition != nullptr) {  // replay will drop what was dropped
    write_key(payload, part.partition);
    part.saved = partition->save_more(payload, part.saved, kBatchesPerObject);
    round_->writer->add({.type = kPartitionBatchesObject, .stamp = part.stamp, .payload = payload.view()});
  }
  if (partition == nullptr || part.saved.is_last()) round_->part.reset();
  return payload.size();
}

// The same of the engine's objects.
bool Cell::save_objects() {
  size_t bytes = 0;
  base::Writer payload;
  for (size_t seen = 0; seen < kObjectsPerTurn && bytes < kObjectBytesPerTurn; ++seen) {
    CheckpointObject object;
    payload.clear();
    const ObjectWalk::Step step = round_->objects->next(payload, object);
    if (step == ObjectWalk::Step::kEnd) return false;
    if (step == ObjectWalk::Step::kNothing) continue;
    object.payload = payload.view();
    round_->writer->add(object);
    bytes += payload.size();
  }
  return true;
}

void Cell::end_saving() {
  round_->highest_stamp = appended_lsn();
  wal_->seal();
  checkpoint_publish();
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
  checkpoint_bytes_written_ += round->writer->bytes();
  if (result) {
    newest_checkpoint_bytes_ = round->writer->bytes();
    files_.release(round->dead_files);
    extents_.release(round->dead_extents);
    if (space_freed_) look_again();
  } else {
    base::log_error("storage", fmt::format("cell {}: checkpoint failed: {}", options_.id.value, result.error().text),
                    {{"cell", options_.id.value}});
    checkpoint_failed_ = true;
    next_checkpoint_ = options_.loop.now() + kCheckpointRetryAfter;
    options_.loop.call_at(next_checkpoint_, [this] {
      if (!failed_) consider_checkpoint();
    });
    if (result.error().code == base::ErrorCode::kDiskFull)
      std::ignore = files_.lend_reserve(WalFiles::Loan::kUntilRelease);
  }
  for (auto& done : round->waiting) done(result);
}

}  // namespace polylog::storage
