#include "load/report/wording.h"

#include <fmt/format.h>

#include "load/clock.h"

namespace polylog::load {
namespace {

std::string counted(uint64_t count, std::string_view one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

}  // namespace

std::string duration_text(uint64_t ns) {
  const auto shown = [](double value, const char* unit) {
    return fmt::format("{:.{}f} {}", value, value < 10 ? 2 : value < 100 ? 1 : 0, unit);
  };
  const auto amount = static_cast<double>(ns);
  if (ns < 1'000'000) return shown(amount / 1e3, "us");
  if (ns < kSecondNs) return shown(amount / 1e6, "ms");
  return shown(amount / 1e9, "s");
}

std::string rate_text(double per_second) { return fmt::format("{:.0f}/s", per_second); }

std::string setup_text(const Results& results) {
  const bool topic = results.protocol == "kafka";
  return fmt::format("{} at {}, profile {}: messages of {} bytes for {:.4g} s, {} '{}'{}, {}", results.protocol,
                     results.target, results.profile, results.plan.message_bytes, results.measured_seconds,
                     topic ? "topic" : "queue", results.name,
                     results.plan.destinations == 1
                         ? std::string()
                         : fmt::format(" ({})", counted(results.plan.destinations, topic ? "partition" : "queue")),
                     counted(results.plan.connections, "producer"));
}

std::string rates_text(const Results& results) {
  const std::string due = results.due_rate > 0 ? fmt::format("{} due, ", rate_text(results.due_rate)) : "";
  return fmt::format("rate: {}{} acknowledged, {} received", due, rate_text(results.acknowledged_rate),
                     rate_text(results.received_rate));
}

std::string messages_text(const Results& results) {
  return fmt::format(
      "messages: {} sent, {} of them again, {} acknowledged, {} received; {} lost, {} unconfirmed, {} duplicates, {} "
      "out "
      "of order",
      results.sent, results.sent_again, results.acknowledged, results.received, results.lost, results.unconfirmed,
      results.duplicates, results.out_of_order);
}

std::string server_text(const Results& results) {
  const ServerUse& server = *results.server;
  return fmt::format("server: process {}, {:.2f} CPUs, {:.1f} us of CPU a message, {:.1f} MiB of memory", server.pid,
                     server.cpu, server.cpu_ns_per_message / 1e3,
                     static_cast<double>(server.resident_bytes_max) / (1 << 20));
}

std::string outage_text(const Outage& outage) {
  const double at_seconds = static_cast<double>(outage.began_ns) / static_cast<double>(kSecondNs);
  std::string text = fmt::format("outage at {:.2f} s: ", at_seconds);
  text += outage.connected_ns == 0 ? "not connected again"
                                   : "connected after " + duration_text(outage.connected_ns - outage.began_ns);
  text += fmt::format("; nothing acknowledged for {}{}", duration_text(outage.silence_ack_ns),
                      outage.acknowledged_ns == 0 ? ", until the end" : "");
  text += fmt::format("; nothing received for {}{}", duration_text(outage.silence_receive_ns),
                      outage.received_ns == 0 ? ", until the end" : "");
  return text;
}

std::vector<std::string> notes(const Results& results) {
  std::vector<std::string> notes;
  if (results.stopped) notes.emplace_back("stopped by a signal, before its time");
  if (results.lost > 0) notes.push_back(counted(results.lost, "message") + " acknowledged and never received");
  if (results.unread > 0)
    notes.push_back(counted(results.unread, "message") +
                    " acknowledged and not read yet: whether all are there is not known");
  if (results.fell_behind()) notes.emplace_back("the rate was not held: the latencies are those of a growing queue");
  if (results.unsent > 0) notes.push_back(counted(results.unsent, "message") + " due and never sent");
  if (results.client_bound()) {
    notes.push_back(
        fmt::format("this tool used {:.2f} CPUs of the one it has: it may be the limit", results.client_cpu));
  }
  if (results.due_rate == 0) notes.emplace_back("at full speed latency is that of full windows");
  if (results.foreign > 0) notes.push_back(counted(results.foreign, "message") + " received that others sent");
  if (!results.leftover.empty())
    notes.push_back(fmt::format("'{}' is still there: {}", results.name, results.leftover));
  if (results.errors > 0)
    notes.push_back(fmt::format("{}, the last: {}", counted(results.errors, "error"), results.last_error));
  return notes;
}

}  // namespace polylog::load
