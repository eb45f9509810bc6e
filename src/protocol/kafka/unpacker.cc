#include "protocol/kafka/unpacker.h"

#include <utility>
#include <variant>

namespace polylog::kafka {

Unpacker::Place Unpacker::stand_in_line() {
  Place place = std::make_shared<std::monostate>();
  line_.push_back(place);
  return place;
}

bool Unpacker::has_room(const Place& place) {
  while (!line_.empty() && line_.front().expired()) line_.pop_front();
  if (!line_.empty() && line_.front().lock() != place) return false;
  return *turn_bytes_ + limits::kUnpackedInlineBytesMax <= limits::kUnpackedTurnBytesMax;
}

void Unpacker::note(size_t unpacked_bytes) {
  if (unpacked_bytes == 0) return;
  if (*turn_bytes_ == 0) broker_.loop().at_turn_end([bytes = turn_bytes_] { *bytes = 0; });
  *turn_bytes_ += unpacked_bytes;
}

void Unpacker::submit(Order order, std::weak_ptr<void> wanted, std::function<void(IncomingBatch)> done) {
  if (lane_ == nullptr) lane_ = broker_.loop().make_worker("unpack");
  const size_t held_bytes = order.batch.size();
  broker_.hold_ingress(held_bytes);
  auto result = std::make_shared<IncomingBatch>();
  lane_->submit(
      [order = std::move(order), wanted, result] {
        if (wanted.expired()) return;
        *result = look_into(order.header, order.batch.view(), order.rules, order.unpacked_bytes_max);
      },
      [this, held_bytes, wanted, result, done = std::move(done)] {
        broker_.release_ingress(held_bytes);
        if (!wanted.expired()) done(std::move(*result));
      });
}

}  // namespace polylog::kafka
