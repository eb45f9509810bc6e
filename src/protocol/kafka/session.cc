#include "protocol/kafka/session.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "base/check.h"
#include "base/log.h"
#include "protocol/kafka/commands.h"

namespace polylog::kafka {
namespace {

constexpr size_t kIdleSlotsKept = 8;  // an idle session keeps no more memory than for these

// What metrics tell apart: a client may call itself anything, and must not make a metric of it.
constexpr std::string_view kKnownClients[] = {
    "apache-kafka-java",
    "librdkafka",
    "confluent-kafka-python",
    "confluent-kafka-go",
    "confluent-kafka-javascript",
    "kafkajs",
    "kafka-python",
    "aiokafka",
    "sarama",
    "kgo",
    "kafka-go",
    "rskafka",
};

}  // namespace

size_t Reply::size_bytes() const {
  size_t size = bytes.size();
  for (const Streamed& piece : streamed) size += piece.records.size();
  return size;
}

Session::~Session() {
  if (id_.number != 0) broker().remove_session(id_);
}

void Session::on_open(io::Connection& connection) {
  connection_ = &connection;
  id_ = broker().add_session(*this);
  if (base::log_enabled(base::LogLevel::kDebug))
    base::log_debug("kafka", "connection opened", {{"connection", to_text(id_)}, {"peer", peer()}});
}

void Session::on_closed(std::string_view why) {
  if (base::log_enabled(base::LogLevel::kDebug))
    base::log_debug("kafka", "connection closed", {{"connection", to_text(id_)}, {"peer", peer()}, {"why", why}});
  egress_watch_.reset();
  connection_ = nullptr;
  closing_ = true;
  if (id_.number != 0) broker().remove_session(std::exchange(id_, {}));
  // Calls may hold timers and records; a call that is running now is kept by on_action().
  auto dropped = std::exchange(expected_, {});
  drop_held();
  slots_.clear();
}

void Session::close(std::string_view why) {
  if (!is_open()) return;
  closing_ = true;
  drop_held();
  base::log_info("kafka", "closing a connection", {{"connection", to_text(id_)}, {"peer", peer()}, {"why", why}});
  connection_->close_after_flush();
}

// ---- requests

io::Handler::Taken Session::on_bytes(base::View bytes) {
  size_t consumed = 0;
  while (is_open() && !paused_) {
    const Frame frame = next_frame(bytes.subspan(consumed));
    if (frame.status == FrameStatus::kNeedMore) return {consumed, frame.size_bytes};
    if (frame.status == FrameStatus::kBad) {
      close("a request of an impossible size");
      break;
    }
    if (!may_take(frame.payload) || (held_ == nullptr && is_choked())) break;
    held_ == nullptr ? on_frame(frame.payload) : go_on(frame.payload);
    if (held_ == nullptr) consumed += frame.size_bytes;
    update_reading();
  }
  return {is_open() ? consumed : bytes.size(), 0};
}

// Then the connection shows the rest again when its peer has read.
bool Session::is_choked() const { return connection_->out().queued_bytes() > base::limits::kConnectionQueuedBytesMax; }

// What is not taken stays in the connection's input until reading goes on, and is offered again.
bool Session::may_take(base::View payload) {
  base::Reader in(payload);
  const bool is_produce = in.i16be() == static_cast<int16_t>(ApiKey::kProduce) && in.ok();
  producing_ = producing_ || is_produce;
  update_reading();
  return !paused_;
}

void Session::on_frame(base::View payload) {
  base::Reader in(payload);
  RequestHeader header;
  const HeaderStatus status = read_request_header(in, header);
  if (status != HeaderStatus::kOk) return refuse(status, header);
  const Command* command = find_command(header.api_key);
  if (command == nullptr) return refuse(HeaderStatus::kUnknownApi, header);
  command->handle(Call(*this, header, open_slot(command->key)), in.rest());
}

void Session::go_on(base::View payload) {
  base::Reader in(payload);
  RequestHeader header;
  CHECK(read_request_header(in, header) == HeaderStatus::kOk, "a frame that is held was read before");
  std::exchange(held_, nullptr)->go_on(in.rest());
}

void Session::hold(std::shared_ptr<HeldCall> call) {
  CHECK(held_ == nullptr, "one frame is held at a time");
  if (!is_open()) return;
  held_ = std::move(call);
  held_waits_ = true;
}

// The call itself may live on, until what it has submitted is answered.
void Session::drop_held() {
  if (held_ != nullptr) std::exchange(held_, nullptr)->give_up();
}

void Session::may_go_on() {
  held_waits_ = false;
  update_reading();
}

// Clients detect what a broker can do by this close; only ApiVersions is told which versions there are.
void Session::refuse(HeaderStatus status, const RequestHeader& header) {
  if (status == HeaderStatus::kUnsupportedVersion && header.api_key == static_cast<int16_t>(ApiKey::kApiVersions)) {
    return fill(open_slot(ApiKey::kApiVersions), unsupported_api_versions_reply(header.correlation_id));
  }
  const bool malformed = status == HeaderStatus::kMalformed;
  metrics_.note_refused(malformed ? ErrorCode::kInvalidRequest : ErrorCode::kUnsupportedVersion);
  if (malformed) return close("malformed request header");
  close(fmt::format("API key {} version {} is not offered", header.api_key, header.api_version));
}

// ---- replies

uint64_t Session::open_slot(ApiKey key) {
  slots_.push_back({.began = broker().loop().now(), .key = key});
  if (key == ApiKey::kFetch) ++open_fetches_;
  return first_slot_ + open_slots() - 1;
}

void Session::fill(uint64_t slot, Reply reply) {
  if (!is_open()) return;
  CHECK(slot >= first_slot_ && slot - first_slot_ < open_slots(), "a call is answered once");
  Slot& filled = slots_[first_ + (slot - first_slot_)];
  CHECK(!filled.filled, "a call is answered once");
  filled.reply = std::move(reply);
  filled.filled = true;
  note_answered(filled);
  const size_t reply_bytes = filled.reply.size_bytes();
  held_reply_bytes_ += reply_bytes;
  if (slot == first_slot_) answer_filled();
  note_egress(reply_bytes);
  update_reading();
}

base::Duration Session::age(uint64_t slot) const {
  return is_open() ? broker().loop().now() - slots_[first_ + (slot - first_slot_)].began : base::Duration{};
}

void Session::note_answered(const Slot& slot) {
  const base::Duration took = broker().loop().now() - slot.began;
  metrics_.note_answered(slot.key, slot.reply.error, took);
  const bool waits = slot.reply.waited_as_asked || slot.key == ApiKey::kJoinGroup || slot.key == ApiKey::kSyncGroup;
  if (took >= broker().slow_operation() && !waits) log_slow(slot, took);
}

void Session::log_slow(const Slot& slot, base::Duration took) {
  const auto left_out = broker().slow_lines().admit(broker().loop().now());
  if (!left_out) return;
  using std::chrono::duration_cast, std::chrono::milliseconds;
  const auto ms_between = [](base::MonoTime from, base::MonoTime to) {
    return from.ns == 0 || to.ns == 0 ? int64_t{-1} : duration_cast<milliseconds>(to - from).count();
  };
  base::log_warn("kafka", "slow request",
                 {{"connection", to_text(id_)},
                  {"peer", peer()},
                  {"kind", find_api(static_cast<int16_t>(slot.key))->name},
                  {"object", slot.reply.object},
                  {"code", static_cast<int>(slot.reply.error)},
                  {"total_ms", duration_cast<milliseconds>(took).count()},
                  {"append_ms", ms_between(slot.began, slot.reply.staged_at)},
                  {"sync_ms", ms_between(slot.reply.staged_at, slot.reply.committed_at)},
                  {"answer_ms", ms_between(slot.reply.committed_at, broker().loop().now())},
                  {"left_out", *left_out}});
}

void Session::answer_filled() {
  while (open_slots() > 0 && slots_[first_].filled) {
    Slot slot = std::move(slots_[first_++]);
    ++first_slot_;
    held_reply_bytes_ -= slot.reply.size_bytes();
    if (slot.key == ApiKey::kFetch) --open_fetches_;
    write(slot.reply);
  }
  if (open_slots() == 0) {
    slots_.clear();
    first_ = 0;
    if (slots_.capacity() > kIdleSlotsKept) slots_ = {};
  } else if (first_ > slots_.size() / 2) {
    slots_.erase(slots_.begin(), slots_.begin() + static_cast<ptrdiff_t>(first_));
    first_ = 0;
  }
  connection_->flush_at_turn_end();
}

void Session::note_egress(size_t reply_bytes) {
  if (!egress_watch_) {
    if (reply_bytes < EgressWatch::kReplyBytesMin) return;
    egress_watch_ = std::make_unique<EgressWatch>(broker().loop(), broker().egress(), *connection_);
  }
  egress_watch_->note(held_reply_bytes_);
}

void Session::write(Reply& reply) {
  io::OutQueue& out = connection_->out();
  const base::View bytes = reply.bytes;
  size_t written = 0;
  for (Reply::Streamed& piece : reply.streamed) {
    out.write(bytes.subspan(written, piece.position - written));
    written = piece.position;
    if (piece.records.slice.empty()) {
      out.append(std::move(piece.records.span));
    } else {
      out.append(std::move(piece.records.slice));
    }
  }
  out.write(bytes.subspan(written));
}

// ---- the engine's answers

broker::ReplyTo Session::expect(std::shared_ptr<PendingCall> pending, Answers answers) {
  const broker::Token token{next_token_++};
  expected_.emplace(token.value, Expected{std::move(pending), answers});
  return {id_, token};
}

void Session::on_action(broker::Action action) {
  const auto found = expected_.find(action.to.token.value);
  if (found == expected_.end()) return;  // forgotten: e.g. a watch that fired while its Fetch was answered
  const std::shared_ptr<PendingCall> pending = found->second.pending;
  if (found->second.answers == Answers::kOne) expected_.erase(found);
  pending->on_action(action.to.token, std::move(action.body));
  update_reading();
}

// ---- back-pressure

bool Session::must_pause() const {
  if (held_ != nullptr) return held_waits_;  // what was begun comes to its end, and gives back what it holds
  return open_slots() >= limits::kRequestsOpenMax || open_fetches_ >= limits::kFetchesOpenMax ||
         held_reply_bytes_ > limits::kHeldReplyBytesMax || (producing_ && shared_->broker().under_pressure());
}

void Session::update_reading() {
  if (!is_open() || paused_ == must_pause()) return;
  paused_ = !paused_;
  if (paused_) {
    connection_->pause_reading();
  } else {
    connection_->resume_reading();
  }
}

void Session::note_unpacked(size_t packed_bytes, size_t unpacked_bytes) {
  if (packed_bytes > limits::kUnpackedInlineBytesMax) return;
  const auto bytes = static_cast<uint32_t>(packed_bytes);
  packed_here_bytes_max_ = unpacked_bytes > limits::kUnpackedInlineBytesMax
                               ? std::min(packed_here_bytes_max_, bytes - 1)
                               : std::max(packed_here_bytes_max_, bytes);
}

void Session::note_client(std::string_view name) {
  const auto known = std::ranges::find(kKnownClients, name);
  broker()
      .metrics()
      .counter("polylog_kafka_clients_total", "Connections whose client said its name",
               fmt::format("client=\"{}\"", known == std::end(kKnownClients) ? "other" : *known))
      .add();
}

std::unique_ptr<io::Handler> make_session(std::shared_ptr<CoreShared> shared) {
  return std::make_unique<Session>(std::move(shared));
}

std::unique_ptr<io::Handler> make_session(broker::Broker& broker, const Config& config) {
  return make_session(std::make_shared<CoreShared>(broker, config));
}

}  // namespace polylog::kafka
