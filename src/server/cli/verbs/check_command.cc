// polylog check, and check --repair.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "http/json/writer.h"
#include "io/copy_directory.h"
#include "io/posix_disk.h"
#include "server/cli/terminal/progress.h"
#include "server/cli/verbs/context.h"
#include "server/data_repair.h"

namespace polylog::server {
namespace {

using storage::Finding;

std::string line_of(const Finding& finding, const std::string& stream) {
  std::string text = finding.kind == Finding::Kind::kDamage ? "damage: " : "note: ";
  text += finding.file;
  if (finding.offset) text += fmt::format(" at offset {}", *finding.offset);
  text += ": " + finding.what;
  if (finding.lost)
    text += fmt::format("; lost: stream '{}' partition {} offsets {} to {}", stream, finding.lost->partition.index,
                        finding.lost->from.value, finding.lost->end.value - 1);
  if (finding.repair) text += "; --repair would: " + finding.repair->what;
  return printable(text) + '\n';
}

void put(http::JsonWriter& out, const Finding& finding, const std::string& stream) {
  out.begin_object()
      .field("kind", finding.kind == Finding::Kind::kDamage ? "damage" : "note")
      .field("file", finding.file)
      .field("offset", finding.offset)
      .field("what", finding.what);
  out.key("lost");
  if (finding.lost) {
    out.begin_object()
        .field("stream", stream)
        .field("partition", finding.lost->partition.index)
        .field("from", finding.lost->from.value)
        .field("to", finding.lost->end.value - 1)
        .end_object();
  } else {
    out.value(nullptr);
  }
  out.key("repair");
  if (finding.repair) {
    out.value(finding.repair->what);
  } else {
    out.value(nullptr);
  }
  out.end_object();
}

void put(http::JsonWriter& out, const DataCounts& counts) {
  out.field("cells", counts.cells)
      .field("streams", counts.streams)
      .field("partitions", counts.partitions)
      .field("slots", counts.slots)
      .field("mutations", counts.mutations)
      .field("objects", counts.objects)
      .field("batches", counts.batches)
      .field("segments", counts.segments)
      .field("bytes", counts.bytes)
      .field("damages", counts.damages)
      .field("notes", counts.notes);
}

std::string summary(const DataCounts& c) {
  return fmt::format(
      "checked {}: {} cells, {} streams, {} partitions, {} slots, {} mutations, {} checkpoint objects, {} batches, "
      "{} segments\n{} damaged, {} notes\n",
      human_bytes(static_cast<int64_t>(c.bytes)), c.cells, c.streams, c.partitions, c.slots, c.mutations, c.objects,
      c.batches, c.segments, c.damages, c.notes);
}

// A directory that cannot be checked is not a damaged one.
base::Result<> cannot(const base::Error& error) { return base::fail(base::ErrorCode::kInvalid, error.text); }

base::Result<> verdict(const DataCounts& counts, const std::string& path, std::string_view more = {}) {
  if (counts.damages == 0) return {};
  return base::fail(base::ErrorCode::kCorrupt, fmt::format("{} is damaged{}", path, more));
}

// Counts bytes on a progress line.
class Meter {
 public:
  explicit Meter(std::string what) : progress_(std::move(what)) {}
  std::function<void(uint64_t)> counter() {
    return [this](uint64_t more) {
      bytes_ += static_cast<int64_t>(more);
      progress_.set(++things_, bytes_, {});
    };
  }
  void clear() { progress_.clear(); }

