// Clocks, processor pinning and what a server process has used so far. Everything is nanoseconds.
#pragma once

#include <time.h>

#include <cstdint>

namespace polylog::bench {

inline uint64_t now_ns(clockid_t clock = CLOCK_MONOTONIC) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// The calling thread and those it starts later run on this processor only; a negative number leaves them free.
void pin_to_cpu(int cpu);

void sleep_ns(uint64_t ns);

// Processor time and memory of another process. Pid 0 means none: everything reads as 0.
class ServerUsage {
 public:
  explicit ServerUsage(int pid);
  uint64_t cpu_ns() const;
  uint64_t resident_bytes() const;

 private:
  int pid_;
  clockid_t clock_ = CLOCK_MONOTONIC;
};

}  // namespace polylog::bench
