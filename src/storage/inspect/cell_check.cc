#include "storage/inspect/cell_check.h"

#include <fmt/format.h>

#include <array>

#include "storage/inspect/batch_check.h"
#include "storage/inspect/checkpoint_mend.h"
#include "storage/inspect/log_mend.h"
#include "storage/inspect/replayed_state.h"
#include "storage/wal_files.h"
#include "storage/wal_recovery.h"

namespace polylog::storage {
namespace {

uint32_t crc_of(const SlotHeader& header) {
  std::array<uint8_t, kSlotHeaderBytes> bytes;
  return encode_slot_header(header, bytes);
}

class CellCheck {
 public:
  // With `before`: as if that checkpoint and newer ones were not there.
  explicit CellCheck(const CellCheckOptions& options, std::string before = {})
      : options_(options), before_(std::move(before)), files_(options.disk, options.directory, options.cell) {}

  base::Result<CellContents> run() {
    TRY(files_.open([this](const Finding& finding) { left_out(finding); }));
    TRY(load());
    TRY(replay());
    report_lost();
    BatchCheck batches(files_, options_, contents_.counts);
    for (const Partitions& era : state_.eras())
      for (const auto& [key, partition] : era) batches.check(*partition);
    report_leftovers(batches.named());
    for (const base::PartitionKey& key : state_.keys()) {
      const auto [start, end] = state_.range_of(key);
      contents_.partitions.push_back({key, start, end});
    }
    return std::move(contents_);
  }

 private:
  std::string path_of(const std::string& name) const { return options_.directory + "/" + name; }
  void report(const Finding& finding) {
    damages_ += finding.kind == Finding::Kind::kDamage;
    options_.report(finding);
  }
  void damage(std::string file, std::optional<uint64_t> offset, std::string what,
              std::optional<Finding::Lost> lost = {}) {
    report({.file = std::move(file), .offset = offset, .what = std::move(what), .lost = lost});
  }
  bool is_of_log(const Finding& finding) const { return finding.file.starts_with(path_of("wal-")); }
  // What a log file that cannot be read names, nobody knows.
  void left_out(const Finding& finding) {
    log_damaged_ = log_damaged_ || is_of_log(finding);
    is_of_log(finding) ? report(finding) : options_.report(finding);
  }
  // A repair is kept back while the state is damaged: then nobody can tell what it needs.
  void note(std::string file, std::optional<uint64_t> offset, std::string what, std::optional<Repair> repair = {}) {
    if (damages_ > 0) repair.reset();
    report({.kind = Finding::Kind::kNote,
            .file = std::move(file),
            .offset = offset,
            .what = std::move(what),
            .lost = {},
            .repair = std::move(repair)});
  }
  void note_removable(const std::string& path, std::string what) {
    note(path, {}, std::move(what), Repair{.what = "remove it", .removes = {path}});
  }

  base::Result<> load() {
    TRY_ASSIGN(checkpoint_, newest_checkpoint(options_.disk, options_.directory, before_));
    if (checkpoint_.empty()) return {};
    const std::string path = path_of(checkpoint_);
    std::vector<Finding> found;
    const auto head = read_checkpoint(
        options_.disk, path,
        [&](const CheckpointObject& object) {
          restore(object, path);
          return base::Result<>{};
        },
        [&](uint64_t offset, std::string_view what) {
          found.push_back({.file = path, .offset = offset, .what = std::string(what), .lost = {}});
          return true;
        });
    if (head && head->cell == options_.cell) {
      head_ = *head;
    } else {
      found.push_back(head ? Finding{.file = path, .offset = 0, .what = "belongs to another cell", .lost = {}}
                           : to_finding(head.error(), options_.directory));
    }
    checkpoint_damaged_ = !found.empty();
    if (checkpoint_damaged_ && before_.empty()) found.front().repair = repair_of_checkpoint(path);
    for (const Finding& finding : found) report(finding);
    return {};
  }

