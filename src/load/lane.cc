#include "load/lane.h"

#include <algorithm>

namespace polylog::load {

void Lane::give_back(std::span<const Message> messages) {
  // Mostly they come in order, so each belongs at the end.
  for (const Message& message : messages) {
    again_.insert(std::ranges::upper_bound(again_, message.sequence, {}, &Message::sequence), message);
  }
}

std::optional<Message> Lane::take_given_back() {
  if (again_.empty()) return std::nullopt;
  const Message message = again_.front();
  again_.pop_front();
  return message;
}

Lane::Arrival Lane::receive(uint64_t sequence) {
  if (sequence >= next_) return Arrival::kUnknown;
  if (!received_.add(sequence)) return Arrival::kDuplicate;
  const bool in_order = sequence >= received_end_;
  received_end_ = std::max(received_end_, sequence + 1);
  return in_order ? Arrival::kInOrder : Arrival::kOutOfOrder;
}

}  // namespace polylog::load
