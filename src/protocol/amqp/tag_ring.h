// TagRing: the open deliveries of one channel by delivery tag. Tags are dense and rise from 1, so an entry is found by
// index; memory follows the span from the oldest open tag to the newest. It grows block by block: with millions open, one
// copy of all would take a turn much too long.
//
//   base_                          next()
//    | open | settled | open | taken |        settled entries in front move base_ on
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

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
    append({offset, holder, State::kOpen});
    ++open_;
    return next_++;
  }
  // The next tag, for a delivery nobody will acknowledge.
  uint64_t push_settled() {
    if (base_ == next_) {
      ++base_;
    } else {
      append({});
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
    Entry& entry = (*entries_)[tag - base_];
    open_ += (state == State::kOpen ? 1 : 0) - (entry.state == State::kOpen ? 1 : 0);
    entry.state = state;
  }
  // Call after a round of set(): forgets what is settled in front.
  void trim() {
    for (; base_ < next_ && entries_->front().state == State::kSettled; ++base_) entries_->pop_front();
    if (base_ == next_ && std::exchange(longest_, 0) > kIdleEntriesMax) entries_.reset();
  }

 private:
  static constexpr size_t kIdleEntriesMax = 1024;  // what a deque keeps grows with what it held

  const Entry& at(uint64_t tag) const { return (*entries_)[tag - base_]; }
  void append(const Entry& entry) {
    if (!entries_) entries_ = std::make_unique<std::deque<Entry>>();
    entries_->push_back(entry);
    longest_ = std::max(longest_, entries_->size());
  }

  std::unique_ptr<std::deque<Entry>>
      entries_;         // of [base_, next_); made when first needed: a channel may never consume
  size_t longest_ = 0;  // of it, since it was last empty
  uint64_t base_ = 1;
  uint64_t next_ = 1;
  uint64_t open_ = 0;
};

}  // namespace polylog::amqp
