#include "bench/support/clock.h"

#include <sched.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace polylog::bench {

void pin_to_cpu(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) std::perror("cannot pin to the processor");
}

void sleep_ns(uint64_t ns) {
  const timespec time{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
  nanosleep(&time, nullptr);
}

ServerUsage::ServerUsage(int pid) : pid_(pid) {
  if (pid_ == 0) return;
  if (clock_getcpuclockid(pid_, &clock_) == 0) return;
  std::fprintf(stderr, "there is no process %d to watch\n", pid_);
  std::exit(2);
}

uint64_t ServerUsage::cpu_ns() const { return pid_ == 0 ? 0 : now_ns(clock_); }

uint64_t ServerUsage::resident_bytes() const {
  if (pid_ == 0) return 0;
  FILE* file = std::fopen(("/proc/" + std::to_string(pid_) + "/statm").c_str(), "r");
  if (file == nullptr) return 0;
  unsigned long total_pages = 0, resident_pages = 0;
  const int fields = std::fscanf(file, "%lu %lu", &total_pages, &resident_pages);
  std::fclose(file);
  return fields == 2 ? resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

}  // namespace polylog::bench