  // Made whole, or else not needed: what an older one or no checkpoint at all, and the log since then, come to is the same.
  std::optional<Repair> repair_of_checkpoint(const std::string& path) const {
    if (auto mended = mend_checkpoint(options_.disk, path, files_)) return mended;
    Repair repair{.what = "remove it: the log since the one before is whole", .removes = {path}};
    for (std::string newer = checkpoint_; !newer.empty();) {
      CellCheckOptions trial_options = options_;
      trial_options.report = [](const Finding&) {};
      trial_options.progress = [](uint64_t) {};
      CellCheck trial(trial_options, newer);
      if (trial.replaces(checkpoint_number(checkpoint_), highest_stamp_)) return repair;
      newer = trial.checkpoint_;
      if (!newer.empty()) repair.removes.push_back(path_of(newer));
    }
    return std::nullopt;
  }

  // Whether a start would come to the state of a checkpoint with this number and highest stamp, and past it, without any
  // doubt. A torn tail is one: it may be what the checkpoint reflects.
  bool replaces(uint64_t number, Lsn highest_stamp) {
    const auto opened = files_.open([this](const Finding& finding) { left_out(finding); });
    if (!opened || !load() || !replay()) return false;
    if (damages_ > 0 || is_cut_ || due_.next_seq.value < number || due_.next_lsn <= highest_stamp) return false;
    for (const auto& [key, partition] : state_.eras().front())
      if (!has_files_of(*partition)) return false;
    return true;
  }

  bool has_files_of(const Partition& partition) const {
    for (const Piece& piece : partition.all_pieces())
      if (!files_.file_of(piece.at)) return false;
    for (const SegmentRef& segment : partition.segments())
      if (!files_.segment(segment.extent)) return false;
    return true;
  }

  void restore(const CheckpointObject& object, const std::string& path) {
    ++contents_.counts.objects;
    highest_stamp_ = std::max(highest_stamp_, object.stamp);
    const auto restored = is_of_partition(object) ? state_.restore(object) : options_.engine_object(object);
    if (!restored) damage(path, {}, restored.error().text);
  }

  // From the replay start, and behind damage from the next sound slot on, to the end.
  base::Result<> replay() {
    const auto numbers = files_.sequence_numbers();
    WalEnd from{.position = {numbers.empty() ? 1 : numbers.front(), 0}};
    if (head_) from = head_->replay_start;
    due_ = from;
    if (checkpoint_damaged_ && !head_) {  // nobody knows where the replay starts
      const auto first = files_.slot_after(from.position, WalEnd{.next_seq = SlotSeq(0)});
      if (!first) return {};
      from = due_ = *first;
    }
    if (checkpoint_damaged_) state_.begin_era();
    while (true) {
      const auto report = recover_wal(files_, options_.cell, from, [this](const SlotHeader& header, View mutations) {
        replay_slot(header, mutations);
        return base::Result<>{};
      });
      if (report) return conclude(*report);
      if (report.error().code != base::ErrorCode::kCorrupt) return std::unexpected(report.error());
      const auto next = files_.slot_after(due_.position, due_);
      report_damaged_log(report.error(), next);
      if (!next) return {};
      from = due_ = *next;
      state_.begin_era();
    }
  }

  void report_damaged_log(const base::Error& error, const std::optional<WalEnd>& next) {
    log_damaged_ = true;
    Finding finding = to_finding(error, options_.directory);
    if (next && next->next_lsn > due_.next_lsn)
      finding.what += fmt::format("; mutations {} to {} are lost", due_.next_lsn.value, next->next_lsn.value - 1);
    finding.repair = mend_slot_header(files_, due_);
    report(finding);
  }

