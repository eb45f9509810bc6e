// TimerQueue: the pending timers of one loop, by due time and then by order of setting. Core and SimLoop share it.
// Cancelled timers leave a stub in the heap, which is swept once stubs outnumber timers. Knows no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "io/loop.h"

namespace polylog::io {

class TimerQueue {
 public:
  TimerId add(base::MonoTime when, Task task);
  void cancel(TimerId timer);
  std::optional<base::MonoTime> next_due();
  // The next task due at `now` among timers set before `limit`; an empty Task when there is none. Passing last_set() at
  // the start of a round keeps a timer that sets itself for "now" from spinning.
  Task pop_due(base::MonoTime now, TimerId limit);
  TimerId last_set() const { return {last_id_}; }
  size_t count() const { return tasks_.size(); }
  void clear();

 private:
  struct Entry {
    base::MonoTime when;
    uint64_t id;
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };
  void drop_stubs();
  void sweep();
  std::vector<Entry> heap_;  // smallest first
  std::unordered_map<uint64_t, Task> tasks_;
  uint64_t last_id_ = 0;
};

}  // namespace polylog::io
