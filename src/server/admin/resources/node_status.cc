// /v1/status, /v1/cells, /v1/connections, /v1/config: the process itself.
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "server/admin/routes.h"
#include "server/settings.h"
#include "server/version.h"

namespace polylog::server {
namespace {

uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t pages = 0, resident_pages = 0;
  statm >> pages >> resident_pages;
  return resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

void put_disk(http::JsonWriter& out, const AdminState& state) {
  const auto space = state.disk_space ? state.disk_space() : base::fail(base::ErrorCode::kNotFound);
  const auto bytes = [&](uint64_t n) { return space ? std::optional(n) : std::nullopt; };
  out.key("disk").begin_object();
  out.field("data_dir", state.config.data_dir)
      .field("total_bytes", bytes(space ? space->total_bytes : 0))
      .field("free_bytes", bytes(space ? space->free_bytes : 0))
      .end_object();
}

}  // namespace

Task<Response> get_status(Call& call) {
  const AdminState& state = call.state;
  const auto records = call.broker().catalog().all();
  const auto queues =
      std::ranges::count(records, broker::StreamKind::kQueue, [](const Record& record) { return record->kind; });
  const base::WallTime now = call.broker().loop().wall_now();
  const std::string trouble = state.trouble ? state.trouble() : std::string();
  http::JsonWriter out;
  out.begin_object()
      .field("version", kVersion)
      .field("cluster_id", state.cluster_id)
      .field("ready", state.ready.load(std::memory_order_acquire) && trouble.empty())
      .field("trouble", trouble)
      .field("started_ms", state.started.ms)
      .field("uptime_s", std::max<int64_t>(0, now.ms - state.started.ms) / 1000)
      .field("cells", call.broker().cell_count())
      .field("disk_full", call.broker().disk_full())
      .field("producers_held", call.broker().under_pressure())
      .field("streams", std::ssize(records) - queues)
      .field("queues", queues);
  out.key("listeners").begin_array();
  for (const ProtocolAddress& listener : state.listeners) out.value(to_text(listener));
  out.end_array();
  put_disk(out, state);
  out.key("memory").begin_object().field("resident_bytes", resident_bytes());
  out.field("max_bytes", memory_bytes_max_of(state.config, machine_memory_bytes())).end_object();
  out.end_object();
  co_return json_response(out);
}

Task<Response> list_cells(Call& call) {
  Answers<broker::CellStatsDone> asked(call.engine);
  for (uint16_t cell = 0; cell < call.broker().cell_count(); ++cell) {
    asked.ask(base::CellId(cell), broker::CellStatsRequest{});
  }
  const auto stats = co_await asked;
  http::JsonWriter out;
  out.begin_object().key("cells").begin_array();
  for (size_t cell = 0; cell < stats.size(); ++cell) {
    out.begin_object()
        .field("cell", cell)
        .field("core", call.state.core_of_cell.at(cell).value)
        .field("epoch", stats[cell].epoch.value)
        .field("failed", stats[cell].failed)
        .field("disk_full", stats[cell].disk_full)
        .field("producers_held", stats[cell].pressured)
        .field("partitions", stats[cell].partitions)
        .field("tail_bytes", stats[cell].tail_bytes)
        .field("wal_bytes_written", stats[cell].wal_bytes_written)
        .end_object();
  }
  out.end_array().end_object();
  co_return json_response(out);
}

Task<Response> list_connections(Call& call) {
  int64_t total = 0;
  http::JsonWriter out;
  out.begin_object().key("connections").begin_array();
  if (call.state.connections) {
    for (const auto& [protocol, open] : call.state.connections()) {
      out.begin_object().field("protocol", protocol).field("open", open).end_object();
      total += open;
    }
  }
  out.end_array().field("total", total).end_object();
  co_return json_response(out);
}

Task<Response> get_config(Call& call) {
  const Config& config = call.state.config;
  http::JsonWriter out;
  out.begin_object().key("settings").begin_array();
  for (const Setting& setting : settings()) {
    const auto source = config.sources.find(setting.key);
    const auto found = call.state.found.find(std::string(setting.key));
    const std::string value = value_text(setting, config);
    out.begin_object()
        .field("key", setting.key)
        .field("value", value)
        .field("in_force", found == call.state.found.end() ? value : found->second)
        .field("default", value_text(setting, Config{}))
        .field("source", source == config.sources.end() ? "default" : source->second)
        .field("help", setting.help)
        .end_object();
  }
  out.end_array().end_object();
  co_return json_response(out);
}

}  // namespace polylog::server
