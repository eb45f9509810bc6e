// Timeline: cuts a run into intervals of equal length, for plots. Memory is bounded by the number of intervals, which
// follows from the length of the run.
#pragma once

#include <cstdint>
#include <vector>

#include "load/results.h"

namespace polylog::load {

// The smallest round length that cuts so many seconds into at most kIntervalsMax intervals.
inline constexpr size_t kIntervalsMax = 150;
uint64_t interval_ns_for(double seconds);

// What a server has used since somebody began to look.
struct UsageSample {
  uint64_t cpu_ns = 0;
  uint64_t resident_bytes = 0;
};

class Timeline {
 public:
  Timeline(uint64_t begin_ns, uint64_t interval_ns)
      : begin_ns_(begin_ns), interval_ns_(interval_ns), at_ns_(begin_ns) {}

  void on_acknowledged() { current_.acknowledged++; }
  void on_received(uint64_t latency_ns) {
    current_.received++;
    latencies_.add(latency_ns);
  }

  bool due(uint64_t now_ns) const { return now_ns >= at_ns_ + interval_ns_; }
  // Ends the interval; `due` is how many messages were due in it.
  void cut(uint64_t now_ns, uint64_t due, const UsageSample& usage);
  uint64_t cut_ns() const { return at_ns_; }  // the last time

  const std::vector<Interval>& intervals() const { return intervals_; }

 private:
  uint64_t begin_ns_;
  uint64_t interval_ns_;
  uint64_t at_ns_;
  Interval current_;
  Histogram latencies_;
  UsageSample last_usage_;
  std::vector<Interval> intervals_;
};

}  // namespace polylog::load
