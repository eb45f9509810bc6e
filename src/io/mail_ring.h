// MailRing: batches of tasks from one core to another: a bounded queue with one producer and one consumer, no locks.
//
// The sequentially consistent accesses pair with Core's `parked_`: whoever goes to sleep first announces it and then
// looks at the ring once more; whoever changes the ring first changes it and then looks for a sleeper. One of the two
// always sees the other, so a wake-up system call is needed only when the other side really sleeps.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "io/loop.h"

namespace polylog::io {

using MailBatch = std::vector<Task>;

class MailRing {
 public:
  // Producer's end.
  bool has_room() const {
    return tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_seq_cst) < kSlots;
  }
  bool push(MailBatch& batch) {  // takes the batch and leaves it empty, or returns false
    if (!has_room()) return false;
    const uint64_t tail = tail_.load(std::memory_order_relaxed);
    slots_[tail % kSlots] = std::exchange(batch, {});
    tail_.store(tail + 1, std::memory_order_seq_cst);
    return true;
  }
  void announce_waiting() { producer_waits_.store(true, std::memory_order_seq_cst); }

  // Consumer's end.
  size_t count() const {
    return static_cast<size_t>(tail_.load(std::memory_order_seq_cst) - head_.load(std::memory_order_relaxed));
  }
  MailBatch pop() {  // count() must be above 0
    const uint64_t head = head_.load(std::memory_order_relaxed);
    MailBatch batch = std::exchange(slots_[head % kSlots], {});
    head_.store(head + 1, std::memory_order_seq_cst);
    return batch;
  }
  bool take_waiting_producer() {
    return producer_waits_.load(std::memory_order_seq_cst) && producer_waits_.exchange(false);
  }

 private:
  static constexpr uint64_t kSlots = base::limits::kMailRingBatches;
  static_assert((kSlots & (kSlots - 1)) == 0, "the modulo is a mask");
  std::array<MailBatch, kSlots> slots_;
  alignas(64) std::atomic<uint64_t> tail_{0};
  alignas(64) std::atomic<uint64_t> head_{0};
  std::atomic<bool> producer_waits_{false};
};

}  // namespace polylog::io
