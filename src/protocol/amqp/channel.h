// Channel: one AMQP channel: methods in the order they came, content assembly, replies, closing.
//
// One method at a time: while it waits for the engine (ask), later frames of the channel wait too. A synchronous reply
// leaves only when every settlement sent before it on this channel is durable, so it tells the client that his acks are.
// A soft fault closes the channel; from then on everything but close and close-ok is ignored.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/actions.h"
#include "protocol/amqp/consumer.h"
#include "protocol/amqp/errors.h"
#include "protocol/amqp/gen/methods.h"
#include "protocol/amqp/publisher.h"
#include "protocol/amqp/wire.h"

namespace polylog::amqp {

class Session;

// A token's upper bits: channel u16 | kind u4 | sequence u44. The sequence rises over all channels of a session, so an
// answer to an earlier channel of the same number is told apart.
enum class TokenKind : uint8_t { kCall, kAppend, kSettle, kReturn, kConsumer };
constexpr uint16_t channel_of(broker::Token token) { return static_cast<uint16_t>(token.value >> 48); }
constexpr TokenKind kind_of(broker::Token token) { return static_cast<TokenKind>(token.value >> 44 & 0xF); }
constexpr uint64_t sequence_of(broker::Token token) { return token.value & ((uint64_t{1} << 44) - 1); }

// What a channel left behind that may still be handed messages; they go back to their queue.
struct Orphan {
  broker::Token token;  // of the attach or acquire
  base::PartitionKey queue;
  base::CellId cell;
  broker::Token consumer;  // for SettleRequest
  bool auto_settle = false;
};

class Channel {
 public:
  using Continuation = std::move_only_function<Outcome(broker::ActionBody& answer)>;
  using Write = std::move_only_function<void()>;

  Channel(Session& session, uint16_t number, uint64_t opened_at_sequence);

  // --- for the session
  void on_frame(const FrameView& frame);
  void on_action(broker::Token token, broker::ActionBody& body);
  void flush();  // what was collected goes to the engine
  void send_reports() {
    if (state_ == State::kOpen) publisher_.report();
  }
  void on_output_room();
  void wind_down();             // the connection closes: finish what came, then give everything back
  void abandon(Ending ending);  // nothing can be finished: give everything back now
  bool is_drained() const { return torn_down_ && !busy_ && consumers_.settles_open() == 0 && publisher_.is_idle(); }
  bool is_closed() const { return state_ == State::kClosed; }
  bool owns(broker::Token token) const { return sequence_of(token) >= opened_at_sequence_; }

  // --- for handlers
  Session& session() { return session_; }
  uint16_t number() const { return number_; }
  // Names the credit its consumers may share; no later channel of the session has the same.
  uint32_t pool() const { return static_cast<uint32_t>(opened_at_sequence_ & 0x3FFF'FFFF); }
  Publisher& publisher() { return publisher_; }
  Consumers& consumers() { return consumers_; }
  std::string& last_queue() { return last_queue_; }

  // Asks the engine; later methods wait until the continuation has answered or asked again.
  void ask(base::CellId cell, broker::CellRequest request, Continuation then);
  void ask_catalog(broker::CatalogRequest request, Continuation then);
  void await(broker::Token token, Continuation then);  // an answer that is under way
  // An AcquireRequest whose answer must not be lost if the channel goes.
  void ask_acquire(const Orphan& where, broker::AcquireRequest request, Continuation then);

  // Runs `write` once all settlements are durable (and, with `appends_too`, all publishes).
  void answer_with(Write write, bool appends_too = false);
  template <typename Reply>
  void answer(const Reply& reply, bool no_wait = false);
  void close_by_client();
  void close_done();
  void raise(const Fault& fault);

 private:
  enum class State : uint8_t { kOpen, kClosing, kClosed };

  void handle(const FrameView& frame);
  Outcome on_method(base::View payload);
  void keep_waiting(const FrameView& frame);
  void run_waiting();
  void try_held();
  void tear_down(Ending ending);
  void finish_wait(broker::ActionBody& body);
  void note_answered();
  void write_reply(base::View frame);

  Session& session_;
  const uint64_t opened_at_sequence_;
  const uint16_t number_;
  State state_ = State::kOpen;
  bool busy_ = false;
  bool winding_down_ = false;
  bool torn_down_ = false;
  bool held_needs_appends_ = false;
  MethodId method_{};  // the last one, for close
  base::MonoTime method_began_;
  bool method_open_ = false;  // it was not answered yet
  broker::Token pending_;
  Continuation then_;
  Write held_;
  Orphan acquiring_;
  std::vector<uint8_t> waiting_;  // frames: type u8 | size u32le | payload
  std::string last_queue_;
  Publisher publisher_;
  Consumers consumers_;
};

template <typename Reply>
void Channel::answer(const Reply& reply, bool no_wait) {
  if (no_wait) return;
  base::Writer frame;
  write_method(frame, number_, reply);
  answer_with([this, bytes = std::move(frame.buffer())] { write_reply(bytes); });
}

}  // namespace polylog::amqp
