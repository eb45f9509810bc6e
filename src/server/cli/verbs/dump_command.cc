// polylog dump.
#include <fmt/format.h>

#include "broker/inspect.h"
#include "http/json/writer.h"
#include "io/posix_disk.h"
#include "server/cli/verbs/context.h"
#include "storage/inspect/dump.h"

namespace polylog::server {
namespace {

std::string shown(base::Result<std::string> inspected) {
  return inspected ? *inspected : "does not decode: " + inspected.error().text;
}

std::string text_of(const storage::DumpLine& line, bool json) {
  if (!json) return printable(fmt::format("{:>10}  {:<10}  {}", line.offset, line.kind, line.text)) + '\n';
  http::JsonWriter out;
  out.begin_object().field("offset", line.offset).field("kind", line.kind).field("text", line.text).end_object();
  return out.take() + '\n';
}

}  // namespace

base::Result<> run_dump(Context& context) {
  TRY_ASSIGN(const auto limit, context.arguments.number("--limit", 1, INT64_MAX));
  io::PosixDisk disk;
  int64_t lines = 0;
  return storage::dump_file(
      {.disk = disk,
       .path = *context.arguments.text("PATH"),
       .line =
           [&](const storage::DumpLine& line) {
             print(text_of(line, context.json));
             return ++lines < limit.value_or(INT64_MAX);
           },
       .describe_engine_mutation = [](const storage::Mutation& m) { return shown(broker::inspect_mutation(m)); },
       .describe_engine_object = [](const storage::CheckpointObject& o) { return shown(broker::inspect_object(o)); },
       .describe_value = [](const std::string& key,
                            const std::string& value) { return shown(broker::inspect_meta(key, value)); }});
}

}  // namespace polylog::server
