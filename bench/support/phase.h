// The two phases of a run, warm-up and measurement, and the counters taken at the border between them.
#pragma once

#include <cstdint>

#include "bench/support/clock.h"
#include "bench/support/options.h"
#include "bench/support/report.h"
#include "bench/support/server_usage.h"

namespace polylog::bench {

struct Counters {
  uint64_t sent = 0;
  uint64_t acknowledged = 0;
  uint64_t received = 0;
};

class Phase {
 public:
  explicit Phase(const Options& options)
      : server_(static_cast<int>(options.count("pid", 0))),
        measure_from_ns_(now_ns() + static_cast<uint64_t>(options.number("warm", 2) * 1e9)),
        measure_ns_(static_cast<uint64_t>(options.number("secs", 5) * 1e9)) {}

  // Called once a turn. Returns false when the run is over.
  bool advance(uint64_t now, const Counters& counters) {
    if (!measuring_ && now >= measure_from_ns_) begin(now, counters);
    if (measuring_ && half_at_ns_ == 0 && now >= began_ns_ + measure_ns_ / 2) {
      half_at_ns_ = now;
      half_ = counters;
    }
    return !measuring_ || now < began_ns_ + measure_ns_;
  }
  bool measuring() const { return measuring_; }

  // Rates and costs since the border. A message counts when it has reached its last station: the consumer if there is
  // one, else the acknowledgement.
  void report(Report& report, const Counters& counters, bool consuming) const {
    const auto seconds = static_cast<double>(now_ns() - began_ns_) / 1e9;
    const auto acknowledged = static_cast<double>(counters.acknowledged - before_.acknowledged);
    const auto received = static_cast<double>(counters.received - before_.received);
    const double done = consuming ? received : acknowledged;
    const auto server_ns = static_cast<double>(server_.cpu_ns() - server_cpu_ns_);
    const auto client_ns = static_cast<double>(now_ns(CLOCK_PROCESS_CPUTIME_ID) - client_cpu_ns_);
    report.add("rate", done / seconds);
    report.add("drift", drift(counters, consuming));
    report.add("acknowledged_rate", acknowledged / seconds);
    report.add("received_rate", received / seconds);
    report.add("server_cpu_ns", done > 0 ? server_ns / done : 0);
    report.add("server_busy", server_ns / 1e9 / seconds);
    report.add("client_busy", client_ns / 1e9 / seconds);
    report.add("rss_mb", static_cast<double>(server_.resident_bytes()) / 1e6);
  }

 private:
  // Rate of the second half / rate of the first. Far from 1 means that the broker was still warming up or failing.
  double drift(const Counters& counters, bool consuming) const {
    const auto done = [&](const Counters& from, const Counters& to) {
      return static_cast<double>(consuming ? to.received - from.received : to.acknowledged - from.acknowledged);
    };
    const auto first_ns = static_cast<double>(half_at_ns_ - began_ns_);
    const auto second_ns = static_cast<double>(now_ns() - half_at_ns_);
    const double first = done(before_, half_) / first_ns;
    return half_at_ns_ == 0 || first <= 0 ? 0 : done(half_, counters) / second_ns / first;
  }

  void begin(uint64_t now, const Counters& counters) {
    measuring_ = true;
    began_ns_ = now;
    before_ = counters;
    server_cpu_ns_ = server_.cpu_ns();
    client_cpu_ns_ = now_ns(CLOCK_PROCESS_CPUTIME_ID);
  }

  ServerUsage server_;
  uint64_t measure_from_ns_;
  uint64_t measure_ns_;
  bool measuring_ = false;
  uint64_t began_ns_ = 0;
  Counters before_;
  uint64_t half_at_ns_ = 0;
  Counters half_;
  uint64_t server_cpu_ns_ = 0;
  uint64_t client_cpu_ns_ = 0;
};

}  // namespace polylog::bench
