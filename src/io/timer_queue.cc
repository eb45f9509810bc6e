#include "io/timer_queue.h"

#include <algorithm>
#include <utility>

namespace polylog::io {

namespace {
constexpr size_t kStubsMin = 64;  // below this many a sweep is not worth its time
}

TimerId TimerQueue::add(base::MonoTime when, Task task) {
  const uint64_t id = ++last_id_;
  heap_.push_back({when, id});
  std::ranges::push_heap(heap_, std::greater<>{});
  tasks_.emplace(id, std::move(task));
  return {id};
}

void TimerQueue::cancel(TimerId timer) {
  // The task is destroyed last: its captures may come back here.
  auto node = tasks_.extract(timer.value);
  if (heap_.size() > 2 * tasks_.size() + kStubsMin) sweep();
}

std::optional<base::MonoTime> TimerQueue::next_due() {
  drop_stubs();
  if (heap_.empty()) return std::nullopt;
  return heap_.front().when;
}

Task TimerQueue::pop_due(base::MonoTime now, TimerId limit) {
  drop_stubs();
  if (heap_.empty() || heap_.front().when > now || heap_.front().id > limit.value) return {};
  auto node = tasks_.extract(heap_.front().id);
  std::ranges::pop_heap(heap_, std::greater<>{});
  heap_.pop_back();
  return std::move(node.mapped());
}

void TimerQueue::clear() {
  heap_.clear();
  auto dropped = std::exchange(tasks_, {});
}

void TimerQueue::drop_stubs() {
  while (!heap_.empty() && !tasks_.contains(heap_.front().id)) {
    std::ranges::pop_heap(heap_, std::greater<>{});
    heap_.pop_back();
  }
}

void TimerQueue::sweep() {
  std::erase_if(heap_, [this](const Entry& entry) { return !tasks_.contains(entry.id); });
  std::ranges::make_heap(heap_, std::greater<>{});
}

}  // namespace polylog::io
