// Session: one Kafka client. Takes frames off the connection, hands each request to its handler (commands.h) as soon as it
// is there, and sends the replies in the order of the requests, whenever the engine has answered.
//
//   on_bytes ─► frame ─► header ─► command's handler(Call, body) ─► Call::reply()          at once, or
//                                            └─► broker.submit(cell, call.expect(..), ..)   and later
//   on_action ─► the PendingCall that expects the token ─► Call::reply()
//
// A handler that has more to do than fits a turn holds its frame: hold(). It stays in the connection's input with all behind
// it, and is shown to the HeldCall in a later turn.
//
// A reply that is not the oldest waits in its slot; so a Fetch that waits for records holds back the replies behind it, but
// not the requests. Reading pauses while too many requests are open, or while a client that produces must be held back.
// Malformed input closes the connection. Everything belongs to the connection's core. Not for: logins.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/wire.h"
#include "broker/broker.h"
#include "broker/session.h"
#include "io/net.h"
#include "protocol/kafka/core_shared.h"
#include "protocol/kafka/egress_watch.h"
#include "protocol/kafka/first_error.h"
#include "protocol/kafka/request_metrics.h"
#include "protocol/kafka/wire.h"

namespace polylog::kafka {

class Session;

namespace limits {
inline constexpr size_t kRequestsOpenMax = 256;                // of one connection; then it is not read
inline constexpr size_t kFetchesOpenMax = 4;                   // likewise: each holds up to Config::fetch_bytes_max
inline constexpr size_t kHeldReplyBytesMax = 8 * 1024 * 1024;  // replies that wait for an older one
}  // namespace limits

// The bytes of a reply, frame size included, and what goes in between by reference; positions ascend.
struct RecordBytes {
  base::Slice slice;  // or, if empty:
  io::FileSpan span;
  size_t size() const { return slice.empty() ? span.bytes : slice.size(); }
};
struct Reply {
  struct Streamed {
    size_t position;  // in `bytes`: this goes before bytes[position]
    RecordBytes records;
  };
  std::vector<uint8_t> bytes;
  std::vector<Streamed> streamed;
  // Not sent; for metrics and the log of slow requests.
  ErrorCode error = ErrorCode::kNone;                // the first in it
  bool waited_as_asked = false;                      // for records or members: no wonder that it took long
  base::MonoTime staged_at = {}, committed_at = {};  // of what it appended; 0: nothing
  std::string object = {};                           // what it is about; only where Call::is_slow()
  size_t size_bytes() const;
};

// What waits for answers of the engine on behalf of one request. Lives as long as the session expects an answer for it
// (or somebody else shares it); it is dropped unanswered when the connection goes.
struct PendingCall : std::enable_shared_from_this<PendingCall> {
  virtual ~PendingCall() = default;
  virtual void on_action(broker::Token token, broker::ActionBody&& body) = 0;
};

// What goes on with a request in a later turn. Lives as long as the session holds its frame.
struct HeldCall {
  virtual ~HeldCall() = default;
  virtual void go_on(base::View body) = 0;  // the body that its handler saw, maybe elsewhere in memory
  virtual void give_up() = 0;               // it will not go on: gives back what it holds for that
};

// One request on its way to its reply: a small handle that a PendingCall keeps a copy of. Every Call is answered exactly
// once, by reply(), send() or finish_without_reply(), or its connection is closed.
class Call {
 public:
  Call(Session& session, const RequestHeader& header, uint64_t slot)
      : client_id(header.client_id),
        session_(&session),
        slot_(slot),
        correlation_id_(header.correlation_id),
        key_(static_cast<ApiKey>(header.api_key)),
        version_(header.api_version) {}

  std::string_view client_id;  // a view into the frame: valid while the handler runs, not in copies kept longer

  Session& session() const { return *session_; }
  broker::Broker& broker() const;
  const Config& config() const;
  int16_t version() const { return version_; }
  ApiKey key() const { return key_; }

  // Reads the body into a fresh message. False: it was malformed, the connection is being closed, return at once.
  template <typename Request>
  [[nodiscard]] bool parse(base::View body, Request& request) const {
    base::Reader in(body);
    if (decode(in, version_, request)) return true;
    close("malformed request");
    return false;
  }

  template <typename Response, std::invocable<Reply&> Amend>
  void reply(const Response& response, const Amend& amend) const {
    base::Writer out;
    const size_t frame_at = begin(out);
    encode(out, version_, response);
    end_response(out, frame_at);
    Reply reply{std::move(out.buffer()), {}, first_error(response)};
    if (is_slow()) reply.object = first_name(response);
    amend(reply);
    send(std::move(reply));
  }
  template <typename Response>
  void reply(const Response& response) const {
    reply(response, [](Reply&) {});
  }
  bool is_slow() const;  // so far
  // For replies that are not one encoded message; the frame begins with begin() and ends with end_response().
  size_t begin(base::Writer& out) const { return begin_response(out, key_, version_, correlation_id_); }
  void send(Reply reply) const;
  void finish_without_reply() const { send({}); }
  void close(std::string_view why) const;

  // Where the engine's answer shall go: to `pending`, once.
  broker::ReplyTo expect(std::shared_ptr<PendingCall> pending) const;
  // The same for the common case of one answer: `then(Body&)` runs with it. Copy the Call into `then`.
  template <typename Body, std::invocable<Body&> Then>
  broker::ReplyTo when(Then then) const;

