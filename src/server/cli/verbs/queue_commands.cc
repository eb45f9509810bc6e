// polylog queue list, describe, peek, purge, delete.
#include <fmt/format.h>
#include <unistd.h>

#include "server/cli/verbs/context.h"
#include "server/cli/verbs/record_format.h"

namespace polylog::server {
namespace {

constexpr int64_t kPeekMax = 1000;

void print_queue(const http::Json& queue) {
  std::string text;
  for (const char* member : {"name", "type", "durable", "auto_delete", "exclusive", "ready", "unacked", "consumers"}) {
    text += fmt::format("{:11} {}\n", member, printable(shown(at(queue, member))));
  }
  if (const http::Json::Object* arguments = at(queue, "arguments").object()) {
    for (const auto& [name, value] : *arguments) {
      text += fmt::format("argument    {} = {}\n", printable(name), printable(shown(value)));
    }
  }
  print(text);
}

}  // namespace

base::Result<> run_queue_list(Context& context) {
  TRY_ASSIGN(const http::Json queues, get_all(context, "/v1/queues", "queues"));
  if (context.json) {
    print_json(queues);
    return {};
  }
  TextTable table({"NAME", "TYPE", "READY", "UNACKED", "CONSUMERS", "DURABLE"});
  for (const http::Json& queue : items(queues, "queues")) {
    table.add({at(queue, "name").plain(), at(queue, "type").plain(), shown(at(queue, "ready")),
               shown(at(queue, "unacked")), shown(at(queue, "consumers")), shown(at(queue, "durable"))});
  }
  print(table.text());
  return {};
}

base::Result<> run_queue_describe(Context& context) {
  TRY_ASSIGN(const http::Json queue, context.client.get(context.path_of("queues")));
  if (context.json) {
    print_json(queue);
  } else {
    print_queue(queue);
  }
  return {};
}

base::Result<> run_queue_peek(Context& context) {
  TRY_ASSIGN(const RecordFormat format, format_of(context.arguments, context.json));
  TRY_ASSIGN(const auto max, context.arguments.number("--max", 1, kPeekMax));
  TRY_ASSIGN(const http::Json page,
             context.client.get(context.path_of("queues", "/messages"), fmt::format("max={}", max.value_or(10))));
  std::string lines;
  for (const http::Json& message : items(page, "messages")) {
    TRY_ASSIGN(const std::string line, line_of(message, format, isatty(STDOUT_FILENO) != 0));
    lines += line;
  }
  print(lines);
  return {};
}

base::Result<> run_queue_purge(Context& context) {
  TRY_ASSIGN(const http::Json purged, context.client.send("DELETE", context.path_of("queues", "/messages")));
  if (context.json) {
    print_json(purged);
  } else {
    print(fmt::format("purged {} messages\n", at(purged, "purged").plain()));
  }
  return {};
}

base::Result<> run_queue_delete(Context& context) {
  TRY(context.client.send("DELETE", context.path_of("queues")));
  if (!context.json) print(fmt::format("deleted {}\n", printable(*context.arguments.text("NAME"))));
  return {};
}

}  // namespace polylog::server
