// Loop: one core's event loop as the rest of polylog sees it: clocks, timers, turn ends, mail to other cores and work off
// the core. Everything above io/ is a run-to-completion state machine driven through this seam; io/core.h implements it
// on Boost.Asio and a thread, io/sim/sim_loop.h on virtual time.
//
// Owned and called by its own core only, except CrossCore's ring ends. No callback may block or throw.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/ids.h"
#include "base/time.h"

namespace polylog::io {

using Task = std::move_only_function<void()>;
struct TimerId {
  uint64_t value = 0;  // 0 = no timer
};

// A lane of blocking work (a thread, or a scheduled event in simulation). Jobs of one lane run in order, one at a time.
class Worker {
 public:
  virtual ~Worker() = default;  // waits for the running job; jobs not begun are dropped without their `done`
  // `job` runs off the core and must touch only what it owns; then `done` runs on the core that submitted.
  virtual void submit(Task job, Task done) = 0;
};

// kYielding gets a tenth of a processor that its core wants as well: who waits for it does not delay all others.
// kBackground gets the processor time that the cores leave and little more: for what nobody ever waits for.
// kUrgent waits for the disk most of the time and runs as soon as there is something: a core that never rests does not
// delay it.
enum class Priority : uint8_t { kUsual, kUrgent, kYielding, kBackground };

class Loop {
 public:
  virtual ~Loop() = default;

  virtual base::CoreId core() const = 0;
  virtual base::MonoTime now() = 0;       // read once a turn, then constant within it
  virtual base::WallTime wall_now() = 0;  // likewise
  // The time at this moment, to measure by only: what is done must not depend on it. Costs a read of the clock.
  virtual base::MonoTime clock() { return now(); }

  virtual TimerId call_at(base::MonoTime when, Task task) = 0;
  virtual void cancel(TimerId timer) = 0;  // a timer that fired or was cancelled: no effect

  // Runs `task` once when this turn ends, after all input of the turn was handled: where batches are closed and sent.
  // Tasks deferred by deferred tasks run in the same turn end.
  virtual void at_turn_end(Task task) = 0;

  virtual std::unique_ptr<Worker> make_worker(const char* name, Priority priority = Priority::kUsual) = 0;

  // Mail: runs `task` on core `to`, in order per pair of cores. Never blocks; what does not fit the bounded ring is kept
  // here, and mail_backlogged() then tells the caller to stop taking work that causes more.
  virtual void send(base::CoreId to, Task task) = 0;
  virtual bool mail_backlogged() const = 0;
};

}  // namespace polylog::io
