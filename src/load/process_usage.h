// ProcessUsage: processor time and memory of another process on this machine, read from /proc.
#pragma once

#include <time.h>

#include <cstdint>
#include <optional>

#include "base/result.h"

namespace polylog::load {

class ProcessUsage {
 public:
  // kNotFound: there is no such process.
  static base::Result<ProcessUsage> of(int pid);

  int pid() const { return pid_; }
  bool alive() const;
  uint64_t cpu_ns() const;          // since it began; 0 once it has ended
  uint64_t resident_bytes() const;  // 0 once it has ended

 private:
  ProcessUsage(int pid, clockid_t clock) : pid_(pid), clock_(clock) {}

  int pid_;
  clockid_t clock_;
};

// The process that listens on this TCP port, as far as this user may see it.
std::optional<int> pid_listening_on(uint16_t port);

}  // namespace polylog::load
