// polylog stream list, create, describe, alter, delete.
#include <fmt/format.h>

#include "http/json/writer.h"
#include "server/cli/verbs/context.h"

namespace polylog::server {
namespace {

constexpr int64_t kPartitionsMax = 100'000;

void print_description(const http::Json& stream) {
  std::string text = fmt::format("name        {}\nid          {}\npartitions  {}\ndurable     {}\n",
                                 printable(at(stream, "name").plain()), at(stream, "id").plain(),
                                 at(stream, "partition_count").plain(), shown(at(stream, "durable")));
  TextTable partitions({"PARTITION", "CELL", "START", "END", "BYTES", "BATCHES"});
  for (const http::Json& partition : items(stream, "partitions")) {
    partitions.add({shown(at(partition, "partition")), shown(at(partition, "cell")), shown(at(partition, "start")),
                    shown(at(partition, "end")), shown(at(partition, "stored_bytes")),
                    shown(at(partition, "batches"))});
  }
  TextTable settings({"SETTING", "VALUE", "FROM", "ACTS"});
  for (const http::Json& setting : items(stream, "settings")) {
    settings.add({at(setting, "name").plain(), at(setting, "value").plain(), at(setting, "source").plain(),
                  shown(at(setting, "acts"))});
  }
  print(text + '\n' + partitions.text() + '\n' + settings.text());
}

// The body of a create, which names the stream, or of an alter.
base::Result<std::string> body_of(const Context& context, const std::optional<std::string>& name) {
  TRY_ASSIGN(const auto partitions, context.arguments.number("--partitions", 1, kPartitionsMax));
  TRY_ASSIGN(const auto settings, context.arguments.pairs("--set"));
  http::JsonWriter out;
  out.begin_object();
  if (name) out.field("name", *name);
  if (partitions) out.field("partitions", *partitions);
  out.key("settings").begin_object();
  for (const auto& [name, value] : settings) out.field(name, value);
  for (const std::string& name : context.arguments.all("--unset")) out.field(name, nullptr);
  out.end_object().end_object();
  return out.take();
}

base::Result<> answer(const Context& context, const http::Json& stream, std::string_view done) {
  if (context.json) {
    print_json(stream);
  } else {
    print(fmt::format("{} {} ({} partitions)\n", done, printable(at(stream, "name").plain()),
                      at(stream, "partition_count").plain()));
  }
  return {};
}

}  // namespace

base::Result<> run_stream_list(Context& context) {
  TRY_ASSIGN(const http::Json streams, get_all(context, "/v1/streams", "streams"));
  if (context.json) {
    print_json(streams);
    return {};
  }
  TextTable table({"NAME", "PARTITIONS", "DURABLE"});
  for (const http::Json& stream : items(streams, "streams")) {
    table.add({at(stream, "name").plain(), shown(at(stream, "partition_count")), shown(at(stream, "durable"))});
  }
  print(table.text());
  return {};
}

base::Result<> run_stream_create(Context& context) {
  TRY_ASSIGN(const std::string body, body_of(context, context.arguments.text("NAME")));
  TRY_ASSIGN(const http::Json stream, context.client.send("POST", "/v1/streams", body));
  return answer(context, stream, "created");
}

base::Result<> run_stream_describe(Context& context) {
  TRY_ASSIGN(const http::Json stream, context.client.get(context.path_of("streams"), "max=10000"));
  if (context.json) {
    print_json(stream);
  } else {
    print_description(stream);
  }
  return {};
}

base::Result<> run_stream_alter(Context& context) {
  TRY_ASSIGN(const std::string body, body_of(context, {}));
  TRY_ASSIGN(const http::Json stream, context.client.send("PATCH", context.path_of("streams"), body));
  return answer(context, stream, "altered");
}

base::Result<> run_stream_delete(Context& context) {
  TRY(context.client.send("DELETE", context.path_of("streams")));
  if (!context.json) print(fmt::format("deleted {}\n", printable(*context.arguments.text("NAME"))));
  return {};
}

}  // namespace polylog::server
