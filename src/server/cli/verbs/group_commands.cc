// polylog group list, describe, reset, delete.
#include <fmt/format.h>

#include "http/json/writer.h"
#include "server/cli/verbs/context.h"

namespace polylog::server {
namespace {

constexpr int64_t kPartitionsMax = 100'000;

void print_offsets(const http::Json& group) {
  TextTable offsets({"STREAM", "PARTITION", "OFFSET", "END", "LAG"});
  for (const http::Json& offset : items(group, "offsets")) {
    offsets.add({at(offset, "stream").plain(), shown(at(offset, "partition")), shown(at(offset, "offset")),
                 shown(at(offset, "end")), shown(at(offset, "lag"))});
  }
  print(offsets.text());
}

base::Result<std::string> reset_body(const Context& context) {
  TRY_ASSIGN(const auto partitions, context.arguments.numbers("--partition", 0, kPartitionsMax));
  http::JsonWriter out;
  out.begin_object().field("stream", *context.arguments.text("--stream")).field("to", *context.arguments.text("--to"));
  if (!partitions.empty()) {
    out.key("partitions").begin_array();
    for (const int64_t partition : partitions) out.value(partition);
    out.end_array();
  }
  out.end_object();
  return out.take();
}

}  // namespace

base::Result<> run_group_list(Context& context) {
  TRY_ASSIGN(const http::Json groups, get_all(context, "/v1/groups", "groups"));
  if (context.json) {
    print_json(groups);
    return {};
  }
  TextTable table({"NAME", "STATE", "TYPE"});
  for (const http::Json& group : items(groups, "groups")) {
    table.add({at(group, "name").plain(), at(group, "state").plain(), at(group, "protocol_type").plain()});
  }
  print(table.text());
  return {};
}

base::Result<> run_group_describe(Context& context) {
  TRY_ASSIGN(const http::Json group, context.client.get(context.path_of("groups")));
  if (context.json) {
    print_json(group);
    return {};
  }
  TextTable members({"MEMBER", "INSTANCE", "CLIENT", "HOST"});
  for (const http::Json& member : items(group, "members")) {
    members.add({at(member, "id").plain(), shown(at(member, "instance_id")), at(member, "client_id").plain(),
                 at(member, "client_host").plain()});
  }
  print(fmt::format("name        {}\nstate       {}\ngeneration  {}\n\n{}\n", printable(at(group, "name").plain()),
                    at(group, "state").plain(), at(group, "generation").plain(), members.text()));
  print_offsets(group);
  return {};
}

base::Result<> run_group_reset(Context& context) {
  TRY_ASSIGN(const std::string body, reset_body(context));
  TRY_ASSIGN(const http::Json group, context.client.send("PUT", context.path_of("groups", "/offsets"), body));
  if (context.json) {
    print_json(group);
    return {};
  }
  TextTable offsets({"STREAM", "PARTITION", "OFFSET"});
  for (const http::Json& offset : items(group, "offsets")) {
    offsets.add({at(offset, "stream").plain(), shown(at(offset, "partition")), shown(at(offset, "offset"))});
  }
  print(offsets.text());
  return {};
}

base::Result<> run_group_delete(Context& context) {
  TRY(context.client.send("DELETE", context.path_of("groups")));
  if (!context.json) print(fmt::format("deleted {}\n", printable(*context.arguments.text("NAME"))));
  return {};
}

}  // namespace polylog::server
