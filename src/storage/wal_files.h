// WalFiles: the numbered files of one cell's WAL, `wal-<16 hex digits>.plw`, all of one size.
//
// A file is ready (zeroed or recycled, not written in this life), current, or past. Ready files are prepared off the core,
// always under their final name, so that moving on to the next one is free. Of the ready files the last `reserve_files`
// are the reserve: only what frees space may use them once the disk is full.
// Past files are open while they are read (storage/open_files.h); the last few, the current and the ready ones always.
// Counts live bytes a file (rebuilt at recovery, never stored). Does not know slots. Owned by the cell's core.
// Errors: what may pass (kDiskFull, kOverloaded) is tried again every second; anything else is told once, as final.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/disk.h"
#include "io/loop.h"
#include "storage/open_files.h"
#include "storage/wal_source.h"

namespace polylog::storage {

class WalFiles final : public WalSource {
 public:
  struct Options {
    io::Disk& disk;
    io::Loop& loop;
    std::string directory;
    uint64_t file_bytes = 0;
    size_t reserve_files = 0;
    size_t open_files_max = 64;  // of past files
  };
  explicit WalFiles(Options options);

  // Start-up, blocking: finds what is there. Then forgets nothing: recovery tells it which file is current.
  base::Result<> open_existing();
  std::vector<uint64_t> sequence_numbers() const override;
  base::Result<> set_current(uint64_t file_seq);  // creates it if there is none
  base::Result<> make_next();                     // likewise blocking: one ready file
  // Start-up, blocking: a past file, to write to once more.
  base::Result<std::unique_ptr<io::File>> open_for_writing(uint64_t file_seq) const;
  uint64_t file_bytes() const override { return options_.file_bytes; }

  std::shared_ptr<io::File> file(uint64_t file_seq) const override;  // null if unknown
  uint64_t current() const { return current_; }
  bool can_advance(bool may_use_reserve) const;
  // Whether data may fill so many files, one after the other, without waiting.
  bool has_ready(size_t files) const { return ready_count() >= ready_for(files); }
  // Has so many prepared, once; for a batch that is longer than what is kept ready.
  void want_ready(size_t files);
  bool disk_is_full() const { return disk_full_; }  // the last preparation found no space
  // The first ready file becomes current; CHECKs that there is one. `slots` lie in the file that ends.
  void advance(uint64_t slots);
  // How fast the log grows: by the last whole file, or slower when the current one has taken longer already.
  uint64_t filled_per_second() const;
  bool only_reserve_left() const { return disk_full_ && !can_advance(false); }
  // The last file of the reserve is all that is left: only what frees space may still be written.
  bool reserve_low() const { return disk_full_ && ready_count() <= 1; }
  bool preparing_lags() const { return !disk_full_ && ready_count() == 0; }

  void add_live(uint64_t file_seq, int64_t bytes) { files_.at(file_seq).live_bytes += bytes; }
  int64_t live_bytes(uint64_t file_seq) const { return files_.at(file_seq).live_bytes; }
  size_t count() const { return files_.size(); }

  // visit(file_seq, live bytes, when it was filled: long ago if in an earlier life)
  template <typename Visit>
  void for_each_past(Visit visit) const {
    for (const auto& [seq, entry] : files_)
      if (seq < current_) visit(seq, static_cast<uint64_t>(entry.live_bytes), entry.filled_at);
  }

  // Past files below `before` without live bytes: the candidates a checkpoint may release.
  std::vector<uint64_t> dead_before(uint64_t before) const;
  // Recycles those of `candidates` that nobody reads; the rest stay for the next time.
  void release(const std::vector<uint64_t>& candidates);
  // Nothing was written for a while: files kept for writing over are given back.
  void rest();
  // Removes one file of the reserve, so that a checkpoint or a pack finds room on a full disk; no new one is made before
  // the loan ends. False: one is lent already, or only the last ready file is left, which mutations need.
  enum class Loan : uint8_t { kNone, kUntilRelease, kUntilEnded };  // ends with release(), with end_loan()
  bool lend_reserve(Loan loan);
  void end_loan();
  size_t open_past_files() const { return open_past_->counts().open; }

  // Starts preparing files until enough are ready. `on_change` (set once) is called when a file became ready or the disk
  // turned out to be full; `on_failed` when the disk failed: whoever owns the files must not go on.
  void remove_later(const std::string& path);
  void prepare_ahead();
  void set_on_change(std::function<void()> on_change) { on_change_ = std::move(on_change); }
  void set_on_failed(std::function<void(const base::Error&)> on_failed) { on_failed_ = std::move(on_failed); }

  static std::string name_of(uint64_t file_seq);

 private:
  struct Entry {
    std::shared_ptr<io::File> file;
    int64_t live_bytes = 0;
    base::MonoTime filled_at;
  };
  std::string path_of(uint64_t file_seq) const { return options_.directory + "/" + name_of(file_seq); }
  size_t kept_back() const { return disk_full_ ? options_.reserve_files : 1; }  // from data
  size_t ready_for(size_t files) const;
  size_t ready_count() const { return files_.empty() ? 0 : static_cast<size_t>(last_seq() - current_); }
  uint64_t last_seq() const { return files_.rbegin()->first; }
  void keep_recyclable(size_t files_max);
  void let_go_of_past();
  void prepared(uint64_t file_seq, base::Result<std::unique_ptr<io::File>> result);
  void not_prepared(const base::Error& error);

  Options options_;
  std::shared_ptr<OpenFiles> open_past_;
  std::map<uint64_t, Entry> files_;
  std::deque<uint64_t> recyclable_;  // released, not yet renamed
  size_t filled_since_release_ = 0;
  uint64_t current_ = 0;
  uint64_t first_held_ = 0;  // files from here on are open
  size_t wanted_ready_ = 0;  // more than the usual, until they are
  bool advanced_ = false;    // this life has filled a file
  base::MonoTime advanced_at_;
  base::Duration last_fill_{};
  bool large_slots_ = false;  // the last one held few
  bool preparing_ = false;
  Loan loan_ = Loan::kNone;
  bool disk_full_ = false;
  std::function<void()> on_change_;
  std::function<void(const base::Error&)> on_failed_;
  std::unique_ptr<io::Worker> worker_;  // last: its end waits for the running job
};

}  // namespace polylog::storage
