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
constexpr size_t kUndurableShares = 4;           // of kInterval: one collects, producers are held from the second on
constexpr size_t kAppendMutationBytesMax = 128;  // without further pieces
constexpr size_t kBucketsPerTurn = 512;          // of the table of partitions
constexpr size_t kPieceMutationBytes = 20;
constexpr size_t kReserveFilesMin = 2;     // one to write to, one to lend to a checkpoint
constexpr uint64_t kDiskShareOfBatch = 2;  // the WAL files of one batch take at most half of the disk

}  // namespace

Cell::Cell(Options options, Engine& engine)
    : options_(std::move(options)),
      engine_(engine),
      files_({.disk = options_.disk,
              .loop = options_.loop,
              .directory = options_.directory,
              .file_bytes = options_.wal_file_bytes,
              .reserve_files = std::max<size_t>(kReserveFilesMin, options_.reserve_bytes / options_.wal_file_bytes),
              .open_files_max = options_.open_files_max / 2}),
      extents_({.loop = options_.loop,
                .disk = options_.disk,
                .directory = options_.directory,
                .open_files_max = options_.open_files_max / 2}),
      cold_reads_(options_.loop),
      packer_({.loop = options_.loop,
               .disk = options_.disk,
               .directory = options_.directory,
               .cell = options_.id,
               .keep_files = options_.keep_files,
               .burst_bytes = options_.burst_bytes,
               .bytes_per_second = options_.pack_bytes_per_second},
              files_, extents_, *this),
      compactor_({.loop = options_.loop,
                  .disk = options_.disk,
                  .directory = options_.directory,
                  .cell = options_.id,
                  .bytes_per_second = options_.pack_bytes_per_second,
                  .key_bytes_max = options_.compact_bytes_max,
                  .secret = options_.nonce.bytes},
                 extents_, *this),
      checkpoint_worker_(options_.loop.make_worker("checkpoint")) {}

Cell::~Cell() = default;

// --- staging

void Cell::count_live(const std::vector<Piece>& pieces, int sign) {
  for (const Piece& piece : pieces) {
    const int64_t bytes = sign * static_cast<int64_t>(piece.bytes);
    if (in_pack(piece.at)) {
      extents_.add_live(piece.at.file_seq, bytes, sign);
    } else {
      files_.add_live(piece.at.file_seq, bytes);
    }
  }
}

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
      if (disk_full())
        return base::fail(base::ErrorCode::kDiskFull, "no room for new data; free space or delete streams");
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
  free_by(partition, [&] { return partition.apply_trim(log_start, lsn); });
  return lsn;
}

// Applies a change that lets go of stored bytes, and counts them down.
template <typename Change>
void Cell::free_by(Partition& partition, Change change) {
  const size_t bytes_before = partition.tail_bytes();
  const Partition::Freed freed = change();
  count_live(freed.pieces, -1);
  for (const SegmentRef& segment : freed.segments) {
    extents_.drop_segment(segment);
    space_freed_ = true;
  }
  tail_bytes_ -= bytes_before - partition.tail_bytes();
}

// --- what the packer moved

std::optional<size_t> Cell::keys(size_t first_bucket, std::vector<base::PartitionKey>& keys) const {
  const size_t count = partitions_.bucket_count();
  const size_t end = std::min(first_bucket + kBucketsPerTurn, count);
  for (size_t bucket = first_bucket; bucket < end; ++bucket)
    for (auto at = partitions_.begin(bucket); at != partitions_.end(bucket); ++at) keys.push_back(at->first);
  return end < count ? std::optional(end) : std::nullopt;
}

void Cell::log_segment(Partition& partition, const SegmentRef& segment) {
  base::Writer payload;
  encode(payload, SegmentMutation{partition.key(), segment});
  const Lsn lsn = log(MutationType::kSegment, payload.view());
  if (failed_) return;
  free_by(partition, [&] { return partition.apply_segment(segment, lsn); });
  extents_.use_segment(segment);
  space_freed_ = true;
  end_turn(Wait::kNobody);
}

