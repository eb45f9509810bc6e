// Consumers: what a channel receives. Its consumers, its open deliveries by tag, and their settlement.
//
// Deliveries of a queue consumer carry slices of stored batches straight to the socket. The acks of one piece of input
// are collected into one SettleRequest for each (consumer, outcome).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "broker/actions.h"
#include "protocol/amqp/batch.h"
#include "protocol/amqp/errors.h"
#include "protocol/amqp/stream_consumer.h"
#include "protocol/amqp/tag_ring.h"

namespace polylog::amqp {

class Channel;

struct Consumer {
  std::string tag;
  std::string queue_name;
  base::PartitionKey queue;
  base::CellId cell;
  broker::Token token;
  uint32_t holder = 0;
  bool no_ack = false;
  bool announced = false;  // consume-ok is out: deliveries may follow
  uint64_t uncredited_bytes = 0;
  std::vector<broker::Deliveries> early;  // came before consume-ok was out
  std::unique_ptr<StreamConsumer> stream;
};

// What ends: of a session's, the engine itself takes back all that is open, however much.
enum class Ending : uint8_t { kChannel, kSession };

class Consumers {
 public:
  using SettleOutcome = broker::SettleRequest::Outcome;
  explicit Consumers(Channel& channel) : channel_(channel) {}

  // --- consumers
  Consumer* find(std::string_view tag);
  Consumer* find(broker::Token token);
  Consumer& add(Consumer consumer);
  void attach(Consumer& consumer, bool exclusive, int32_t priority);
  void read_stream(Consumer& consumer);  // makes it a stream's
  void announce(broker::Token token);    // consume-ok is out
  void remove(broker::Token token);

  uint16_t prefetch() const { return prefetch_; }
  void set_prefetch(uint16_t count) { prefetch_ = count; }
  void set_shared_prefetch(uint16_t count);  // of all consumers of the channel together

  // --- deliveries
  void on_deliveries(Consumer& consumer, broker::Deliveries& deliveries);
  void on_gone(Consumer& consumer);
  // Tag for an entry taken with AcquireRequest.
  uint64_t take(base::PartitionKey queue, base::CellId cell, base::Offset offset, bool no_ack);
  // Writes one message of a stream.
  bool deliver_from_stream(Consumer& consumer, base::Offset offset, const RecordView& record, const base::Slice& owner);
  void on_output_room();

  // --- settlement
  Outcome settle(uint64_t tag, bool multiple, SettleOutcome outcome);
  void return_all();  // basic.recover
  void commit();
  void rollback();
  void flush();
  Outcome on_settle_done(broker::Token token, const broker::SettleDone& done);
  uint32_t settles_open() const { return settles_open_; }

  void tear_down(Ending ending);  // detaches all and returns what is open

 private:
  struct Holder {  // whose credit an open delivery takes
    base::PartitionKey queue;
    base::CellId cell;
    broker::Token consumer;
    uint32_t open = 0;
    bool in_use = true;  // may get more deliveries
    bool is_stream = false;
  };
  struct Group {
    uint32_t holder;
    SettleOutcome outcome;
    std::vector<std::pair<base::Offset, base::Offset>> ranges;
    uint32_t count = 0;
  };
  struct Taken {  // acknowledged in an open transaction
    uint64_t tag;
    SettleOutcome outcome;
  };

  uint32_t add_holder(base::PartitionKey queue, base::CellId cell, broker::Token consumer);
  void settle_one(uint64_t tag, SettleOutcome outcome);
  void collect(uint64_t tag, SettleOutcome outcome);
  Group& group(uint32_t holder, SettleOutcome outcome);
  void deliver(Consumer& consumer, const broker::DeliveryRun& run);
  void give_credit(Consumer& consumer);
  void set_pool(base::CellId cell, uint32_t credit);
  void detach(Consumer& consumer);

  Channel& channel_;
  TagRing tags_;
  std::vector<Holder> holders_;
  std::vector<std::unique_ptr<Consumer>> consumers_;
  std::vector<Group> groups_;
  std::vector<Taken> taken_;
  uint32_t settles_open_ = 0;
  uint16_t prefetch_ = 0;
  uint16_t shared_prefetch_ = 0;
  bool shared_prefetch_set_ = false;
};

}  // namespace polylog::amqp
