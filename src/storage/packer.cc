#include "storage/packer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"

namespace polylog::storage {
namespace {

constexpr auto kLookAfter = std::chrono::seconds(1);
constexpr auto kSettleTime = std::chrono::seconds(3);  // a full file is left alone so long: what is short-lived dies
constexpr auto kCheckpointPause = std::chrono::milliseconds(5);
constexpr auto kRetryAfter = std::chrono::seconds(10);
constexpr size_t kScanBatchesPerTurn = 8192;
constexpr size_t kScanPartitionsPerTurn = 512;
constexpr uint64_t kNearlyDead = 8;  // at most this part of a file lives: emptied at once
constexpr uint64_t kSmallPack = 8;  // at most this part of a WAL file, and of kPackBatchesMax: several are put together
constexpr uint64_t kHalfDead = 2;   // emptied when it is older than what is kept
constexpr uint64_t kSegmentShareMin = 4;  // of a WAL file: the least that gets a segment of its own
constexpr uint64_t kSegmentFilesMax = 4;  // WAL files' worth in one segment
constexpr uint32_t kSegmentBatchesMax = 16'384;
constexpr size_t kPackBatchesMax = 8'192;
constexpr uint64_t kCopyStepBytes = 512 * base::limits::kKiB;  // a kernel may not stop a thread within a call
constexpr size_t kCopyStepBatches = 1024;
constexpr uint64_t kBurstPart = 4;            // of bytes_per_second: what comes faster than this is a burst
constexpr uint64_t kQuietPart = 4;            // of bytes_per_second: the least pace
constexpr uint64_t kUnpacedFiles = 8;         // so many times keep_files past a burst: the pace is given up
constexpr size_t kRunsPerMutationMax = 1024;  // 40 KiB: fits the slots of the smallest WAL files
constexpr size_t kMovesPerTurn = 1024;        // batches

template <typename Test>
bool any_piece(const Partition& partition, const BatchRef& ref, Test test) {
  if (ref.piece_count == 1) return test(Piece{ref.at, ref.bytes});  // most are: no list is made for them
  return std::ranges::any_of(partition.pieces_of(ref), test);
}

}  // namespace

struct Packer::Scan {
  std::set<uint64_t> victims;                  // file_seq of what is to be emptied
  uint64_t segments_before = 0;                // WAL files below this may go to segments
  std::vector<base::PartitionKey> partitions;  // some of them; next_bucket has those that follow
  size_t next = 0;
  std::optional<size_t> next_bucket = 0;
  bool is_whole() const { return next == partitions.size() && !next_bucket; }
  Offset next_offset{-1};  // in that partition
  bool found_segment = false;
  std::vector<Item> items;  // for a pack
  bool is_full(uint64_t bytes_max) const { return item_bytes >= bytes_max || items.size() >= kPackBatchesMax; }
  uint64_t item_bytes = 0;
};

// What is being copied: to a segment of the partition all items are of, or to a pack.
struct Packer::Copy {
  ExtentKind kind = ExtentKind::kPack;
  uint64_t id = 0;
  std::vector<Item> items;
  size_t next = 0;
  bool paced = true;
  bool unreadable = false;  // what was to be copied
  // on the worker
  std::unique_ptr<SegmentWriter> segment;
  std::unique_ptr<ExtentWriter> pack;