 private:
  Session* session_;
  uint64_t slot_;
  int32_t correlation_id_;
  ApiKey key_;
  int16_t version_;
};

class Session final : public io::Handler, public broker::Session {
 public:
  explicit Session(std::shared_ptr<CoreShared> shared)
      : shared_(std::move(shared)), metrics_(shared_->broker().metrics().part<RequestMetrics>()) {}
  ~Session() override;

  // io::Handler
  void on_open(io::Connection& connection) override;
  Taken on_bytes(base::View bytes) override;
  bool holds_frame() const override { return held_ != nullptr; }
  void on_closed(std::string_view why) override;

  // broker::Session
  void on_action(broker::Action action) override;
  void on_pressure() override { update_reading(); }

  // --- for handlers
  broker::Broker& broker() const { return shared_->broker(); }
  const Config& config() const { return shared_->config(); }
  CoreShared& shared() { return *shared_; }
  RequestMetrics& metrics() { return metrics_; }
  const std::string& peer() const { return connection_->peer(); }  // "127.0.0.1:4711"
  broker::SessionId id() const { return id_; }

  enum class Answers : uint8_t { kOne, kMany };
  // kMany: the token stays until forget().
  broker::ReplyTo expect(std::shared_ptr<PendingCall> pending, Answers answers = Answers::kOne);
  void forget(broker::Token token) { expected_.erase(token.value); }

  // While the handler or go_on() runs: this request goes on when may_go_on() was called, which is not before this turn's
  // end. Until then nothing is read.
  void hold(std::shared_ptr<HeldCall> call);
  void may_go_on();

  void fill(uint64_t slot, Reply reply);
  base::Duration age(uint64_t slot) const;
  void close(std::string_view why);
  // Whether the last Fetch had to wait: the next one probably has to.
  bool fetches_wait() const { return fetches_wait_; }
  void note_fetch(bool has_waited) { fetches_wait_ = has_waited; }
  void note_client(std::string_view name);  // counts it
  // A compressed batch up to so long is unpacked on the core: what is longer probably comes to too much for it, as the
  // last ones did.
  size_t packed_here_bytes_max() const { return packed_here_bytes_max_; }
  void note_unpacked(size_t packed_bytes, size_t unpacked_bytes);

 private:
  struct Slot {
    Reply reply;
    base::MonoTime began;
    ApiKey key;
    bool filled = false;
  };
  struct Expected {
    std::shared_ptr<PendingCall> pending;
    Answers answers;
  };

  bool may_take(base::View payload);
  bool is_choked() const;
  void on_frame(base::View payload);
  void go_on(base::View payload);
  void drop_held();
  void refuse(HeaderStatus status, const RequestHeader& header);
  uint64_t open_slot(ApiKey key);
  void note_answered(const Slot& slot);
  void log_slow(const Slot& slot, base::Duration took);
  void answer_filled();
  void write(Reply& reply);
  void note_egress(size_t reply_bytes);
  void update_reading();
  bool must_pause() const;
  bool is_open() const { return connection_ != nullptr && !closing_; }
  size_t open_slots() const { return slots_.size() - first_; }

  std::shared_ptr<CoreShared> shared_;
  RequestMetrics& metrics_;
  io::Connection* connection_ = nullptr;
  broker::SessionId id_;
  uint64_t next_token_ = 1;
  std::unordered_map<uint64_t, Expected> expected_;  // by token
  std::vector<Slot> slots_;                          // from first_ on: open requests, oldest first
  size_t first_ = 0;
  uint64_t first_slot_ = 0;  // the name of slots_[first_]
  size_t held_reply_bytes_ = 0;
  std::shared_ptr<HeldCall> held_;             // of the frame that is first in the input
  std::unique_ptr<EgressWatch> egress_watch_;  // of a connection that has had large replies
  uint16_t open_fetches_ = 0;
  uint32_t packed_here_bytes_max_ = limits::kUnpackedInlineBytesMax;
  bool held_waits_ = false;
  bool producing_ = false;  // has sent a Produce: from then on held back under pressure
  bool fetches_wait_ = false;
  bool paused_ = false;
  bool closing_ = false;
};
static_assert(sizeof(Session) <= 256, "5,000 idle connections are cheap");

std::unique_ptr<io::Handler> make_session(std::shared_ptr<CoreShared> shared);
std::unique_ptr<io::Handler> make_session(broker::Broker& broker, const Config& config);  // that shares nothing

// --- details

template <typename Body, typename Then>
class OneAnswer final : public PendingCall {
 public:
  explicit OneAnswer(Then then) : then_(std::move(then)) {}
  void on_action(broker::Token, broker::ActionBody&& body) override { then_(std::get<Body>(body)); }

 private:
  Then then_;
};

template <typename Body, std::invocable<Body&> Then>
broker::ReplyTo Call::when(Then then) const {
  return expect(std::make_shared<OneAnswer<Body, Then>>(std::move(then)));
}

inline broker::Broker& Call::broker() const { return session_->broker(); }
inline const Config& Call::config() const { return session_->config(); }
inline void Call::send(Reply reply) const { session_->fill(slot_, std::move(reply)); }
inline bool Call::is_slow() const { return session_->age(slot_) >= session_->broker().slow_operation(); }
inline void Call::close(std::string_view why) const { session_->close(why); }
inline broker::ReplyTo Call::expect(std::shared_ptr<PendingCall> pending) const {
  return session_->expect(std::move(pending));
}

}  // namespace polylog::kafka
