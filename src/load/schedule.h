// Schedule: when each message of an open-loop run is due. Times follow from the message's number alone, so a server that
// stalls delays nothing that is due: its stall shows up in the latency of all messages that were due meanwhile.
#pragma once

#include <cstdint>

#include "load/clock.h"

namespace polylog::load {

class Schedule {
 public:
  // Rate 0: no schedule, a message is due whenever the windows allow it.
  Schedule(uint64_t begin_ns, double rate_per_second, double seconds)
      : begin_ns_(begin_ns),
        end_ns_(begin_ns + static_cast<uint64_t>(seconds * static_cast<double>(kSecondNs))),
        rate_(rate_per_second) {}

  uint64_t begin_ns() const { return begin_ns_; }
  uint64_t end_ns() const { return end_ns_; }
  bool paced() const { return rate_ > 0; }
  double rate_per_second() const { return rate_; }

  uint64_t due_ns(uint64_t number) const {
    return begin_ns_ + static_cast<uint64_t>(static_cast<double>(number) * static_cast<double>(kSecondNs) / rate_);
  }
  // Whether message `number` is due by now; none is at or after the end.
  bool is_due(uint64_t number, uint64_t now_ns) const {
    const uint64_t due = due_ns(number);
    return due <= now_ns && due < end_ns_;
  }
  // How many are due before `at_ns`.
  uint64_t due_before(uint64_t at_ns) const {
    if (!paced() || at_ns <= begin_ns_) return 0;
    const uint64_t until = at_ns < end_ns_ ? at_ns : end_ns_;
    auto count = static_cast<uint64_t>(static_cast<double>(until - begin_ns_) * rate_ / static_cast<double>(kSecondNs));
    while (count > 0 && due_ns(count - 1) >= until) count--;
    while (due_ns(count) < until) count++;
    return count;
  }

 private:
  uint64_t begin_ns_;
  uint64_t end_ns_;
  double rate_;
};

}  // namespace polylog::load
