#include "bench/support/clock.h"

#include <sched.h>

#include <cstdio>

namespace polylog::bench {

void pin_to_cpu(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) std::perror("cannot pin to the processor");
}

}  // namespace polylog::bench
