// polylog status and config.
#include <fmt/format.h>

#include "server/cli/verbs/context.h"

namespace polylog::server {
namespace {

std::string bytes_text(const http::Json& value) {
  return value.integer() ? human_bytes(*value.integer()) : std::string("-");
}

std::string listeners_of(const http::Json& status) {
  std::string text;
  for (const http::Json& listener : items(status, "listeners")) text += (text.empty() ? "" : " ") + listener.plain();
  return text;
}

std::string cells_table(const http::Json& cells) {
  TextTable table({"CELL", "CORE", "EPOCH", "PARTITIONS", "STATE"});
  for (const http::Json& cell : items(cells, "cells")) {
    const bool failed = at(cell, "failed").boolean().value_or(false);
    const bool full = at(cell, "disk_full").boolean().value_or(false);
    const bool held = at(cell, "producers_held").boolean().value_or(false);
    table.add({shown(at(cell, "cell")), shown(at(cell, "core")), shown(at(cell, "epoch")),
               shown(at(cell, "partitions")),
               failed ? "failed: see the log"
               : full ? "disk full"
               : held ? "producers held"
                      : "ok"});
  }
  return table.text();
}

}  // namespace

base::Result<> run_status(Context& context) {
  TRY_ASSIGN(const http::Json status, context.client.get("/v1/status"));
  TRY_ASSIGN(const http::Json cells, context.client.get("/v1/cells"));
  TRY_ASSIGN(const http::Json connections, context.client.get("/v1/connections"));
  if (context.json) {
    http::Json::Object all = *status.object();
    all.emplace_back("cells", at(cells, "cells"));
    all.emplace_back("connections", at(connections, "connections"));
    std::erase_if(all, [](const auto& member) { return member.first == "cells" && member.second.integer(); });
    print_json(http::Json(std::move(all)));
    return {};
  }
  std::string open;
  for (const http::Json& protocol : items(connections, "connections")) {
    open += fmt::format("{}{} {}", open.empty() ? "" : ", ", at(protocol, "open").plain(),
                        at(protocol, "protocol").plain());
  }
  const http::Json& disk = at(status, "disk");
  const http::Json& memory = at(status, "memory");
  const std::string trouble = at(status, "trouble").plain();
  print(fmt::format(
      "version      {}\nready        {}{}\nuptime       {}\nlisteners    {}\nconnections  {}\n"
      "streams      {}\nqueues       {}\ndisk         {} free of {} ({})\nmemory       {} of {}\n\n{}",
      at(status, "version").plain(), shown(at(status, "ready")), trouble.empty() ? "" : " (" + printable(trouble) + ")",
      human_time(at(status, "uptime_s").integer().value_or(0)), listeners_of(status), open,
      at(status, "streams").plain(), at(status, "queues").plain(), bytes_text(at(disk, "free_bytes")),
      bytes_text(at(disk, "total_bytes")), printable(at(disk, "data_dir").plain()),
      bytes_text(at(memory, "resident_bytes")), bytes_text(at(memory, "max_bytes")), cells_table(cells)));
  return {};
}

base::Result<> run_config(Context& context) {
  TRY_ASSIGN(const http::Json config, context.client.get("/v1/config"));
  const auto wanted = context.arguments.text("KEY");
  http::Json::Array chosen;
  for (const http::Json& setting : items(config, "settings")) {
    if (!wanted || at(setting, "key").plain() == *wanted) chosen.push_back(setting);
  }
  if (wanted && chosen.empty()) {
    return base::fail(base::ErrorCode::kNotFound,
                      fmt::format("there is no setting '{}'; `polylog settings` lists them all", *wanted));
  }
  if (context.json) {
    print_json(http::Json(http::Json::Object{{"settings", http::Json(std::move(chosen))}}));
    return {};
  }
  TextTable table({"SETTING", "VALUE", "IN FORCE", "FROM"});
  for (const http::Json& setting : chosen) {
    table.add({at(setting, "key").plain(), at(setting, "value").plain(), at(setting, "in_force").plain(),
               at(setting, "source").plain()});
  }
  print(table.text());
  return {};
}

}  // namespace polylog::server
