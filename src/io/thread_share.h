// What the calling thread gets of a processor that others want as well. Linux only; best effort, for one thread, not inherited.
#pragma once

#include <chrono>

namespace polylog::io {

// The thread runs for so short a time at once (0.1 to 100 ms) that, when it wakes, it takes the processor from one that runs
// for longer: its share stays the same. From Linux 6.12 on; before, nothing changes, and it may wait for 3 ms.
void run_in_slices_of(std::chrono::microseconds slice);

// The thread gets what others leave, and a thirtieth when they leave nothing.
void run_in_background();

}  // namespace polylog::io
