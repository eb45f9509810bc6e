// TagRing: the open deliveries of one channel by delivery tag. Tags are dense and rise from 1, so an entry is found by
// index; memory follows the span from the oldest open tag to the newest and is given back when nothing is open.
//
//   base_                          next()
//    | open | settled | open | taken |        settled entries in front move base_ on
#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace polylog::amqp {

class TagRing {
 public:
  enum class State : uint8_t {
    kSettled,  // or never open: delivered without acknowledgement
    kOpen,
    kTaken,  // acknowledged in a transaction that is not committed
  };
  struct Entry {
    base::Offset offset;
    uint32_t holder = 0;
    State state = State::kSettled;
  };

  // The next tag, for an open delivery.
  uint64_t push(base::Offset offset, uint32_t holder) {
    slot_for_next() = {offset, holder, State::kOpen};
    ++open_;
    return next_++;
  }
  // The next tag, for a delivery nobody will acknowledge.
  uint64_t push_settled() {
    if (base_ == next_) {
      ++base_;
    } else {
      slot_for_next() = {};
    }
    return next_++;
  }

  uint64_t base() const { return base_; }
  uint64_t next() const { return next_; }
  uint64_t open_count() const { return open_; }
  bool is_open(uint64_t tag) const { return tag >= base_ && tag < next_ && at(tag).state == State::kOpen; }
  const Entry& operator[](uint64_t tag) const { return at(tag); }

  // kOpen -> kTaken or kSettled; kTaken -> kOpen or kSettled. The tag must be in [base(), next()).
  void set(uint64_t tag, State state) {
    Entry& entry = entries_[tag & (entries_.size() - 1)];
    open_ += (state == State::kOpen ? 1 : 0) - (entry.state == State::kOpen ? 1 : 0);
    entry.state = state;
  }
  // Call after a round of set(): forgets what is settled in front.
  void trim() {
    while (base_ < next_ && at(base_).state == State::kSettled) ++base_;
    if (base_ == next_ && entries_.size() > kIdleEntriesMax) entries_ = {};
  }

 private:
  static constexpr size_t kEntriesMin = 16;
  static constexpr size_t kIdleEntriesMax = 64;

  const Entry& at(uint64_t tag) const { return entries_[tag & (entries_.size() - 1)]; }
  Entry& slot_for_next() {
    if (next_ - base_ == entries_.size()) grow();
    return entries_[next_ & (entries_.size() - 1)];
  }
  void grow() {
    std::vector<Entry> bigger(entries_.empty() ? kEntriesMin : entries_.size() * 2);
    for (uint64_t tag = base_; tag < next_; ++tag) bigger[tag & (bigger.size() - 1)] = at(tag);
    entries_ = std::move(bigger);
  }

  std::vector<Entry> entries_;  // size: a power of two, or 0
  uint64_t base_ = 1;
  uint64_t next_ = 1;
  uint64_t open_ = 0;
};

}  // namespace polylog::amqp
