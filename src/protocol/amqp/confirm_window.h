// ConfirmWindow: which publishes of a channel in confirm mode are answered. Publishes are numbered from 1; outcomes come
// in any order, drain() turns those since the last drain() into as few acks and nacks as the protocol allows: one
// `multiple` up to the smallest number still open, singles beyond it, and nacks first so that no `multiple` covers them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace polylog::amqp {

class ConfirmWindow {
 public:
  enum class State : uint8_t { kOpen, kAccepted, kRefused, kReported };

  uint64_t add() {
    if (next_ - base_ == states_.size()) grow();
    at(next_) = State::kOpen;
    return next_++;
  }
  // Of the numbers first..last; those that are not open are left as they are.
  void settle(uint64_t first, uint64_t last, bool accepted) {
    for (uint64_t number = first; number <= last; ++number) {
      if (number < base_ || number >= next_ || at(number) != State::kOpen) continue;
      at(number) = accepted ? State::kAccepted : State::kRefused;
      fresh_.push_back(number);
    }
  }
  bool has_news() const { return !fresh_.empty(); }

  // `ack(number, multiple)`, `nack(number)`.
  template <typename Ack, typename Nack>
  void drain(const Ack& ack, const Nack& nack) {
    for (uint64_t number : fresh_) {
      if (at(number) != State::kRefused) continue;
      nack(number);
      at(number) = State::kReported;
    }
    uint64_t acked = 0, last = 0;
    for (; base_ < next_ && at(base_) != State::kOpen; ++base_) {
      if (at(base_) == State::kAccepted) ++acked, last = base_;
    }
    if (acked > 0) ack(last, acked > 1);
    for (uint64_t number : fresh_) {
      if (number < base_ || at(number) != State::kAccepted) continue;
      ack(number, false);
      at(number) = State::kReported;
    }
    fresh_.clear();
    if (base_ == next_ && states_.size() > kIdleStatesMax) {
      states_ = {};
      fresh_ = {};
    }
  }

 private:
  static constexpr size_t kStatesMin = 64;
  static constexpr size_t kIdleStatesMax = 4096;

  State& at(uint64_t number) { return states_[number & (states_.size() - 1)]; }
  void grow() {
    std::vector<State> bigger(states_.empty() ? kStatesMin : states_.size() * 2);
    for (uint64_t number = base_; number < next_; ++number) bigger[number & (bigger.size() - 1)] = at(number);
    states_ = std::move(bigger);
  }

  std::vector<State> states_;  // size: a power of two, or 0
  std::vector<uint64_t> fresh_;
  uint64_t base_ = 1;
  uint64_t next_ = 1;
};

}  // namespace polylog::amqp
