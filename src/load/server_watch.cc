#include "load/server_watch.h"

#include <algorithm>

namespace polylog::load {

void ServerWatch::find() {
  const auto pid = pid_listening_on(*port_);
  if (!pid) return;
  const auto process = ProcessUsage::of(*pid);
  if (!process) return;
  // What one that was started again used before it was found is the server's use as well.
  last_cpu_ns_ = process_ ? 0 : process->cpu_ns();
  process_ = *process;
}

UsageSample ServerWatch::sample() {
  if (port_ && process_ && !process_->alive()) find();
  if (!process_) return {};
  const uint64_t cpu_ns = process_->cpu_ns();
  if (cpu_ns > last_cpu_ns_) {
    cpu_ns_ += cpu_ns - last_cpu_ns_;
    last_cpu_ns_ = cpu_ns;
  }
  const uint64_t resident_bytes = process_->resident_bytes();
  resident_bytes_max_ = std::max(resident_bytes_max_, resident_bytes);
  return {.cpu_ns = cpu_ns_, .resident_bytes = resident_bytes};
}

}  // namespace polylog::load
