// polylog check.
#include <fmt/format.h>

#include "http/json/writer.h"
#include "io/posix_disk.h"
#include "server/cli/terminal/progress.h"
#include "server/cli/verbs/context.h"
#include "server/data_check.h"

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

}  // namespace

base::Result<> run_check(Context& context) {
  const std::string path = *context.arguments.text("DATA_DIR");
  io::PosixDisk disk;
  Progress progress("checked");
  int64_t things = 0, bytes = 0;
  http::JsonWriter json;
  json.begin_object().key("findings").begin_array();
  const auto checked = check_data({.disk = disk,
                                   .path = path,
                                   .report =
                                       [&](const Finding& finding, const std::string& stream) {
                                         if (context.json) return put(json, finding, stream);
                                         progress.clear();
                                         print(line_of(finding, stream));
                                       },
                                   .progress =
                                       [&](uint64_t more) {
                                         bytes += static_cast<int64_t>(more);
                                         progress.set(++things, bytes, {});
                                       }});
  progress.clear();
  // A directory that cannot be checked is not a damaged one.
  if (!checked) return base::fail(base::ErrorCode::kInvalid, checked.error().text);
  json.end_array();
  put(json, *checked);
  json.end_object();
  print(context.json ? json.take() + '\n' : summary(*checked));
  if (checked->damages == 0) return {};
  return base::fail(base::ErrorCode::kCorrupt, fmt::format("{} is damaged", path));
}

}  // namespace polylog::server
