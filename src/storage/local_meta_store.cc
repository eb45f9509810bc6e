#include "storage/local_meta_store.h"

#include <fmt/format.h>

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/wire.h"

namespace polylog::storage {
namespace {

constexpr uint32_t kMagic = 0x524D4C50;  // "PLMR"
constexpr uint16_t kVersion = 1;
constexpr size_t kRecordHeadBytes = 32;
constexpr size_t kAlignBytes = 64;
constexpr uint8_t kPut = 1, kRemove = 2;
constexpr uint64_t kReserveBytes = 256 * base::limits::kKiB;
constexpr size_t kGarbageBytesMin = base::limits::kMiB;  // below this a rewrite is not worth it

struct Record {
  uint64_t sequence = 0, generation = 0;
  base::View payload;
  size_t disk_bytes = 0;
};

size_t aligned(size_t bytes) { return (bytes + kAlignBytes - 1) / kAlignBytes * kAlignBytes; }

void encode_ops(base::Writer& out, const MetaTxn& txn) {
  for (const auto& [key, value] : txn.puts) {
    out.u8(kPut);
    out.u32le(static_cast<uint32_t>(key.size()));
    out.text(key);
    out.u32le(static_cast<uint32_t>(value.size()));
    out.text(value);
  }
  for (const std::string& key : txn.removes) {
    out.u8(kRemove);
    out.u32le(static_cast<uint32_t>(key.size()));
    out.text(key);
  }
}

bool decode_ops(base::View payload, MetaTxn& txn) {
  base::Reader in(payload);
  while (in.ok() && !in.at_end()) {
    const uint8_t op = in.u8();
    std::string key(in.text(in.u32le()));
    if (op == kPut) {
      txn.puts.emplace_back(std::move(key), std::string(in.text(in.u32le())));
    } else if (op == kRemove) {
      txn.removes.push_back(std::move(key));
    } else {
      return false;
    }
  }
  return in.ok();
}

std::vector<uint8_t> encode_record(uint64_t sequence, uint64_t generation, base::View payload) {
  base::Writer w;
  w.u32le(kMagic);
  w.u16le(kVersion);
  w.u16le(0);
  w.u64le(sequence);
  w.u64le(generation);
  w.u32le(static_cast<uint32_t>(payload.size()));
  w.u32le(base::crc32c(payload, base::crc32c(w.view())));
  w.bytes(payload);
  w.zeros(aligned(w.size()) - w.size());
  return std::move(w.buffer());
}

bool decode_record(base::View bytes, Record& record) {
  base::Reader in(bytes);
  if (in.u32le() != kMagic || in.u16le() != kVersion) return false;
  in.skip(2);
  record.sequence = in.u64le();
  record.generation = in.u64le();
  const uint32_t length = in.u32le();
  const uint32_t crc = in.u32le();
  record.payload = in.bytes(length);
  record.disk_bytes = aligned(kRecordHeadBytes + length);
  return in.ok() && crc == base::crc32c(record.payload, base::crc32c(bytes.first(28)));
}

}  // namespace

namespace {

// There after every commit but those on a full disk.
void keep_reserve(io::Disk& disk, const std::string& path) {
  const auto file = disk.open(path, io::OpenMode::kCreate);
  if (file && (*file)->size().value_or(0) >= kReserveBytes) return;
  if (file && !(*file)->allocate(kReserveBytes)) std::ignore = disk.remove(path);
}

}  // namespace

struct LocalMetaStore::Written {
  base::Result<> result;
  uint64_t sequence_before = 0, generation_before = 0;
  bool rewrite = false;
  std::shared_ptr<io::File> file;
  uint64_t end = 0;
};

LocalMetaStore::LocalMetaStore(io::Loop& loop, io::Disk& disk, std::string directory)
    : disk_(disk), directory_(std::move(directory)), worker_(loop.make_worker("meta")) {}

base::Result<> LocalMetaStore::open() {
  TRY(disk_.make_directory(directory_));
  keep_reserve(disk_, reserve_path());
  TRY_ASSIGN(auto file, disk_.open(path(), io::OpenMode::kCreate));
  TRY(disk_.sync_directory(directory_));
  TRY_ASSIGN(const uint64_t size, file->size());
  std::vector<uint8_t> bytes(size);
  TRY(file->read_at(bytes, 0));
  file_ = std::move(file);
  return replay(bytes);
}

base::Result<> scan_meta(base::View bytes, const std::string& path, MetaScan& scan,
                         const std::function<void(const MetaTxn&, const MetaScan& at)>& visit) {
  Record record;
  while (scan.end < bytes.size() && decode_record(bytes.subspan(scan.end), record) &&
         record.sequence == scan.next_sequence) {
    if (scan.next_sequence == 1) scan.generation = record.generation;
    if (record.generation != scan.generation) break;
    MetaTxn txn;
    if (!decode_ops(record.payload, txn))
      return base::fail(base::ErrorCode::kCorrupt, fmt::format("{} at offset {}: unknown content", path, scan.end));
    visit(txn, scan);
    scan.end += record.disk_bytes;
    ++scan.next_sequence;
  }
  for (size_t at = scan.end + kAlignBytes; at < bytes.size(); at += kAlignBytes)
    if (decode_record(bytes.subspan(at), record) && record.sequence > scan.next_sequence &&
        // the first record alone tells the generation
        (scan.next_sequence == 1 || record.generation == scan.generation))
      return base::fail(base::ErrorCode::kCorrupt,
                        fmt::format("{} at offset {}: record {} is damaged", path, scan.end, scan.next_sequence));
  return {};
}

bool skip_meta_damage(base::View bytes, MetaScan& scan) {
  Record record;
  for (size_t at = scan.end + kAlignBytes; at < bytes.size(); at += kAlignBytes) {
    if (!decode_record(bytes.subspan(at), record) || record.sequence <= scan.next_sequence) continue;
    scan = {.end = at, .next_sequence = record.sequence, .generation = record.generation};
    return true;
  }
  return false;
}

base::Result<> LocalMetaStore::replay(base::View bytes) {
  MetaScan scan;
  TRY(scan_meta(bytes, path(), scan, [this](const MetaTxn& txn, const MetaScan&) { apply(txn); }));
  end_ = scan.end;
  next_sequence_ = scan.next_sequence;
  generation_ = scan.generation;
  if (end_ < bytes.size()) base::log_warn("storage", fmt::format("{}: cut a torn write at offset {}", path(), end_));
  // The cut tail must not come back behind a shorter record. What is kept is written again: after a sync that failed, the
  // system shows bytes that it will never write by itself.
  TRY(file_->truncate(end_));
  const base::View kept = bytes.first(std::min<size_t>(end_, bytes.size()));  // the last padding may be cut
  TRY(file_->write_at({&kept, 1}, 0));
  return file_->sync_data();
}

std::optional<std::string> LocalMetaStore::get(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

std::vector<std::pair<std::string, std::string>> LocalMetaStore::range(std::string_view prefix) const {
  std::vector<std::pair<std::string, std::string>> found;
  for (auto it = values_.lower_bound(prefix); it != values_.end() && it->first.starts_with(prefix); ++it)
    found.push_back(*it);
  return found;
}

void LocalMetaStore::apply(const MetaTxn& txn) {
  for (const auto& [key, value] : txn.puts) {
    const auto [slot, added] = values_.try_emplace(key);
    live_bytes_ += value.size() - slot->second.size() + (added ? key.size() : 0);
    slot->second = value;
  }
  for (const std::string& key : txn.removes) {
    const auto found = values_.find(key);
    if (found == values_.end()) continue;
    live_bytes_ -= key.size() + found->second.size();
    values_.erase(found);
  }
}

void LocalMetaStore::commit(MetaTxn txn, std::function<void(base::Result<>)> done) {
  waiting_.push_back({std::move(txn), std::move(done)});
  if (!writing_) write_next();
}

void LocalMetaStore::write_next() {
  if (waiting_.empty()) return;
  writing_ = true;
  auto group = std::make_shared<std::vector<Pending>>(std::move(waiting_));
  waiting_.clear();
  base::Writer ops;
  for (const Pending& pending : *group) encode_ops(ops, pending.txn);
  auto outcome = std::make_shared<Written>();
  outcome->file = file_;
  outcome->end = end_;
  outcome->sequence_before = next_sequence_;
  outcome->generation_before = generation_;
  if (failed_) outcome->result = base::fail(base::ErrorCode::kIo, "the meta store stopped after a failed write");
  io::Task job;
  if (failed_) {
    job = [] {};
  } else if (!rewrite_failed_ && end_ > 4 * live_bytes_ + kGarbageBytesMin && ops.size() > 0) {
    outcome->rewrite = true;  // rewrite: all values, then this group
    base::Writer all;
    MetaTxn everything;
    everything.puts.assign(values_.begin(), values_.end());
    encode_ops(all, everything);
    ++generation_;
    next_sequence_ = 1;
    auto first = encode_record(next_sequence_++, generation_, all.view());
    const auto second = encode_record(next_sequence_++, generation_, ops.view());
    first.insert(first.end(), second.begin(), second.end());
    job = [&disk = disk_, directory = directory_, path = path(), bytes = std::move(first), outcome] {
      const auto write = [&]() -> base::Result<> {
        std::ignore = disk.remove(path + ".new");
        TRY_ASSIGN(std::shared_ptr<io::File> file, disk.open(path + ".new", io::OpenMode::kCreate));
        const base::View view = bytes;
        TRY(file->write_at({&view, 1}, 0));
        TRY(file->sync_data());
        TRY(disk.rename(path + ".new", path));
        // From here on the old file is gone: no error may look as if it were still the one to go on with.
        if (auto synced = disk.sync_directory(directory); !synced)
          return base::fail(base::ErrorCode::kIo, synced.error().text);
        outcome->file = file;
        outcome->end = bytes.size();
        return {};
      };
      outcome->result = write();
      if (!outcome->result) std::ignore = disk.remove(path + ".new");
    };
  } else if (ops.size() > 0) {
    job = [&disk = disk_, reserve = reserve_path(), bytes = encode_record(next_sequence_++, generation_, ops.view()),
           outcome] {
      const base::View view = bytes;
      outcome->result = outcome->file->write_at({&view, 1}, outcome->end);
      // On a full disk the reserve makes room once: a stream's deletion, which frees more, must go through.
      if (!outcome->result && outcome->result.error().code == base::ErrorCode::kDiskFull && disk.remove(reserve))
        outcome->result = outcome->file->write_at({&view, 1}, outcome->end);
      if (outcome->result) outcome->result = outcome->file->sync_data();
      if (outcome->result) outcome->end += bytes.size();
      if (outcome->result) keep_reserve(disk, reserve);
    };
  } else {
    job = [] {};
  }
  worker_->submit(std::move(job), [this, group, outcome] { written(std::move(*group), *outcome); });
}

void LocalMetaStore::written(std::vector<Pending> group, const Written& outcome) {
  writing_ = false;
  rewrite_failed_ = outcome.rewrite && !outcome.result;  // then the next change is appended, with the reserve's help
  if (outcome.result) {
    file_ = outcome.file;
    end_ = outcome.end;
    for (const Pending& pending : group) apply(pending.txn);
  } else {
    // A full disk: the place is written again later. Anything else: what the file holds is unknown, so nothing follows.
    failed_ = failed_ || outcome.result.error().code != base::ErrorCode::kDiskFull;
    next_sequence_ = outcome.sequence_before;
    generation_ = outcome.generation_before;
    base::log_error("storage", fmt::format("{}: {}", path(), outcome.result.error().text));
  }
  for (Pending& pending : group) pending.done(outcome.result);
  if (!writing_) write_next();
}

}  // namespace polylog::storage