 private:
  Progress progress_;
  int64_t things_ = 0, bytes_ = 0;
};

base::Result<> look(Context& context, const std::string& path) {
  io::PosixDisk disk;
  Meter meter("checked");
  http::JsonWriter json;
  json.begin_object().key("findings").begin_array();
  const auto checked = check_data({.disk = disk,
                                   .path = path,
                                   .report =
                                       [&](const Finding& finding, const std::string& stream) {
                                         if (context.json) return put(json, finding, stream);
                                         meter.clear();
                                         print(line_of(finding, stream));
                                       },
                                   .progress = meter.counter()});
  meter.clear();
  if (!checked) return cannot(checked.error());
  json.end_array();
  put(json, *checked);
  json.end_object();
  print(context.json ? json.take() + '\n' : summary(*checked));
  return verdict(*checked, path);
}

// --- repairing

base::Result<> copy(const std::string& from, const std::string& to) {
  io::PosixDisk disk;
  TRY_ASSIGN(const auto lock, DataDir::lock(disk, from));
  Meter meter("copied");
  return io::copy_directory(
      {.from = from, .to = to, .leave_out = "polylog.lock", .last = "polylog.id", .progress = meter.counter()});
}

base::Result<> confirm(const Context& context, const std::string& path, const std::vector<FoundDamage>& found) {
  if (context.arguments.has("--yes") || context.arguments.has("--to")) return {};
  if (context.json || isatty(STDIN_FILENO) == 0)
    return base::fail(base::ErrorCode::kNotAllowed,
                      "--repair changes " + path + ": add --yes, or --to DIR to have a copy repaired");
  for (const FoundDamage& each : found) print(line_of(each.finding, each.stream));
  const auto count =
      std::ranges::count_if(found, [](const FoundDamage& each) { return each.finding.repair.has_value(); });
  print(fmt::format("Do the {} repairs above in {}? A copy of it should exist. [y/N] ", count, path));
  std::string answer;
  std::getline(std::cin, answer);
  if (answer == "y" || answer == "yes") return {};
  return base::fail(base::ErrorCode::kNotAllowed, "nothing was changed");
}

void put_repair(http::JsonWriter& out, const Finding& finding) {
  out.begin_object()
      .field("file", finding.file)
      .field("offset", finding.offset)
      .field("what", finding.what)
      .field("repair", finding.repair->what)
      .end_object();
}

std::string outcome(const std::vector<Finding>& repaired, const std::vector<FoundDamage>& remaining,
                    const DataCounts& counts) {
  http::JsonWriter json;
  json.begin_object().key("repairs").begin_array();
  for (const Finding& finding : repaired) put_repair(json, finding);
  json.end_array().key("findings").begin_array();
  for (const FoundDamage& each : remaining) put(json, each.finding, each.stream);
  json.end_array();
  put(json, counts);
  json.end_object();
  return json.take() + '\n';
}

base::Result<> repair(Context& context, const std::string& path) {
  io::PosixDisk disk;
  Meter meter("checked");
  std::vector<Finding> repaired;
  std::vector<FoundDamage> remaining;
  const auto done = repair_data(
      {.disk = disk,
       .path = path,
       .confirm =
           [&](const std::vector<FoundDamage>& found) {
             meter.clear();
             return confirm(context, path, found);
           },
       .repaired =
           [&](const Finding& finding) {
             repaired.push_back(finding);
             meter.clear();
             const std::string line =
                 fmt::format("repaired: {}: {}: {}", finding.file, finding.what, finding.repair->what);
             if (!context.json) print(printable(line) + '\n');
           },
       .remains = [&](const Finding& finding, const std::string& stream) { remaining.push_back({finding, stream}); },
       .progress = meter.counter()});
  meter.clear();
  if (!done) return cannot(done.error());
  if (context.json) {
    print(outcome(repaired, remaining, *done));
  } else {
    for (const FoundDamage& each : remaining) print(line_of(each.finding, each.stream));
    print(fmt::format("{} repairs\n", repaired.size()) + summary(*done));
  }
  return verdict(*done, path, ", and nothing more is safe to do: bring back what it names from a copy");
}

}  // namespace

base::Result<> run_check(Context& context) {
  const std::string path = *context.arguments.text("DATA_DIR");
  const auto to = context.arguments.text("--to");
  if (!context.arguments.has("--repair")) {
    if (!to && !context.arguments.has("--yes")) return look(context, path);
    return base::fail(base::ErrorCode::kInvalid, "--to and --yes go with --repair");
  }
  if (!to) return repair(context, path);
  if (const auto copied = copy(path, *to); !copied) return cannot(copied.error());
  return repair(context, *to);
}

}  // namespace polylog::server