  void replay_slot(const SlotHeader& header, View mutations) {
    const std::string path = path_of(WalFiles::name_of(header.position.file_seq));
    base::Reader reader(mutations);
    Mutation mutation;
    Lsn lsn = header.lsn;
    for (; next_mutation(reader, mutation); lsn = lsn.next()) {
      const auto done = mutation.type >= MutationType::kFirstOfEngine ? options_.engine_mutation(mutation, lsn)
                                                                      : state_.replay(mutation, lsn);
      if (!done) damage(path, header.position.offset, fmt::format("mutation {}: {}", lsn.value, done.error().text));
      ++contents_.counts.mutations;
    }
    if (!reader.ok() || lsn.value != header.lsn.value + header.mutation_count)
      damage(path, header.position.offset, "a slot's mutations do not fill it");
    due_ = {.position = {header.position.file_seq, header.position.offset + header.disk_bytes()},
            .next_seq = header.seq.next(),
            .next_lsn = Lsn(header.lsn.value + header.mutation_count),
            .previous_crc = crc_of(header),
            .epoch = header.epoch};
    ++contents_.counts.slots;
    contents_.counts.bytes += header.disk_bytes();
    options_.progress(header.disk_bytes());
  }

  base::Result<> conclude(const RecoveryReport& report) {
    const WalEnd& end = report.end;
    is_cut_ = report.cut.has_value();
    if (end.next_lsn <= highest_stamp_)
      damage(path_of(WalFiles::name_of(end.position.file_seq)), end.position.offset,
             fmt::format("the log ends before mutation {}, and the checkpoint reflects {}", end.next_lsn.value,
                         highest_stamp_.value));
    if (!report.cut) return {};
    const std::string path = path_of(report.cut->file);
    if (auto mended = mend_slot_header(files_, end)) {  // not torn: it was whole, and somebody may have been told of it
      log_damaged_ = true;
      this->report({.file = path,
                    .offset = report.cut->offset,
                    .what = "a damaged slot near the end of the log; the next start would cut it",
                    .lost = {},
                    .repair = std::move(mended)});
    } else {
      note(path, report.cut->offset, "a torn write: the next start cuts it, nobody was told of it",
           cut_log(files_, end));
    }
    return {};
  }

  void report_lost() {
    for (const Finding::Lost& lost : state_.lost())
      damage(options_.directory, {}, "the log has a gap where these were appended", lost);
    if (!checkpoint_damaged_) return;
    for (const auto& [key, partition] : state_.eras()[1 % state_.eras().size()]) {
      if (!state_.eras().front().contains(key) && partition->start() > Offset(0))
        damage(path_of(checkpoint_), {}, "nothing is known of what the partition held before",
               Finding::Lost{key, Offset(0), partition->start()});
    }
  }

  // Files that nothing sound names. Where the state is damaged, nobody can tell.
  void report_leftovers(const std::set<std::string>& named) {
    for (const std::string& name : files_.names()) {
      const std::string path = path_of(name);
      if (name.ends_with(".new")) {
        note_removable(path, "left by a crash; the next start removes it");
      } else if (name.starts_with("checkpoint-")) {
        if (name != checkpoint_) note_removable(path, "an older checkpoint, not used");
      } else if (parse_extent_name(name)) {
        if (!named.contains(path) && !log_damaged_ && !checkpoint_damaged_)
          note_removable(path, "nothing names it; the next start removes it");
      } else if (!name.starts_with("wal-")) {
        note(path, {}, "no file of polylog");
      }
    }
  }

  const CellCheckOptions& options_;
  const std::string before_;
  StoredCell files_;
  ReplayedState state_;
  CellContents contents_;
  std::string checkpoint_;
  std::optional<CheckpointHead> head_;
  Lsn highest_stamp_;
  WalEnd due_;            // what replay expects next
  uint64_t damages_ = 0;  // of the state; not what batches have
  bool checkpoint_damaged_ = false, log_damaged_ = false, is_cut_ = false;
};

}  // namespace

base::Result<CellContents> check_cell(const CellCheckOptions& options) { return CellCheck(options).run(); }

}  // namespace polylog::storage
