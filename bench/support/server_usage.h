// What a server process has used so far. Pid 0 means none: everything reads as 0.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "load/process_usage.h"

namespace polylog::bench {

class ServerUsage {
 public:
  // Ends the program when there is no such process.
  explicit ServerUsage(int pid) {
    if (pid == 0) return;
    const auto process = load::ProcessUsage::of(pid);
    if (!process) {
      std::fprintf(stderr, "%s\n", process.error().text.c_str());
      std::exit(2);
    }
    process_ = *process;
  }
  uint64_t cpu_ns() const { return process_ ? process_->cpu_ns() : 0; }
  uint64_t resident_bytes() const { return process_ ? process_->resident_bytes() : 0; }

 private:
  std::optional<load::ProcessUsage> process_;
};

}  // namespace polylog::bench
