// Clocks as the load tool has them, and processor pinning.
#pragma once

#include "load/clock.h"

namespace polylog::bench {

using load::now_ns;
using load::sleep_ns;

// The calling thread and those it starts later run on this processor only; a negative number leaves them free.
void pin_to_cpu(int cpu);

}  // namespace polylog::bench
