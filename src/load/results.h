// Results: what a run found. Plain data; the reports are made from it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "load/histogram.h"
#include "load/outages.h"
#include "load/plan.h"

namespace polylog::load {

// A short part of the run.
struct Interval {
  double begin_seconds = 0;  // since the run began
  double seconds = 0;
  uint64_t due = 0;  // of a paced run
  uint64_t acknowledged = 0;
  uint64_t received = 0;
  uint64_t p50_ns = 0, p99_ns = 0, max_ns = 0;  // from due to received, of what was received in it; 0: nothing was
  double server_cpu = 0;                        // processors used
  uint64_t server_resident_bytes = 0;
};

struct ServerUse {
  int pid = 0;
  double cpu = 0;                 // processors used, while it was measured
  double cpu_ns_per_message = 0;  // received
  uint64_t resident_bytes_max = 0;
};

struct Results {
  std::string protocol, target, name;  // name: of the topic or the queue
  std::string profile;
  std::string leftover;  // why the topic or queues could not be deleted; empty: they were, or should stay
  Plan plan;
  bool stopped = false;  // before its time, by a signal

  // Rates of what was measured: after the warm-up, until sending ended.
  double measured_seconds = 0;
  double due_rate = 0;  // 0: there was no schedule
  double acknowledged_rate = 0;
  double received_rate = 0;
  Histogram acknowledge_latency;  // from due to acknowledged
  Histogram deliver_latency;      // from due to received

  // Counts of all that was sent, the warm-up included.
  uint64_t sent = 0;          // different messages
  uint64_t sent_again = 0;    // after their connection broke or the server refused them
  uint64_t acknowledged = 0;  // different messages
  uint64_t received = 0;      // different messages
  uint64_t lost = 0;          // acknowledged, and nothing more was received for long
  uint64_t unread = 0;        // acknowledged, and not yet received when the tool stopped reading
  uint64_t unconfirmed = 0;   // never acknowledged
  uint64_t unsent = 0;        // due, but never sent
  uint64_t duplicates = 0;
  uint64_t out_of_order = 0;
  uint64_t foreign = 0;  // messages of others
  uint64_t errors = 0;   // refusals, and connections that broke
  std::string last_error;

  uint64_t silence_ack_ns = 0;      // the longest time without an acknowledgement while sending
  uint64_t silence_receive_ns = 0;  // the same of messages received
  std::vector<Outage> outages;      // times count from the run's begin
  std::vector<Interval> intervals;
  std::optional<ServerUse> server;
  double client_cpu = 0;  // processors that this tool used

  // A paced run whose receivers could not hold its rate: its latencies are those of a growing queue.
  bool fell_behind() const { return due_rate > 0 && received_rate < due_rate * 0.98; }
  // The tool has one thread: when it was busy all the time, the tool was measured and not the server.
  bool client_bound() const { return client_cpu >= 0.95; }
};

}  // namespace polylog::load
