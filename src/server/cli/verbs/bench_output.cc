#include "server/cli/verbs/bench_output.h"

#include <fmt/format.h>

#include "http/json/writer.h"
#include "load/clock.h"
#include "load/report/wording.h"
#include "server/cli/terminal/output.h"

namespace polylog::server {
namespace {

using load::Histogram;
using load::Outage;
using load::Results;

double ms_of(uint64_t ns) { return static_cast<double>(ns) / 1e6; }

std::vector<std::string> latency_row(const char* what, const Histogram& latencies) {
  std::vector<std::string> row{what};
  for (const auto& [name, part] : load::kPercentiles) {
    row.push_back(load::duration_text(latencies.percentile_ns(part)));
  }
  row.push_back(load::duration_text(latencies.max_ns()));
  return row;
}

std::string latency_table(const Results& results) {
  std::vector<std::string> headings{"latency from due to"};
  for (const auto& [name, part] : load::kPercentiles) headings.emplace_back(name);
  headings.emplace_back("max");
  TextTable table(std::move(headings));
  table.add(latency_row("received", results.deliver_latency));
  table.add(latency_row("acknowledged", results.acknowledge_latency));
  return table.text();
}

void put_latency(http::JsonWriter& out, std::string_view name, const Histogram& latencies) {
  out.key(name).begin_object().field("count", latencies.count());
  if (latencies.count() > 0) {
    for (const auto& [percentile, part] : load::kPercentiles) {
      out.field(percentile, ms_of(latencies.percentile_ns(part)));
    }
    out.field("max", ms_of(latencies.max_ns()));
  }
  out.end_object();
}

void put_outage(http::JsonWriter& out, const Outage& outage) {
  const auto after = [&](uint64_t at_ns) {
    return at_ns == 0 ? std::optional<double>() : ms_of(at_ns - outage.began_ns);
  };
  out.begin_object()
      .field("at_seconds", ms_of(outage.began_ns) / 1e3)
      .field("recovered", outage.over())
      .field("connected_after_ms", after(outage.connected_ns))
      .field("acknowledged_after_ms", after(outage.acknowledged_ns))
      .field("received_after_ms", after(outage.received_ns))
      .field("nothing_acknowledged_ms", ms_of(outage.silence_ack_ns))
      .field("nothing_received_ms", ms_of(outage.silence_receive_ns))
      .end_object();
}

void put_interval(http::JsonWriter& out, const load::Interval& interval) {
  out.begin_object()
      .field("at_seconds", interval.begin_seconds)
      .field("seconds", interval.seconds)
      .field("due", interval.due)
      .field("acknowledged", interval.acknowledged)
      .field("received", interval.received)
      .field("p50_ms", ms_of(interval.p50_ns))
      .field("p99_ms", ms_of(interval.p99_ns))
      .field("max_ms", ms_of(interval.max_ns))
      .field("server_cpus", interval.server_cpu)
      .field("server_resident_bytes", interval.server_resident_bytes)
      .end_object();
}

void put_setup(http::JsonWriter& out, const Results& results) {
  out.field("protocol", results.protocol)
      .field("target", results.target)
      .field("name", results.name)
      .field("profile", results.profile)
      .field("seconds", results.plan.seconds)
      .field("warm_up_seconds", results.plan.warm_up_seconds)
      .field("message_bytes", results.plan.message_bytes)
      .field("destinations", results.plan.destinations)
      .field("connections", results.plan.connections)
      .field("stopped", results.stopped);
}

void put_rates(http::JsonWriter& out, const Results& results) {
  out.field("measured_seconds", results.measured_seconds)
      .field("due_rate", results.due_rate > 0 ? std::optional(results.due_rate) : std::nullopt)
      .field("acknowledged_rate", results.acknowledged_rate)
      .field("received_rate", results.received_rate)
      .field("fell_behind", results.fell_behind());
}

void put_counts(http::JsonWriter& out, const Results& results) {
  out.field("sent", results.sent)
      .field("sent_again", results.sent_again)
      .field("acknowledged", results.acknowledged)
      .field("received", results.received)
      .field("lost", results.lost)
      .field("unread", results.unread)
      .field("unconfirmed", results.unconfirmed)
      .field("unsent", results.unsent)
      .field("duplicates", results.duplicates)
      .field("out_of_order", results.out_of_order)
      .field("foreign", results.foreign)
      .field("errors", results.errors)
      .field("last_error", results.last_error.empty() ? std::nullopt : std::optional(results.last_error));
}

void put_server(http::JsonWriter& out, const Results& results) {
  out.key("server");
  if (results.server) {
    out.begin_object()
        .field("pid", results.server->pid)
        .field("cpus", results.server->cpu)
        .field("cpu_ns_per_message", results.server->cpu_ns_per_message)
        .field("resident_bytes_max", results.server->resident_bytes_max)
        .end_object();
  } else {
    out.value(nullptr);
  }
}

}  // namespace

std::string bench_text(const Results& results) {
  std::string text = load::setup_text(results) + '\n';
  text += load::rates_text(results) + '\n';
  text += load::messages_text(results) + "\n\n";
  text += latency_table(results) + '\n';
  if (results.server) text += load::server_text(results) + '\n';
  for (const Outage& outage : results.outages) text += load::outage_text(outage) + '\n';
  for (const std::string& note : load::notes(results)) text += "note: " + printable(note) + '\n';
  return text;
}

std::string bench_json(const Results& results) {
  http::JsonWriter out;
  out.begin_object();
  put_setup(out, results);
  put_rates(out, results);
  put_latency(out, "deliver_latency_ms", results.deliver_latency);
  put_latency(out, "acknowledge_latency_ms", results.acknowledge_latency);
  put_counts(out, results);
  out.field("nothing_acknowledged_ms_max", ms_of(results.silence_ack_ns))
      .field("nothing_received_ms_max", ms_of(results.silence_receive_ns));
  out.key("outages").begin_array();
  for (const Outage& outage : results.outages) put_outage(out, outage);
  out.end_array();
  put_server(out, results);
  out.field("tool_cpus", results.client_cpu);
  out.key("intervals").begin_array();
  for (const load::Interval& interval : results.intervals) put_interval(out, interval);
  out.end_array().end_object();
  return out.take();
}

}  // namespace polylog::server
