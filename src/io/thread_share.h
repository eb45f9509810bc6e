// What the calling thread gets of a processor that others want as well. Linux only; best effort, for one thread, not inherited.
#pragma once

#include <chrono>

namespace polylog::io {

// The thread runs for so short a time at once (0.1 to 100 ms) that, when it wakes, it takes the processor from one that runs
// for longer: its share stays the same. From Linux 6.12 on; before, nothing changes, and it may wait for 3 ms.
void run_in_slices_of(std::chrono::microseconds slice);

// It goes before others, by nice -10, where that is allowed: by CAP_SYS_NICE, or LimitNICE=-10 (RLIMIT_NICE, ulimit -e 30).
// A slice alone does not do: when a thread wakes just after its share is used up, nothing asks again before the next tick,
// which is 4 ms away.
void run_before_others();

// The thread gets a tenth when others want all there is.
void run_yielding();

// The thread gets what others leave, and a thirtieth when they leave nothing.
void run_in_background();

}  // namespace polylog::io