void Cell::log_move(const MoveMutation& move) {
  base::Writer payload;
  encode(payload, move);
  const Lsn lsn = log(MutationType::kMove, payload.view());
  if (failed_) return;
  for (const MoveMutation::Run& run : move.runs) {
    Partition& partition = *find(run.partition);
    uint64_t bytes = 0;
    free_by(partition, [&] {
      Partition::Freed freed = partition.apply_move(move.pack, run, lsn);
      for (const Piece& piece : freed.pieces) bytes += piece.bytes;
      return freed;
    });
    extents_.add_live(move.pack | kPackBit, static_cast<int64_t>(bytes), run.batch_count);
  }
  space_freed_ = true;
  end_turn(Wait::kNobody);
}

void Cell::drop(std::span<const base::PartitionKey> keys) {
  std::unordered_set<const Partition*> dropped;
  for (const base::PartitionKey& key : keys) {
    Partition* partition = find(key);
    if (partition == nullptr) continue;
    dropped.insert(partition);
    if (partition->memory_only()) {
      memory_only_bytes_ -= partition->stored_bytes();
      continue;
    }
    base::Writer payload;
    encode(payload, DropMutation{key});
    log(MutationType::kDrop, payload.view());
    count_live(partition->all_pieces(), -1);
    for (const SegmentRef& segment : partition->segments()) extents_.drop_segment(segment);
    space_freed_ = true;
    tail_bytes_ -= partition->tail_bytes();
  }
  forget(dropped);
  for (const base::PartitionKey& key : keys) partitions_.erase(key);
}

void Cell::forget(const std::unordered_set<const Partition*>& partitions) {
  if (partitions.empty()) return;
  std::erase_if(pending_, [&](const PendingCommit& p) { return partitions.contains(p.partition); });
  std::erase_if(tail_order_, [&](const TailEntry& t) { return partitions.contains(t.partition); });
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
    // So that memory stays bounded; where there is little of it, a slot does not wait until it is full.
    if (wal_->undurable_bytes() + wal_->open_bytes() > options_.undurable_bytes_max / kUndurableShares) {
      wal_->seal();
    } else {
      wal_->send_when_idle();
    }
    seal_after(options_.durability_interval);
    commit(appended_lsn());
  } else if (wait == Wait::kSomeone) {
    wal_->seal();
  } else {
    seal_after(kNobodyWaits);
  }
  arm_witness();
  packer_.poke();
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
  packer_.stop();
  compactor_.stop();
  base::log_error("storage",
                  fmt::format("cell {} stopped: {}. It refuses writes from now on; restart polylog once the "
                              "disk is sound",
                              options_.id.value, error.text),
                  {{"cell", options_.id.value}});
  for (WaitingLoad& waiting : std::exchange(waiting_loads_, {})) waiting.done(std::unexpected(error));
  engine_.on_cell_failed(error);
}

// --- reading

std::shared_ptr<io::File> Cell::file_of(uint64_t file_seq) const {
  return (file_seq & kPackBit) != 0 ? extents_.pack(file_seq) : files_.file(file_seq);
}

std::shared_ptr<BatchLoad> Cell::make_load(const Partition& partition, std::vector<StoredBatch> batches) const {
  auto load = std::make_shared<BatchLoad>();
  for (StoredBatch& batch : batches) {
    std::vector<Piece> pieces = batch.bytes.empty() ? partition.pieces_of(batch.ref) : std::vector<Piece>{};
    load->add(std::move(batch), std::move(pieces), [this](uint64_t seq) { return file_of(seq); });
  }
  return load;
}

