// ServerWatch: what the server's process uses, across restarts of it. Without a process it reads as zero.
#pragma once

#include <cstdint>
#include <optional>

#include "load/process_usage.h"
#include "load/timeline.h"

namespace polylog::load {

class ServerWatch {
 public:
  ServerWatch() = default;
  explicit ServerWatch(ProcessUsage process) : process_(process) {}
  // Looks for the process that listens on the port, and again when it has ended.
  explicit ServerWatch(uint16_t port) : port_(port) { find(); }

  std::optional<int> pid() const { return process_ ? std::optional(process_->pid()) : std::nullopt; }
  UsageSample sample();
  uint64_t resident_bytes_max() const { return resident_bytes_max_; }

 private:
  void find();

  std::optional<uint16_t> port_;
  std::optional<ProcessUsage> process_;
  uint64_t last_cpu_ns_ = 0;  // of the process
  uint64_t cpu_ns_ = 0;       // of all of them, since it began to look
  uint64_t resident_bytes_max_ = 0;
};

}  // namespace polylog::load