  base::Result<> open(io::Disk& disk, const std::string& directory, base::CellId cell) {
    if (kind == ExtentKind::kSegment) {
      TRY_ASSIGN(segment, SegmentWriter::create(disk, directory, cell, id));
    } else {
      TRY_ASSIGN(pack, ExtentWriter::create(disk, directory, cell, {kind, id}));
    }
    return {};
  }
  base::Result<> write(Item& item, View bytes) {
    item.position = segment != nullptr ? kExtentHeadBytes + segment->data_bytes() : pack->size();
    return segment != nullptr ? segment->append(item.ref, bytes) : pack->append(bytes);
  }
};

// What lies in a pack and is to be named there.
struct Packer::Moved {
  uint64_t pack = 0;
  std::vector<Item> items;
  size_t next = 0;
};

Packer::Packer(Options options, WalFiles& files, Extents& extents, PackerHost& host)
    : options_(std::move(options)),
      files_(files),
      extents_(extents),
      host_(host),
      worker_(options_.loop.make_worker("pack")) {}

Packer::~Packer() = default;

void Packer::poke() {
  if (armed_ || busy() || stopped_) return;
  armed_ = true;
  armed_at_ = options_.loop.now();
  armed_at_file_ = files_.current();
  options_.loop.call_at(std::max(options_.loop.now() + kLookAfter, not_before_), [this] {
    armed_ = false;
    look();
  });
}

bool Packer::makes_segment_of(const base::PartitionKey& partition) const {
  return copy_ != nullptr && copy_->kind == ExtentKind::kSegment && copy_->items.front().partition == partition;
}

// --- choosing

void Packer::stop() {
  stopped_ = true;
  scan_.reset();
  moved_.reset();
}

void Packer::look() {
  if (busy() || stopped_) return;
  scan_ = plan();
  if (scan_ == nullptr) return end_loan();  // what there was to move is gone
  scan_step();
}

// A burst is taken in first and moved when it is over: the copies would take processor and disk from whoever writes it.
bool Packer::in_burst() const {
  if (files_.count() >= burst_files()) return false;
  const std::chrono::duration<double> passed = options_.loop.now() - armed_at_;
  const auto bytes = static_cast<double>((files_.current() - armed_at_file_) * files_.file_bytes());
  return bytes * kBurstPart > passed.count() * static_cast<double>(options_.bytes_per_second);
}

// Bytes a second: twice what comes in, so that it is kept up with, and no faster: the disk is shared with the log. What has
// piled up is moved as fast as may be.
uint64_t Packer::pace() const {
  const uint64_t pace_max = options_.bytes_per_second;
  if (files_.count() >= burst_files()) return pace_max;
  return std::clamp(2 * files_.filled_per_second(), pace_max / kQuietPart, pace_max);
}

std::unique_ptr<Packer::Scan> Packer::plan() {
  auto scan = std::make_unique<Scan>();
  const uint64_t current = files_.current();
  const uint64_t durable = host_.durable_file();  // what is not synced yet cannot be read back
  const uint64_t before = std::min(current > options_.keep_files ? current - options_.keep_files : 0, durable);
  const bool full = files_.only_reserve_left() || borrowed_;
  const base::MonoTime now = options_.loop.now();
  bool old_files = false, unsettled = false;
  files_.for_each_past([&](uint64_t seq, uint64_t live_bytes, base::MonoTime filled_at) {
    if (live_bytes == 0 || seq >= durable || damaged_files_.contains(seq)) return;
    old_files = old_files || seq < before;
    const uint64_t part = seq < before || full ? kHalfDead : kNearlyDead;
    if (live_bytes * part > files_.file_bytes()) return;
    if (filled_at + kSettleTime > now && !files_.only_reserve_left()) {
      unsettled = true;
    } else {
      scan->victims.insert(seq);
    }
  });
  for (const uint64_t pack : extents_.packs_to_empty(files_.file_bytes() / kSmallPack, kPackBatchesMax / kSmallPack))
    if (!damaged_files_.contains(pack)) scan->victims.insert(pack);
  const bool waits = old_files && !full && in_burst();
  if (unsettled || waits) poke();
  // On a full disk packs come first: they free more than they take.
  if (old_files && !full && !waits && scanned_at_file_ != current) scan->segments_before = before;
  if (scan->victims.empty() && scan->segments_before == 0) return nullptr;
  return scan;
}

void Packer::scan_step() {
  if (scan_ == nullptr) return;  // stopped meanwhile
  size_t batches_left = kScanBatchesPerTurn;
  for (size_t seen = 0; seen < kScanPartitionsPerTurn && batches_left > 0; ++seen) {
    if (scan_->is_whole() || scan_->is_full(files_.file_bytes())) return end_scan();
    if (scan_->next == scan_->partitions.size()) {
      scan_->partitions.clear();
      scan_->next = 0;
      scan_->next_bucket = host_.keys(*scan_->next_bucket, scan_->partitions);
      continue;
    }
    const Partition* partition = host_.find(scan_->partitions[scan_->next]);
    if (partition != nullptr && !partition->memory_only()) {
      if (scan_->next_offset.value < 0 && scan_->segments_before > 0 && choose_segment(*partition, batches_left))
        return;
      if (batches_left > 0) batches_left -= choose_for_pack(*partition, batches_left);
      if (batches_left == 0 && scan_->next_offset.value >= 0) break;  // goes on within this partition
    }
    ++scan_->next;
    scan_->next_offset = Offset(-1);
  }
  options_.loop.call_at(options_.loop.now(), [this] { scan_step(); });
}

bool Packer::stays_in_log(const Piece& piece) const {
  return (!in_pack(piece.at) && piece.at.file_seq >= scan_->segments_before) ||
         damaged_files_.contains(piece.at.file_seq);
}

// How many of the oldest batches of a stream are to be a segment: 0 if they are too few. Looks at no more than it may.
size_t Packer::segment_length(const Partition& partition, size_t& batches_left) const {
  const uint64_t bytes_max = kSegmentFilesMax * files_.file_bytes();
  uint64_t bytes = 0;
  size_t count = 0;
  for (const BatchRef& ref : partition.batches()) {
    if (ref.end_offset() > partition.committed() || count == kSegmentBatchesMax) break;
    if ((bytes > 0 && bytes + ref.bytes > bytes_max) || stays_in_log({ref.at, ref.bytes})) break;
    bytes += ref.bytes;
    ++count;
  }
  batches_left -= std::min(batches_left, count);
  return bytes * kSegmentShareMin >= files_.file_bytes() || count == kSegmentBatchesMax ? count : 0;
}

// The oldest batches of a stream, if they are many: a segment is begun, and the scan goes on when it is done.
bool Packer::choose_segment(const Partition& partition, size_t& batches_left) {
  if (!partition.moves_to_segments()) return false;
  const size_t length = segment_length(partition, batches_left);
  auto copy = std::make_unique<Copy>();
  copy->kind = ExtentKind::kSegment;
  copy->items.reserve(length);
  for (size_t i = 0; i < length; ++i) {
    const BatchRef& ref = partition.batches()[i];
    if (any_piece(partition, ref, [&](const Piece& piece) { return stays_in_log(piece); })) break;
    copy->items.push_back({.partition = partition.key(), .ref = ref});
  }
  if (copy->items.empty()) return false;
  scan_->found_segment = true;
  start_copy(std::move(copy));
  return true;
}

// Returns how many batches it looked at.
size_t Packer::choose_for_pack(const Partition& partition, size_t batches_max) {
  if (scan_->victims.empty()) return 0;
  const auto& batches = partition.batches();
  auto at = scan_->next_offset.value < 0
                ? batches.begin()
                : std::ranges::lower_bound(batches, scan_->next_offset, {}, &BatchRef::base_offset);
  // WAL positions ascend, but for what was packed before.
  const auto last_wal = std::ranges::find_if(scan_->victims.rbegin(), scan_->victims.rend(),
                                             [](uint64_t seq) { return (seq & kPackBit) == 0; });
  const uint64_t last = last_wal == scan_->victims.rend() ? 0 : *last_wal;
  size_t seen = 0;
  for (; at != batches.end() && seen < batches_max; ++at, ++seen) {
    if (!in_pack(at->at) && at->at.file_seq > last) return seen;
    if (at->end_offset() > partition.committed() || scan_->is_full(files_.file_bytes())) return seen;
    const auto is_victim = [&](const Piece& piece) { return scan_->victims.contains(piece.at.file_seq); };
    if (!any_piece(partition, *at, is_victim)) continue;
    scan_->item_bytes += at->bytes;
    scan_->items.push_back({.partition = partition.key(), .ref = *at});
  }
  if (at != batches.end()) scan_->next_offset = at->base_offset;
  return seen;
}

void Packer::end_scan() {
  const auto scan = std::move(scan_);
  if (scan->segments_before > 0 && !scan->found_segment && scan->is_whole()) scanned_at_file_ = files_.current();
  if (scan->items.empty()) {
    end_loan();
    if (scan->found_segment) poke();
    return;
  }
  auto copy = std::make_unique<Copy>();
  copy->items = std::move(scan->items);
  start_copy(std::move(copy));
}

// --- copying

void Packer::start_copy(std::unique_ptr<Copy> copy) {
  copy_ = std::move(copy);
  copy_->id = extents_.take_id();
  copy_->paced = files_.count() < burst_files() + kUnpacedFiles * options_.keep_files;
  auto result = std::make_shared<base::Result<>>();
  worker_->submit([copy = copy_, result, &disk = options_.disk, directory = options_.directory,
                   cell = options_.cell] { *result = copy->open(disk, directory, cell); },
                  [this, result] { copied(*result); });
}

void Packer::copied(const base::Result<>& result) {
  if (stopped_) return end_copy();
  if (!result) return give_up(result.error());
  if (copy_->next == copy_->items.size()) return publish();
  copy_step();
}

// The partition; null: it was trimmed, dropped or moved meanwhile.
const Partition* Packer::where_it_was(const Item& item) const {
  const Partition* partition = host_.find(item.partition);
  const BatchRef* ref = partition == nullptr ? nullptr : partition->find(item.ref.base_offset);
  return ref != nullptr && ref->at == item.ref.at ? partition : nullptr;
}

void Packer::copy_step() {
  auto load = std::make_shared<BatchLoad>();
  auto read_files = std::make_shared<std::vector<uint64_t>>();
  const BatchLoad::FileOf file_of = [&](uint64_t seq) {
    read_files->push_back(seq);
    return (seq & kPackBit) != 0 ? extents_.pack(seq) : files_.file(seq);
  };
  std::vector<size_t> step;  // the items
  uint64_t bytes = 0;
  for (; copy_->next < copy_->items.size() && bytes < kCopyStepBytes && step.size() < kCopyStepBatches; ++copy_->next) {
    const Item& item = copy_->items[copy_->next];
    const Partition* partition = where_it_was(item);
    if (partition == nullptr) continue;
    load->add(partition->batch_at(item.ref.base_offset), partition->pieces_of(item.ref), file_of);
    step.push_back(copy_->next);
    bytes += item.ref.bytes;
  }
  auto result = std::make_shared<base::Result<>>();
  worker_->submit(
      [copy = copy_, load, result, step] {
        *result = load->run();
        copy->unreadable = !*result && result->error().code != base::ErrorCode::kOverloaded;
        for (size_t i = 0; *result && i < step.size(); ++i)
          *result = copy->write(copy->items[step[i]], load->batches()[i].bytes.view());
      },
      [this, load, result, bytes, read_files] {
        load->unpin();
        if (copy_->unreadable) damaged_files_.insert(read_files->begin(), read_files->end());
        const auto pause = std::chrono::nanoseconds(bytes * 1'000'000'000 / std::max<uint64_t>(pace(), 1));
        if (!copy_->paced || !*result) return copied(*result);
        options_.loop.call_at(options_.loop.now() + pause, [this] { copied({}); });
      });
}

void Packer::publish() {
  const auto first = std::ranges::find_if(copy_->items, [](const Item& item) { return item.position != 0; });
  if (first == copy_->items.end()) {  // all of it is gone
    end_copy();
    return scan_ != nullptr ? scan_step() : poke();
  }
  if (copy_->kind == ExtentKind::kSegment) {
    auto finished = std::make_shared<base::Result<SegmentWriter::Finished>>();
    const Offset base = first->ref.base_offset, end = copy_->items.back().ref.end_offset();
    worker_->submit([copy = copy_, finished, base, end] { *finished = copy->segment->finish(base, end); },
                    [this, finished] {
                      if (!*finished) return give_up(finished->error());
                      finish_segment(std::move(**finished));
                    });
    return;
  }
  auto file = std::make_shared<base::Result<std::unique_ptr<io::File>>>();
  worker_->submit([copy = copy_, file] { *file = copy->pack->publish(); },
                  [this, file] {
                    if (!*file) return give_up(file->error());
                    finish_pack(std::move(**file));
                  });
}

// --- what was copied takes the place of what it was copied from

void Packer::finish_segment(SegmentWriter::Finished finished) {
  const auto copy = std::exchange(copy_, nullptr);
  extents_.add_segment(finished.ref.extent, std::move(finished.file));
  if (stopped_) return;
  Partition* partition = host_.find(copy->items.front().partition);
  if (!host_.can_log_moves()) {
    not_before_ = options_.loop.now() + kRetryAfter;
    scan_.reset();
    return poke();
  }
  // What was compacted meanwhile lies in a segment already.
  const auto is_behind_segments = [&] {
    return partition->segments().empty() || partition->segments().back().end_offset <= finished.ref.base_offset;
  };
  if (partition != nullptr && partition->start() < finished.ref.end_offset && is_behind_segments()) {
    host_.log_segment(*partition, finished.ref);
    ++counts_.segments;
    counts_.segment_bytes += finished.ref.data_bytes;
  }
  scan_step();  // the same partition may have more
}

void Packer::finish_pack(std::unique_ptr<io::File> file) {
  const auto copy = std::exchange(copy_, nullptr);
  const uint64_t bytes = copy->pack->size();
  extents_.add_pack(copy->id, std::move(file), bytes);
  if (stopped_) return;
  extents_.hold_pack(copy->id, true);
  ++counts_.packs;
  counts_.pack_bytes += bytes;
  moved_ = std::make_unique<Moved>(copy->id, std::move(copy->items));
  log_moves();
}

// As many items as one mutation takes: what lies side by side, before and now, is one run.
MoveMutation Packer::next_move(Moved& moved) const {
  MoveMutation move{.pack = moved.pack, .runs = {}};
  const Item* previous = nullptr;
  for (size_t seen = 0; moved.next < moved.items.size() && (seen < kMovesPerTurn || move.runs.empty());
       ++moved.next, ++seen) {
    const Item& item = moved.items[moved.next];
    if (item.position == 0 || where_it_was(item) == nullptr) continue;
    const bool continues = previous != nullptr && previous->partition == item.partition &&
                           previous->ref.end_offset() == item.ref.base_offset &&
                           previous->position + previous->ref.bytes == item.position;
    if (!continues && move.runs.size() == kRunsPerMutationMax) break;
    previous = &item;
    if (continues) {
      ++move.runs.back().batch_count;
    } else {
      move.runs.push_back({item.partition, item.ref.base_offset, 1, item.position});
    }
  }
  return move;
}

// One mutation a turn. What there is no room for stays where it was; its copy in the pack is dead.
void Packer::log_moves() {
  if (moved_ == nullptr || stopped_) return;
  if (host_.moves_must_wait()) {
    options_.loop.call_at(options_.loop.now() + kCheckpointPause, [this] { log_moves(); });
    return;
  }
  if (!host_.can_log_moves()) {
    not_before_ = options_.loop.now() + kRetryAfter;
    moved_->next = moved_->items.size();
  }
  if (const MoveMutation move = next_move(*moved_); !move.runs.empty()) {
    host_.log_move(move);
    options_.loop.call_at(options_.loop.now(), [this] { log_moves(); });
    return;
  }
  extents_.hold_pack(moved_->pack, false);
  moved_.reset();
  end_loan();
  poke();
}

void Packer::end_loan() {
  if (std::exchange(borrowed_, false)) files_.end_loan();
}

void Packer::give_up(const base::Error& error) {
  if (copy_->unreadable) {
    base::log_error("storage", "what cannot be read stays where it is: " + error.text);
  } else if (error.code == base::ErrorCode::kDiskFull && copy_->kind == ExtentKind::kPack && !borrowed_ &&
             files_.lend_reserve(WalFiles::Loan::kUntilEnded)) {
    borrowed_ = true;  // a pack frees more than it takes
  } else {
    base::log_warn("storage", fmt::format("cannot move old data: {}; trying again in {} s", error.text,
                                          std::chrono::seconds(kRetryAfter).count()));
    not_before_ = options_.loop.now() + kRetryAfter;
    end_loan();
  }
  end_copy();
  scan_.reset();
  poke();
}

// What was not published is removed, which may take its time: on the worker.
void Packer::end_copy() {
  worker_->submit(
      [copy = std::exchange(copy_, nullptr)] {
        copy->segment.reset();
        copy->pack.reset();
      },
      [] {});
}

}  // namespace polylog::storage
