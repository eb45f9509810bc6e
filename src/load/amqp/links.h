// AmqpProducer and AmqpConsumer: the connections of a run to an AMQP 0-9-1 server, one channel each. The producer
// publishes to its lanes' queues with confirms; the consumer acknowledges what it received, all of one read at once.
// Both declare their queues when they connect: a queue that a crash took is there again, its messages are not.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "load/amqp/wire.h"
#include "load/ledger.h"
#include "load/link.h"

namespace polylog::load::amqp {

struct Login {
  std::string user = "guest";
  std::string password = "guest";
};

// A conversation: for each reply that comes, the next thing to say. Used to greet, and to create and delete.
class Script {
 public:
  struct Step {
    uint32_t reply;  // the method to wait for
    std::function<void(std::string& output, const Frame& reply)> then;
  };

  // Ends with an open channel; more steps may follow. `frame_bytes_max` becomes what was agreed on.
  static Script login(const Login& login, uint32_t& frame_bytes_max);
  // Waits for one reply, to what was said already.
  static Script reply(uint32_t method);
  // Says this, then waits for the reply.
  void ask(uint32_t reply, std::function<void(std::string& output)> say);

  bool done() const { return at_ == steps_.size(); }
  // kNotFound, kNotAllowed, kIo: the server closed channel or connection, for the reason in the text.
  base::Result<> on_frame(const Frame& frame, std::string& output);

 private:
  std::vector<Step> steps_;
  size_t at_ = 0;
};

base::Result<> check_not_closed(const Frame& frame);

class AmqpLink : public Link {
 public:
  AmqpLink(Address address, const Login& login, Ledger& ledger)
      : Link(std::move(address)), ledger_(ledger), login_(login) {}

  void greet(std::string& output) override;
  base::Result<size_t> take(std::string_view input, std::string& output, uint64_t now_ns) override;
  void on_down() override { ready_ = false; }

 protected:
  virtual void add_greeting(Script& script) = 0;
  virtual void on_ready() {}
  virtual base::Result<> on_frame(const Frame& frame, uint64_t now_ns) = 0;
  virtual void on_input_end(std::string&) {}

  Ledger& ledger_;
  uint32_t frame_bytes_max_ = kFrameBytesMax;

 private:
  const Login login_;
  Script script_;
};

class AmqpProducer final : public AmqpLink {
 public:
  struct Lane {
    uint32_t index;
    std::string queue;
    MessageFrames message = {};
  };

  AmqpProducer(Address address, const Login& login, Ledger& ledger, const QueueKind& kind, std::vector<Lane> lanes)
      : AmqpLink(std::move(address), login, ledger), kind_(kind), lanes_(std::move(lanes)) {}

  void send_due(std::string& output, uint64_t now_ns) override;
  void on_down() override;

 private:
  static constexpr size_t kUnconfirmedMax = 100'000;  // bounds memory when the schedule sets the pace

  struct Sent {
    uint32_t lane = 0;
    Message message;
    bool settled = false;
  };

  void add_greeting(Script& script) override;
  void on_ready() override;
  base::Result<> on_frame(const Frame& frame, uint64_t now_ns) override;
  void settle(const Confirmation& confirmation, bool accepted, uint64_t now_ns);
  void settle_one(Sent& sent, bool accepted, uint64_t now_ns);

  const QueueKind kind_;
  std::vector<Lane> lanes_;
  size_t next_lane_ = 0;
  std::deque<Sent> sent_;   // from the oldest that is not settled on
  uint64_t first_tag_ = 1;  // of sent_
};

class AmqpConsumer final : public AmqpLink {
 public:
  AmqpConsumer(Address address, const Login& login, Ledger& ledger, const QueueKind& kind,
               std::vector<std::string> queues)
      : AmqpLink(std::move(address), login, ledger), kind_(kind), queues_(std::move(queues)) {}

  void send_due(std::string&, uint64_t) override {}

 private:
  static constexpr uint16_t kPrefetch = 2000;

  void add_greeting(Script& script) override;
  base::Result<> on_frame(const Frame& frame, uint64_t now_ns) override;
  base::Result<> on_header(const Frame& frame);
  void on_body(std::string_view piece, uint64_t now_ns);
  void on_input_end(std::string& output) override;

  const QueueKind kind_;
  const std::vector<std::string> queues_;
  uint64_t body_bytes_left_ = 0;
  std::string body_begin_;  // of a message under way
  uint64_t tag_ = 0;        // of the newest whole message
  uint64_t next_tag_ = 0;
  uint64_t acknowledged_tag_ = 0;
};

}  // namespace polylog::load::amqp
