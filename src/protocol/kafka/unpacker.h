// Unpacker: where the batches of one core's producers are unpacked, and packed anew. That costs 1 to 30 ns a byte of what comes
// out, and a small batch may unpack to a thousand times its size; so that no turn of the core is long for it:
//
//   - little of it is done on the core, kUnpackedInlineBytesMax of one batch and kUnpackedTurnBytesMax of all in a turn. Who
//     finds no room waits in line, and who comes later stands behind;
//   - a batch that unpacks to more, or is longer than a turn may check, goes to a thread of its own, one after the other.
//     What waits there counts as ingress (broker/ingress.h). A connection has one batch there at a time, so connections
//     take turns.
//
// So a core has one batch unpacked at a time, at most limits::kDecompressedBytesMax, and that packed once more. Not for:
// reading (record_stream.h), which never holds all of a batch. The thread starts with its first batch. Used by one core.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "broker/broker.h"
#include "protocol/kafka/incoming_batch.h"

namespace polylog::kafka {

class Unpacker {
 public:
  explicit Unpacker(broker::Broker& broker) : broker_(broker) {}

  // --- on the core
  using Place = std::shared_ptr<void>;  // in the line, for as long as it is held
  Place stand_in_line();
  bool has_room(const Place& place);  // null: for one who has not waited
  void note(size_t unpacked_bytes);

  // --- off the core
  struct Order {
    BatchHeader header;
    base::Slice batch;
    IncomingRules rules;
    size_t unpacked_bytes_max;
  };
  // `done` runs on this core in a later turn, unless `wanted` is gone by then.
  void submit(Order order, std::weak_ptr<void> wanted, std::function<void(IncomingBatch)> done);

 private:
  broker::Broker& broker_;
  std::shared_ptr<size_t> turn_bytes_ = std::make_shared<size_t>(0);  // shared with the task that makes it 0
  std::deque<std::weak_ptr<void>> line_;
  std::unique_ptr<io::Worker> lane_;
};

}  // namespace polylog::kafka
