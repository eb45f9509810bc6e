#include "storage/wal_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "base/limits.h"

namespace polylog::storage {
namespace {

constexpr auto kRetryAfter = std::chrono::seconds(1);
constexpr uint64_t kLargeSlotBytes = 256 * base::limits::kKiB;  // from here on zeroing costs more than it saves

constexpr uint64_t kZeroedPerSecond = 256 * base::limits::kMiB;  // a log that grows faster would wait for its files

constexpr size_t kReadyAtLeisure = 4;  // enough for any burst while the next one is made slowly

constexpr size_t kRecyclableMax = 4;
constexpr uint64_t kPastHeldMin = 2;  // what was just filled may still be on its way to the disk

enum class Effort {
  kZeroed,      // commits cost half as much in blocks that were written before
  kZeroedSoon,  // others are ready, but few
  kAllocated,   // at once, for a WAL that fills files faster than they can be zeroed
};

base::Result<> make_empty(io::Disk& disk, const std::string& path, uint64_t bytes, Effort effort) {
  TRY_ASSIGN(auto file, disk.open(path, io::OpenMode::kLog));
  const auto pace = effort == Effort::kZeroed ? io::ZeroPace::kInTime : io::ZeroPace::kSoon;
  const auto made = effort == Effort::kAllocated ? file->allocate(bytes) : file->fill_with_zeros(bytes, pace);
  if (made) return file->sync_data();
  std::ignore = disk.remove(path);
  return made;
}

// A file that exists under its final name only when it is complete.
base::Result<std::unique_ptr<io::File>> make_file(io::Disk& disk, const std::string& directory, const std::string& path,
                                                  const std::string& recycled_path, uint64_t bytes, Effort effort) {
  if (recycled_path.empty()) {
    TRY(make_empty(disk, path + ".new", bytes, effort));
    TRY(disk.rename(path + ".new", path));
  } else {
    TRY(disk.rename(recycled_path, path));
  }
  TRY(disk.sync_directory(directory));
  return disk.open(path, io::OpenMode::kLog);
}

}  // namespace

WalFiles::WalFiles(Options options)
    : options_(std::move(options)),
      open_past_(std::make_shared<OpenFiles>(options_.disk, options_.open_files_max)),
      worker_(options_.loop.make_worker("wal-prepare")) {}

std::string WalFiles::name_of(uint64_t file_seq) { return fmt::format("wal-{:016x}.plw", file_seq); }

base::Result<> WalFiles::open_existing() {
  TRY_ASSIGN(const auto names, options_.disk.list(options_.directory));
  for (const std::string& name : names) {
    if (!name.starts_with("wal-")) continue;
    if (name.ends_with(".new")) {  // a preparation that a crash interrupted
      TRY(options_.disk.remove(options_.directory + "/" + name));
      continue;
    }
    if (name.size() != name_of(0).size() || !name.ends_with(".plw")) continue;
    const uint64_t seq = std::stoull(name.substr(4, 16), nullptr, 16);
    TRY_ASSIGN(const uint64_t size, options_.disk.file_bytes(path_of(seq)));
    if (files_.empty()) options_.file_bytes = size;  // fixed when the directory was made
    if (size != options_.file_bytes)
      return base::fail(base::ErrorCode::kCorrupt, fmt::format("{}/{}: {} bytes long, its siblings have {}",
                                                               options_.directory, name, size, options_.file_bytes));
    files_[seq].file = open_past_->on_demand(path_of(seq));
  }
  return {};
}

std::vector<uint64_t> WalFiles::sequence_numbers() const {
  std::vector<uint64_t> numbers;
  for (const auto& [seq, entry] : files_) numbers.push_back(seq);
  return numbers;
}

base::Result<> WalFiles::set_current(uint64_t file_seq) {
  if (!files_.contains(file_seq)) {
    TRY_ASSIGN(auto file, make_file(options_.disk, options_.directory, path_of(file_seq), {}, options_.file_bytes,
                                    Effort::kZeroedSoon));
    files_[file_seq].file = std::move(file);
  }
  for (auto at = files_.find(file_seq); at != files_.end(); ++at) {
    TRY_ASSIGN(at->second.file, open_for_writing(at->first));
  }
  current_ = first_held_ = file_seq;
  return {};
}

base::Result<std::unique_ptr<io::File>> WalFiles::open_for_writing(uint64_t file_seq) const {
  return options_.disk.open(path_of(file_seq), io::OpenMode::kLog);
}

void WalFiles::let_go_of_past() {
  for (; first_held_ + kPastHeldMin < current_; ++first_held_) {
    const auto found = files_.find(first_held_);
    if (found == files_.end()) continue;
    auto& file = found->second.file;
    if (file.use_count() > 1) return;  // when the next one is full
    worker_->submit([held = std::move(file)] {}, [] {});
    file = open_past_->on_demand(path_of(first_held_));
  }
}

base::Result<> WalFiles::make_next() {
  if (ready_count() > 0) return {};
  TRY_ASSIGN(auto file, make_file(options_.disk, options_.directory, path_of(current_ + 1), {}, options_.file_bytes,
                                  Effort::kZeroedSoon));
  files_[current_ + 1].file = std::move(file);
  return {};
}

std::shared_ptr<io::File> WalFiles::file(uint64_t file_seq) const {
  const auto found = files_.find(file_seq);
  return found == files_.end() ? nullptr : found->second.file;
}

// The reserve is kept back only once the disk is full; before that its files are as good as any. But data never takes the
// last ready file: an acknowledgement in the same turn must find room.
bool WalFiles::can_advance(bool may_use_reserve) const { return ready_count() > (may_use_reserve ? 0 : kept_back()); }

// On a full disk the current file is not written to its end once only the reserve is left behind it: one file more.
size_t WalFiles::ready_for(size_t files) const { return files + kept_back() + (disk_full_ ? 1 : 0); }

void WalFiles::want_ready(size_t files) {
  wanted_ready_ = ready_for(files);
  prepare_ahead();
}

void WalFiles::advance(uint64_t slots) {
  CHECK(ready_count() > 0, "no WAL file is ready");
  const base::MonoTime now = options_.loop.now();
  files_.at(current_).filled_at = now;
  last_fill_ = now - std::exchange(advanced_at_, now);
  ++current_;
  ++filled_since_release_;
  advanced_ = true;
  large_slots_ = slots * kLargeSlotBytes < options_.file_bytes;
  let_go_of_past();
  prepare_ahead();
}

uint64_t WalFiles::filled_per_second() const {
  if (!advanced_) return 0;
  const std::chrono::duration<double> took = std::max(last_fill_, options_.loop.now() - advanced_at_);
  return static_cast<uint64_t>(static_cast<double>(options_.file_bytes) / std::max(took.count(), 0.001));
}

std::vector<uint64_t> WalFiles::dead_before(uint64_t before) const {
  std::vector<uint64_t> dead;
  for (const auto& [seq, entry] : files_)
    if (seq < before && seq < current_ && entry.live_bytes == 0) dead.push_back(seq);
  return dead;
}

bool WalFiles::lend_reserve(Loan loan) {
  if (preparing_ || loan_ != Loan::kNone || ready_count() < 2) return false;
  loan_ = loan;
  disk_full_ = true;  // data must not take what is left
  const std::string path = path_of(last_seq());
  files_.erase(last_seq());
  remove_later(path);
  if (on_change_) on_change_();
  return true;
}

void WalFiles::end_loan() {
  loan_ = Loan::kNone;
  prepare_ahead();
}

void WalFiles::release(const std::vector<uint64_t>& candidates) {
  if (loan_ == Loan::kUntilRelease) loan_ = Loan::kNone;
  for (uint64_t seq : candidates) {
    const auto found = files_.find(seq);
    if (found == files_.end() || found->second.file.use_count() > 1) continue;  // someone still reads it
    files_.erase(found);
    recyclable_.push_back(seq);
  }
  // As many will be wanted before the next release as were since the last one.
  keep_recyclable(std::min(filled_since_release_, kRecyclableMax));
  filled_since_release_ = 0;
  prepare_ahead();
}

void WalFiles::keep_recyclable(size_t files_max) {
  while (recyclable_.size() > files_max) {
    remove_later(path_of(recyclable_.front()));
    recyclable_.pop_front();
  }
}

// A start has read it: while it is held open, its blocks are not given back, and its successor of the same name not seen.
void WalFiles::remove_later(const std::string& path) {
  worker_->submit(
      [&disk = options_.disk, open = open_past_, path] {
        std::ignore = disk.remove(path);
        open->forget(path);
      },
      [] {});
}

void WalFiles::rest() { keep_recyclable(0); }

void WalFiles::prepare_ahead() {
  if (ready_count() >= wanted_ready_) wanted_ready_ = 0;
  if (preparing_ || loan_ != Loan::kNone || ready_count() >= std::max(options_.reserve_files + 1, wanted_ready_))
    return;
  preparing_ = true;
  const uint64_t seq = last_seq() + 1;
  std::string recycled;
  if (!recyclable_.empty()) {
    recycled = path_of(recyclable_.front());
    recyclable_.pop_front();
  }
  const bool in_a_hurry =
      wanted_ready_ > 0 || (advanced_ && ready_count() == 0) || filled_per_second() > kZeroedPerSecond;
  const Effort zeroed = ready_count() >= kReadyAtLeisure ? Effort::kZeroed : Effort::kZeroedSoon;
  const Effort effort = in_a_hurry || large_slots_ ? Effort::kAllocated : zeroed;
  using Made = base::Result<std::unique_ptr<io::File>>;
  auto made = std::make_shared<Made>();
  worker_->submit(
      [made, &disk = options_.disk, open = open_past_, directory = options_.directory, path = path_of(seq), recycled,
       bytes = options_.file_bytes, effort] {
        open->forget(recycled);
        open->forget(path);
        *made = make_file(disk, directory, path, recycled, bytes, effort);
      },
      [this, seq, made] { prepared(seq, std::move(*made)); });
}

void WalFiles::prepared(uint64_t file_seq, base::Result<std::unique_ptr<io::File>> result) {
  preparing_ = false;
  if (result) {
    files_[file_seq].file = std::move(*result);
    if (disk_full_) base::log_info("storage", fmt::format("{}: space returned", options_.directory));
    disk_full_ = false;
    prepare_ahead();
  } else {
    not_prepared(result.error());
  }
  if (on_change_) on_change_();
}

void WalFiles::not_prepared(const base::Error& error) {
  const std::string text = fmt::format("{}: cannot prepare a WAL file: {}", options_.directory, error.text);
  const bool full = error.code == base::ErrorCode::kDiskFull;
  if (!full &&
      error.code != base::ErrorCode::kOverloaded) {  // the disk lost something: not to be retried as if it had not
    if (on_failed_) on_failed_({base::ErrorCode::kIo, text});
    return;
  }
  if (!full) {
    base::log_warn("storage", text);
  } else if (!disk_full_) {
    base::log_error("storage", text +
                                   ". Writing goes on in the reserve for deletes and acknowledgements only; free space "
                                   "or delete streams");
  }
  disk_full_ = disk_full_ || full;
  options_.loop.call_at(options_.loop.now() + kRetryAfter, [this] { prepare_ahead(); });
}

}  // namespace polylog::storage
