// CellClock: the time a cell stamps and expires by. Wall time at open plus monotonic time since, slewed towards wall time by
// at most 1 part in 16, never below the last logged leader_ts: a clock that jumps expires nothing.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace polylog::storage {

class CellClock {
 public:
  void start(base::MonoTime mono, base::WallTime wall, base::WallTime floor) {
    last_mono_ = mono;
    time_ns_ = std::max(wall.ms, floor.ms) * kNsPerMs;
  }
  // Never goes back.
  base::WallTime read(base::MonoTime mono, base::WallTime wall) {
    const int64_t passed_ns = std::max<int64_t>(mono.ns - last_mono_.ns, 0);
    last_mono_ = std::max(last_mono_, mono);
    time_ns_ += passed_ns;
    const int64_t behind_ns = wall.ms * kNsPerMs - time_ns_;
    const int64_t slew_max_ns = passed_ns / kSlewDivisor;
    time_ns_ += std::clamp(behind_ns, -slew_max_ns, slew_max_ns);
    return {time_ns_ / kNsPerMs};
  }

 private:
  static constexpr int64_t kNsPerMs = 1'000'000;
  static constexpr int64_t kSlewDivisor = 16;
  base::MonoTime last_mono_;
  int64_t time_ns_ = 0;
};

}  // namespace polylog::storage