void Cell::load(const Partition& partition, std::vector<StoredBatch> batches, ColdReads::Done done) {
  WalPosition until;
  for (const StoredBatch& batch : batches) {
    if (!batch.bytes.empty() || in_pack(batch.ref.at)) continue;
    const Piece last = partition.pieces_of(batch.ref).back();
    until = std::max(until, WalPosition{last.at.file_seq, last.at.offset + last.bytes});
  }
  if (until <= wal_->durable_end()) return cold_reads_.load(make_load(partition, std::move(batches)), std::move(done));
  if (failed_) return done(base::fail(base::ErrorCode::kIo, "the cell stopped before this was written"));
  wal_->seal();  // with kInterval its end may still be collecting
  waiting_loads_.push_back({until, partition.key(), std::move(batches), std::move(done)});
}

void Cell::read_segment(const Partition& partition, const SegmentReader::Wish& wish, ColdReads::Done done) {
  const SegmentRef* segment = partition.segment_at(wish.from);
  CHECK(segment != nullptr, partition.describe());
  cold_reads_.read(source_of(*segment), wish, std::move(done));
}

// The segments come first. One whose young batches were all trimmed may have to be passed over, so all that may hold an
// answer are asked; what is behind them is looked up at once, for when they have none.
void Cell::find_by_time(const Partition& partition, base::WallTime ts, ColdReads::Found done) {
  using Answer = base::Result<std::optional<BatchRef>>;
  std::vector<SegmentReader::Source> sources;
  for (const SegmentRef& segment : partition.segments())
    if (segment.max_ts >= ts) sources.push_back(source_of(segment));
  const BatchRef* found = partition.find_by_time(ts);
  const Answer behind = found == nullptr ? std::nullopt : std::optional<BatchRef>(*found);
  if (sources.empty()) return done(behind);
  cold_reads_.find_by_time(std::move(sources), partition.start(), ts, [behind, done = std::move(done)](Answer first) {
    done(first && !*first ? behind : std::move(first));
  });
}

// A segment that is trimmed in part is left out: its time may be that of a batch that is gone.
void Cell::find_newest(const Partition& partition, ColdReads::Found done) {
  const BatchRef* found = partition.newest_by_time();
  const SegmentRef* newest = nullptr;
  for (const SegmentRef& segment : partition.segments())
    if (segment.base_offset >= partition.start() && (newest == nullptr || segment.max_ts > newest->max_ts))
      newest = &segment;
  if (newest != nullptr && (found == nullptr || newest->max_ts >= found->max_ts))
    return find_by_time(partition, newest->max_ts, std::move(done));
  done(found == nullptr ? std::nullopt : std::optional<BatchRef>(*found));
}

// What was trimmed or moved meanwhile may lie in a file that is gone. Then there is no answer, rather than one with a gap: the
// reader asks again.
void Cell::look_up_again(const Partition& partition, std::vector<StoredBatch>& batches) {
  for (StoredBatch& batch : batches) {
    const BatchRef* found = partition.find(batch.ref.base_offset);
    if (found == nullptr) return batches.clear();
    batch.ref = *found;
  }
}

void Cell::start_waiting_loads() {
  for (WaitingLoad& waiting : std::exchange(waiting_loads_, {})) {
    const Partition* partition = find(waiting.partition);
    if (partition == nullptr) {
      waiting.done(base::fail(base::ErrorCode::kNotFound, "dropped meanwhile"));
    } else if (waiting.until > wal_->durable_end()) {
      waiting_loads_.push_back(std::move(waiting));
    } else {
      look_up_again(*partition, waiting.batches);
      cold_reads_.load(make_load(*partition, std::move(waiting.batches)), std::move(waiting.done));
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
      files_.rest();
      wal_->write_witness();
    } else {
      arm_witness();
    }
  });
}

std::string Cell::describe() const {
  return fmt::format("cell {}: epoch {} appended {} committed {} partitions {} wal files {} tail {} B{}{}",
                     options_.id.value, epoch().value, wal_ ? appended_lsn().value : 0, committed_lsn_.value,
                     partitions_.size(), files_.count(), tail_bytes_, failed_ ? " FAILED" : "",
                     disk_full() ? " disk full" : "");
}

}  // namespace polylog::storage
