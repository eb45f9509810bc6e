#include "server/data_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "broker/catalog/records.h"
#include "broker/inspect.h"
#include "server/data_dir.h"
#include "storage/inspect/cell_check.h"
#include "storage/local_meta_store.h"

namespace polylog::server {
namespace {

using storage::Finding;

template <typename T>
base::Result<> without_value(const base::Result<T>& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

class DataCheck {
 public:
  DataCheck(const DataCheckOptions& options, const DataDir& dir) : options_(options), dir_(dir) {}

  base::Result<DataCounts> run() {
    TRY(check_meta());
    check_catalog();
    for (uint32_t n = 0; n < dir_.cells(); ++n) {
      ++counts_.cells;
      const base::CellId cell(static_cast<uint16_t>(n));
      if (const auto checked = check_cell(cell); !checked) cannot_check(cell, checked.error());
    }
    if (meta_cut_ && counts_.damages > 0) meta_cut_->repair.reset();  // what is damaged may be what it was about
    if (meta_cut_) report(*meta_cut_);
    return counts_;
  }

 private:
  void report(const Finding& finding) {
    ++(finding.kind == Finding::Kind::kDamage ? counts_.damages : counts_.notes);
    std::string name;
    if (finding.lost) {
      const auto found = names_.find(finding.lost->partition.stream);
      name = found == names_.end() ? finding.lost->partition.stream.to_string() : found->second;
    }
    options_.report(finding, name);
  }
  void note(std::string file, std::optional<uint64_t> offset, std::string what) {
    report(
        {.kind = Finding::Kind::kNote, .file = std::move(file), .offset = offset, .what = std::move(what), .lost = {}});
  }

  // A cell's directory is made when it first opens: one that has nothing need not be there.
  void cannot_check(base::CellId cell, const base::Error& error) {
    const bool has_nothing = std::ranges::none_of(cells_, [&](const auto& place) { return place.second == cell; });
    const bool is_note = error.code == base::ErrorCode::kNotFound && has_nothing;
    report({.kind = is_note ? Finding::Kind::kNote : Finding::Kind::kDamage,
            .file = dir_.cell_path(cell),
            .offset = {},
            .what = error.text,
            .lost = {}});
  }

  // --- the meta store
  base::Result<> check_meta() {
    const auto read = read_meta();
    if (read) return {};
    if (read.error().code != base::ErrorCode::kNotFound) return read;
    report({.file = meta_file(), .offset = {}, .what = "is missing: " + read.error().text, .lost = {}});
    return {};
  }

  base::Result<> read_meta() {
    TRY_ASSIGN(const auto file, options_.disk.open(meta_file(), io::OpenMode::kRead));
    TRY_ASSIGN(const uint64_t size, file->size());
    std::vector<uint8_t> bytes(size);
    TRY(file->read_at(bytes, 0));
    storage::MetaScan scan;
    const auto visit = [this](const storage::MetaTxn& txn, const storage::MetaScan&) { apply(txn); };
    while (true) {
      const auto scanned = storage::scan_meta(bytes, meta_file(), scan, visit);
      if (!scanned) report(storage::to_finding(scanned.error(), dir_.meta_path()));
      if (scanned && scan.end < size) note_meta_cut(scan.end);
      if (scanned || !storage::skip_meta_damage(bytes, scan)) break;
    }
    counts_.bytes += size;
    return note_meta_leftovers();
  }

  // Kept until the cells were looked at: one may hold what the cut record was about.
  void note_meta_cut(uint64_t end) {
    meta_cut_ = Finding{.kind = Finding::Kind::kNote,
                        .file = meta_file(),
                        .offset = end,
                        .what = "a torn write: the next start cuts it, nobody was told of it",
                        .lost = {},
                        .repair = storage::Repair{.what = "cut it, as the next start would",
                                                  .cut = storage::Repair::Cut{meta_file(), end}}};
  }

  base::Result<> note_meta_leftovers() {
    TRY_ASSIGN(const auto names, options_.disk.list(dir_.meta_path()));
    for (const std::string& name : names) {
      if (name == "meta.plm" || name == "meta.reserve") continue;
      const std::string path = dir_.meta_path() + "/" + name;
      Finding finding{
          .kind = Finding::Kind::kNote, .file = path, .offset = {}, .what = "left by a crash, not used", .lost = {}};
      const bool is_ours = name == "meta.plm.new";  // not needed while the catalog is sound
      if (is_ours && counts_.damages == 0) finding.repair = storage::Repair{.what = "remove it", .removes = {path}};
      report(finding);
    }
    return {};
  }
  std::string meta_file() const { return dir_.meta_path() + "/meta.plm"; }

  void apply(const storage::MetaTxn& txn) {
    for (const auto& [key, value] : txn.puts) values_[key] = value;
    for (const std::string& key : txn.removes) values_.erase(key);
  }

  void check_catalog() {
    for (const auto& [key, value] : values_) {
      const auto decoded = broker::inspect_meta(key, value);
      if (!decoded) report({.file = meta_file(), .offset = {}, .what = key + ": " + decoded.error().text, .lost = {}});
      const bool is_stream = key.starts_with("stream/");
      if (!decoded || (!is_stream && !key.starts_with("tomb/"))) continue;
      const broker::StreamRecord record = *broker::decode_record(base::as_view(value));
      names_[record.id] = record.name;
      counts_.streams += is_stream;
      for (uint32_t i = 0; i < record.partitions.size(); ++i) place(record, i);
    }
  }

  void place(const broker::StreamRecord& record, uint32_t index) {
    const base::CellId cell = record.partitions[index];
    cells_[record.key(index)] = cell;
    if (cell.value >= dir_.cells())
      report({.file = meta_file(),
              .offset = {},
              .what = fmt::format("partition {} of '{}' is in cell {}, and there are {}", index, record.name,
                                  cell.value, dir_.cells()),
              .lost = {}});
  }

  // --- cells
  base::Result<> check_cell(base::CellId cell) {
    TRY_ASSIGN(
        const auto contents,
        storage::check_cell(
            {.disk = options_.disk,
             .directory = dir_.cell_path(cell),
             .cell = cell,
             .report = [this](const Finding& finding) { report(finding); },
             .engine_mutation = [](const storage::Mutation& m,
                                   base::Lsn) { return without_value(broker::inspect_mutation(m)); },
             .engine_object =
                 [](const storage::CheckpointObject& object) { return without_value(broker::inspect_object(object)); },
             .progress = options_.progress}));
    counts_.slots += contents.counts.slots;
    counts_.mutations += contents.counts.mutations;
    counts_.objects += contents.counts.objects;
    counts_.batches += contents.counts.batches;
    counts_.segments += contents.counts.segments;
    counts_.bytes += contents.counts.bytes;
    for (const storage::PartitionRange& partition : contents.partitions) check_place(partition, cell);
    return {};
  }

  void check_place(const storage::PartitionRange& partition, base::CellId cell) {
    ++counts_.partitions;
    const auto known = cells_.find(partition.key);
    const auto [start, end] = std::pair(partition.start.value, partition.end.value);
    const std::string text = fmt::format("partition {} of stream {}, offsets [{}, {})", partition.key.index,
                                         partition.key.stream.to_string(), start, end);
    if (known == cells_.end() && meta_cut_) {  // a stream is used only after its record was synced
      meta_cut_->repair.reset();
      report({.file = meta_file(),
              .offset = {},
              .what = "its end is damaged, not torn: a cell holds a partition that it does not have",
              .lost = Finding::Lost{partition.key, partition.start, partition.end}});
    } else if (known == cells_.end()) {
      note(dir_.cell_path(cell), {}, text + ": the catalog does not have it");
    } else if (known->second != cell) {
      report({.file = dir_.cell_path(cell),
              .offset = {},
              .what = fmt::format("{}: the catalog says that it is in cell {}", text, known->second.value),
              .lost = {}});
    }
  }

  const DataCheckOptions& options_;
  const DataDir& dir_;
  DataCounts counts_;
  std::optional<Finding> meta_cut_;
  std::map<std::string, std::string> values_;
  std::map<base::Uuid, std::string> names_;
  std::map<base::PartitionKey, base::CellId> cells_;
};

}  // namespace

base::Result<DataCounts> check_data(const DataCheckOptions& options) {
  return check_opened(options, DataDir::open_to_inspect(options.disk, options.path));
}

base::Result<DataCounts> check_opened(const DataCheckOptions& options, const base::Result<DataDir>& dir) {
  if (dir) return DataCheck(options, *dir).run();
  if (dir.error().code != base::ErrorCode::kCorrupt) return std::unexpected(dir.error());
  options.report({.file = options.path + "/polylog.id", .offset = {}, .what = dir.error().text, .lost = {}}, "");
  return DataCounts{.damages = 1};
}

}  // namespace polylog::server
