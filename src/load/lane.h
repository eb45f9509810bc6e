// Lane: one sequence of messages, from one producer's connection into one partition or queue. It hands out what is to be
// sent, and finds what is lost, what came twice and what came out of order.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>

#include "load/sequence_set.h"

namespace polylog::load {

struct Message {
  uint64_t sequence = 0;
  uint64_t due_ns = 0;
};

class Lane {
 public:
  enum class Arrival : uint8_t {
    kInOrder,
    kOutOfOrder,  // for the first time, behind a later one
    kDuplicate,
    kUnknown,  // never sent
  };

  // A message that was never sent before.
  Message next(uint64_t due_ns) { return {next_++, due_ns}; }
  // The number of the message that next() gives.
  uint64_t next_sequence() const { return next_; }

  // What was sent and will not be acknowledged is sent again, in order, before anything new.
  void give_back(std::span<const Message> messages);
  std::optional<Message> take_given_back();
  bool has_given_back() const { return !again_.empty(); }

  // False: it was acknowledged before.
  bool acknowledge(uint64_t sequence) { return acknowledged_.add(sequence); }
  Arrival receive(uint64_t sequence);

  uint64_t sent() const { return next_; }
  uint64_t acknowledged() const { return acknowledged_.count(); }
  uint64_t received() const { return received_.count(); }
  // Acknowledged, but not received so far.
  uint64_t missing() const { return acknowledged_.missing_in(received_); }

 private:
  uint64_t next_ = 0;
  std::deque<Message> again_;  // rising
  SequenceSet acknowledged_;
  SequenceSet received_;
  uint64_t received_end_ = 0;  // one past the highest received
};

}  // namespace polylog::load
