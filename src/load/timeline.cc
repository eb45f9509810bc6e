#include "load/timeline.h"

#include "load/clock.h"

namespace polylog::load {

uint64_t interval_ns_for(double seconds) {
  constexpr uint64_t kSteps[] = {1, 2, 5};
  for (uint64_t decade_ns = kSecondNs / 10;; decade_ns *= 10) {
    for (const uint64_t step : kSteps) {
      const double interval_seconds = static_cast<double>(step * decade_ns) / static_cast<double>(kSecondNs);
      if (seconds <= interval_seconds * static_cast<double>(kIntervalsMax)) return step * decade_ns;
    }
  }
}

void Timeline::cut(uint64_t now_ns, uint64_t due, const UsageSample& usage) {
  current_.begin_seconds = static_cast<double>(at_ns_ - begin_ns_) / static_cast<double>(kSecondNs);
  current_.seconds = static_cast<double>(now_ns - at_ns_) / static_cast<double>(kSecondNs);
  current_.due = due;
  if (latencies_.count() > 0) {
    current_.p50_ns = latencies_.percentile_ns(0.5);
    current_.p99_ns = latencies_.percentile_ns(0.99);
    current_.max_ns = latencies_.max_ns();
  }
  current_.server_cpu = static_cast<double>(usage.cpu_ns - last_usage_.cpu_ns) / static_cast<double>(now_ns - at_ns_);
  current_.server_resident_bytes = usage.resident_bytes;
  intervals_.push_back(current_);
  current_ = {};
  latencies_ = {};
  last_usage_ = usage;
  at_ns_ = now_ns;
}

}  // namespace polylog::load
