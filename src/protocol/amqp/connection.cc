#include "protocol/amqp/connection.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "protocol/amqp/commands.h"

namespace polylog::amqp {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr base::Duration kHandshakeMax = seconds(10);
constexpr base::Duration kRefusedLoginWait = seconds(3);
constexpr base::Duration kCloseOkMax = seconds(5);
constexpr base::Duration kRetryEvery = milliseconds(200);
constexpr base::Duration kNextTurn = std::chrono::microseconds(1);  // a turn has one time
constexpr uint32_t kFrameBytesMaxBeforeOpen = 16 * base::limits::kKiB;
constexpr int64_t kHeartbeatTicksPerPeriod = 2;
constexpr uint8_t kSilentTicksMax = 4;                       // two periods
constexpr size_t kAppendBytesMax = 16 * base::limits::kMiB;  // published, not yet stored: past it reading stops
constexpr size_t kWaitingBytesMax = 1 * base::limits::kMiB;  // methods behind one that waits: likewise
constexpr size_t kLongOutputBytes = 512 * base::limits::kKiB;
constexpr std::string_view kBlockedReason = "low on disk";

}  // namespace

std::unique_ptr<io::Handler> make_session(broker::Broker& broker, const Config& config) {
  return std::make_unique<Session>(broker, config);
}

Session::Session(broker::Broker& broker, const Config& config)
    : broker_(broker),
      config_(config),
      metrics_(broker.metrics().part<RequestMetrics>()),
      alive_(std::make_shared<bool>(true)),
      frame_max_(kFrameBytesMaxBeforeOpen),
      channel_max_(config.channel_max) {}

Session::~Session() { *alive_ = false; }

base::Writer& Session::scratch() {
  thread_local base::Writer writer;
  return writer;
}

// ---- life

void Session::on_open(io::Connection& connection) {
  connection_ = &connection;
  id_ = broker_.add_session(*this);
  deadline_timer_ = broker_.loop().call_at(broker_.loop().now() + kHandshakeMax, [this] { connection_->close_now(); });
  if (base::log_enabled(base::LogLevel::kDebug))
    base::log_debug("amqp", "connection opened", {{"connection", to_text(id_)}, {"peer", connection_->peer()}});
}

void Session::note_took(std::string_view kind, std::string_view object, base::Duration took,
                        const broker::AppendDone* append) {
  if (took < broker_.slow_operation()) return;
  using std::chrono::duration_cast;
  const base::MonoTime now = broker_.loop().now();
  const auto left_out = broker_.slow_lines().admit(now);
  if (!left_out) return;
  const auto ms_between = [](base::MonoTime from, base::MonoTime to) {
    return from.ns == 0 || to.ns == 0 ? int64_t{-1} : duration_cast<milliseconds>(to - from).count();
  };
  const broker::AppendDone none{};
  const broker::AppendDone& stages = append != nullptr ? *append : none;
  base::log_warn("amqp", "slow request",
                 {{"connection", to_text(id_)},
                  {"peer", connection_->peer()},
                  {"name", name_},
                  {"kind", kind},
                  {"object", object},
                  {"total_ms", duration_cast<milliseconds>(took).count()},
                  {"append_ms", ms_between({now.ns - took.count()}, stages.staged_at)},
                  {"sync_ms", ms_between(stages.staged_at, stages.committed_at)},
                  {"answer_ms", ms_between(stages.committed_at, now)},
                  {"left_out", *left_out}});
}

void Session::on_closed(std::string_view why) {
  if (base::log_enabled(base::LogLevel::kDebug))
    base::log_debug("amqp", "connection closed",
                    {{"connection", to_text(id_)}, {"peer", connection_->peer()}, {"name", name_}, {"why", why}});
  phase_ = Phase::kDone;
  each_channel([](Channel& channel) { channel.abandon(Ending::kSession); });
  for (const io::TimerId timer : {deadline_timer_, heartbeat_timer_, retry_timer_, room_timer_}) {
    broker_.loop().cancel(timer);
  }
  for (const base::Uuid& queue : exclusive_queues_) change_catalog({}, broker::DeleteStream{queue});
  broker_.remove_session(id_);
  *alive_ = false;
}

void Session::close_soon() {
  phase_ = Phase::kDone;
  broker_.loop().cancel(deadline_timer_);
  deadline_timer_ =
      broker_.loop().call_at(broker_.loop().now() + kRefusedLoginWait, [this] { connection_->close_now(); });
}

void Session::fail(const Fault& fault, MethodId method) {
  if (phase_ == Phase::kClosing || phase_ == Phase::kDone) return;
  const std::string text = reply_text(fault.code, fault.reason);
  metrics_.note(method, static_cast<int>(fault.code));
  base::log_warn("amqp", "closing a connection",
                 {{"connection", to_text(id_)},
                  {"peer", connection_->peer()},
                  {"name", name_},
                  {"user", user_},
                  {"method", name_of(method)},
                  {"why", text}});
  each_channel([](Channel& channel) { channel.abandon(Ending::kChannel); });
  phase_ = Phase::kClosing;
  send(0, ConnectionClose{.reply_code = static_cast<uint16_t>(fault.code),
                          .reply_text = text,
                          .class_id = class_id_of(method),
                          .method_id = method_id_of(method)});
  broker_.loop().cancel(deadline_timer_);
  deadline_timer_ =
      broker_.loop().call_at(broker_.loop().now() + kCloseOkMax, [this] { connection_->close_after_flush(); });
  update_reading();
}

// A client's close is answered when all that came before it is done and nothing more can be delivered to it.
void Session::finish_draining() {
  if (phase_ != Phase::kDraining) return;
  bool drained = orphans_.empty();
  each_channel([&](Channel& channel) { drained = drained && (channel.is_closed() || channel.is_drained()); });
  if (!drained) return;
  send_reports();
  send(0, ConnectionCloseOk{});
  phase_ = Phase::kDone;
  connection_->close_after_flush();
}

// ---- input

io::Handler::Taken Session::on_bytes(base::View bytes) {
  received_ = true;
  size_t at = phase_ == Phase::kHeader ? on_greeting(bytes) : 0;
  size_t wanted = 0;
  while (phase_ != Phase::kHeader && phase_ != Phase::kDone && !wants_pause()) {
    const FrameRead read = read_frame(bytes.subspan(at), frame_max_);
    if (read.status == FrameRead::Status::kNeedMore) {
      // Not the mere least a frame has: a head that lies is to be seen when it is complete.
      wanted = read.wanted_bytes > kFrameOverheadBytes ? read.wanted_bytes : 0;
      break;
    }
    if (read.status == FrameRead::Status::kError) {
      fail({ReplyCode::kFrameError, text_of(read.error)}, MethodId{});
      at = bytes.size();
      if (phase_ == Phase::kClosing) connection_->close_after_flush();  // no frame boundary to wait for close-ok at
      break;
    }
    at += read.frame.total_bytes();
    on_frame(read.frame);
  }
  finish_input();
  return {phase_ == Phase::kDone ? bytes.size() : at, wanted};
}

size_t Session::on_greeting(base::View bytes) {
  const Greeting greeting = recognize_greeting(bytes);
  switch (greeting) {
    case Greeting::kNeedMore: return 0;
    case Greeting::kAmqp091: send_start(); return kProtocolHeaderBytes;
    case Greeting::kAmqp10: out().write(protocol_header_10_sasl()); break;
    case Greeting::kAmqp10Tls:
    case Greeting::kAmqp10Sasl:
    case Greeting::kAmqpUnknown:
    case Greeting::kHttp:
    case Greeting::kTls:
    case Greeting::kOther: out().write(protocol_header_091()); break;
  }
  base::log_warn("amqp", "closing a connection",
                 {{"connection", to_text(id_)},
                  {"peer", connection_->peer()},
                  {"why", fmt::format("it speaks {} on the AMQP 0-9-1 port", name_of(greeting))}});
  phase_ = Phase::kDone;
  wrote();
  connection_->close_after_flush();
  return bytes.size();
}

void Session::on_frame(const FrameView& frame) {
  if (frame.type == FrameType::kHeartbeat) {
    if (frame.channel != 0) fail({ReplyCode::kUnexpectedFrame, "heartbeat on a channel other than 0"}, MethodId{});
    return;
  }
  if (frame.channel == 0) return on_connection_method(frame);
  if (phase_ == Phase::kClosing || phase_ == Phase::kDraining) return;
  if (phase_ != Phase::kOpen) {
    return fail({ReplyCode::kCommandInvalid, "channel frame before the connection is open"}, MethodId{});
  }
  on_channel_frame(frame);
}

void Session::on_connection_method(const FrameView& frame) {
  base::Reader in(frame.payload);
  const MethodId id = read_method_id(in);
  if (phase_ == Phase::kClosing && id != MethodId::kConnectionClose && id != MethodId::kConnectionCloseOk) return;
  if (frame.type != FrameType::kMethod) {
    return fail({ReplyCode::kUnexpectedFrame, "content on channel 0"}, MethodId{});
  }
  const Command* command = in.ok() ? find_command(id) : nullptr;
  if (command == nullptr || command->on_connection == nullptr || !phase_allows(id)) {
    return fail({ReplyCode::kCommandInvalid, fmt::format("{} is not allowed here", name_of(id))}, id);
  }
  if (Outcome outcome = command->on_connection(*this, in); !outcome) return fail(outcome.error(), id);
  metrics_.note(id, 0);
}

bool Session::phase_allows(MethodId id) const {
  switch (id) {
    case MethodId::kConnectionStartOk: return phase_ == Phase::kStart;
    case MethodId::kConnectionTuneOk: return phase_ == Phase::kTune;
    case MethodId::kConnectionOpen: return phase_ == Phase::kOpenWait;
    case MethodId::kConnectionUpdateSecret: return phase_ == Phase::kOpen;
    default: return phase_ != Phase::kDraining;  // close and close-ok come at any time
  }
}

void Session::on_channel_frame(const FrameView& frame) {
  Channel* target = channel(frame.channel);
  if (target != nullptr && !target->is_closed()) {
    base::Reader in(frame.payload);
    if (frame.type == FrameType::kMethod && read_method_id(in) == MethodId::kChannelOpen) {
      return fail({ReplyCode::kChannelError, "second 'channel.open' seen"}, MethodId::kChannelOpen);
    }
    return target->on_frame(frame);
  }
  base::Reader in(frame.payload);
  const MethodId id = frame.type == FrameType::kMethod ? read_method_id(in) : MethodId{};
  if (id == MethodId::kChannelOpen) return open_channel(frame, in);
  const bool is_ack = id == MethodId::kBasicAck || id == MethodId::kBasicNack || id == MethodId::kBasicReject;
  if (target != nullptr && (is_ack || id == MethodId::kChannelCloseOk)) return;  // crossed with the close
  fail({ReplyCode::kChannelError, "expected 'channel.open'"}, id);
}

void Session::open_channel(const FrameView& frame, base::Reader& in) {
  ChannelOpen method;
  if (!decode(in, method)) return fail({ReplyCode::kSyntaxError, "cannot decode channel.open"}, ChannelOpen::kId);
  if (channel_max_ != 0 && frame.channel > channel_max_) {
    return fail({ReplyCode::kNotAllowed,
                 fmt::format("channel {} is above the negotiated channel_max {}", frame.channel, channel_max_)},
                ChannelOpen::kId);
  }
  if (frame.channel >= channels_.size()) channels_.resize(frame.channel + 1u);
  channels_[frame.channel] = std::make_unique<Channel>(*this, frame.channel, last_sequence_ + 1);
  send(frame.channel, ChannelOpenOk{});
  metrics_.note(ChannelOpen::kId, 0);
}

void Session::finish_input() {
  for (size_t i = 0; i < touched_.size(); ++i) {
    if (Channel* touched = channel(touched_[i])) touched->flush();
  }
  touched_.clear();
  update_reading();
}

Channel* Session::channel(uint16_t number) { return number < channels_.size() ? channels_[number].get() : nullptr; }

// ---- the engine

broker::Token Session::make_token(uint16_t channel, TokenKind kind) {
  return {uint64_t{channel} << 48 | static_cast<uint64_t>(kind) << 44 | ++last_sequence_};
}

void Session::submit(base::CellId cell, broker::Token token, broker::CellRequest request) {
  broker_.submit(cell, {id_, token}, std::move(request));
}

void Session::change_catalog(broker::Token token, broker::CatalogRequest request) {
  broker_.change_catalog({id_, token}, std::move(request));
}

// Whatever has become of the channel that asked for it.
void Session::own_exclusive(const broker::ActionBody& answer) {
  const auto* done = std::get_if<broker::CatalogDone>(&answer);
  if (done == nullptr || !done->result || done->record == nullptr || done->record->exclusive_owner != id_) return;
  if (broker_.catalog().find(done->record->id) != nullptr) exclusive_queues_.push_back(done->record->id);
}

void Session::on_action(broker::Action action) {
  own_exclusive(action.body);
  if (phase_ == Phase::kDone) return;
  const broker::Token token = action.to.token;
  Channel* target = channel(channel_of(token));
  const bool is_orphans = std::ranges::find(orphans_, token, &Orphan::token) != orphans_.end();
  if (is_orphans) {
    on_orphan_action(action);
  } else if (target != nullptr && target->owns(token) && !target->is_closed()) {
    target->on_action(token, action.body);
  }
  finish_draining();
  if (phase_ != Phase::kDone) finish_input();
}

void Session::adopt(Orphan orphan) { orphans_.push_back(orphan); }

void Session::on_orphan_action(broker::Action& action) {
  const auto orphan = std::ranges::find(orphans_, action.to.token, &Orphan::token);
  broker::SettleRequest request{.queue = orphan->queue,
                                .outcome = broker::SettleRequest::Outcome::kReturn,
                                .ranges = {},
                                .consumer = orphan->consumer};
  const auto give_back = [&](const broker::DeliveryRun& run) {
    request.ranges.emplace_back(run.first_offset, run.first_offset + base::OffsetCount(int64_t{run.count} - 1));
  };
  bool is_last = false;
  if (const auto* deliveries = std::get_if<broker::Deliveries>(&action.body)) {
    for (const broker::DeliveryRun& run : deliveries->runs) give_back(run);
  } else if (const auto* acquired = std::get_if<broker::AcquireDone>(&action.body)) {
    if (acquired->run && *acquired->run) give_back(**acquired->run);
    is_last = true;
  } else {
    is_last = !std::holds_alternative<broker::AttachDone>(action.body);
  }
  std::ranges::sort(request.ranges);
  if (!request.ranges.empty() && !orphan->auto_settle) {
    submit(orphan->cell, make_token(0, TokenKind::kReturn), std::move(request));
  }
  if (is_last) orphans_.erase(orphan);
}

void Session::touch(uint16_t number) {
  if (touched_.empty() || touched_.back() != number) touched_.push_back(number);
}

void Session::report_later(uint16_t number) {
  if (std::ranges::find(reporting_, number) == reporting_.end()) reporting_.push_back(number);
  if (std::exchange(reports_armed_, true)) return;
  broker_.loop().at_turn_end([this, alive = alive_] {
    if (*alive) send_reports();
  });
}

void Session::send_reports() {
  reports_armed_ = false;
  for (const uint16_t number : std::exchange(reporting_, {})) {
    Channel* reporting = channel(number);
    if (phase_ != Phase::kDone && reporting != nullptr && !reporting->is_closed()) reporting->send_reports();
  }
}

// ---- output

void Session::wrote() {
  sent_ = true;
  connection_->flush_at_turn_end();
}

bool Session::output_is_long() const { return connection_->out().queued_bytes() > kLongOutputBytes; }

// The connection tells of drained output only if some was left at a turn's end, so a turn later is looked at as well.
void Session::tell_output_room() {
  if (std::exchange(room_wanted_, true)) return;
  // A timer that is due now could fire within this turn, before anything was sent; nobody would look again.
  room_timer_ = broker_.loop().call_at(broker_.loop().now() + kNextTurn, [this] {
    if (!output_is_long()) on_drained();
  });
}

void Session::on_drained() {
  if (!std::exchange(room_wanted_, false)) return;
  broker_.loop().cancel(room_timer_);
  each_channel([](Channel& channel) { channel.on_output_room(); });
}

// ---- heartbeats

void Session::start_heartbeat() {
  if (heartbeat_s_ == 0) return;
  const auto tick = milliseconds(1000 * heartbeat_s_ / kHeartbeatTicksPerPeriod);
  heartbeat_timer_ = broker_.loop().call_at(broker_.loop().now() + tick, [this] { on_heartbeat_tick(); });
}

void Session::on_heartbeat_tick() {
  if (!std::exchange(sent_, false)) {
    base::Writer& frame = scratch();
    frame.clear();
    write_heartbeat(frame);
    out().write(frame.view());
    connection_->flush_at_turn_end();
  }
  silent_ticks_ = std::exchange(received_, false) || paused_ ? 0 : silent_ticks_ + 1;
  if (silent_ticks_ >= kSilentTicksMax) {
    base::log_warn("amqp", "closing a connection",
                   {{"connection", to_text(id_)},
                    {"peer", connection_->peer()},
                    {"name", name_},
                    {"why", "missed heartbeats"},
                    {"heartbeat_s", heartbeat_s_}});
    return connection_->close_now();
  }
  start_heartbeat();
}

// ---- holding publishers back

void Session::note_publish() {
  if (std::exchange(published_, true)) return;
  update_blocked();
}

bool Session::wants_pause() const {
  if (phase_ == Phase::kClosing) return false;
  const bool held_back = published_ && (broker_.under_pressure() || broker_.disk_full() || retry_timer_.value != 0);
  return held_back || append_bytes_ > kAppendBytesMax || waiting_bytes_ > kWaitingBytesMax;
}

void Session::update_reading() {
  if (phase_ == Phase::kDone) return;
  const bool pause = wants_pause();
  if (pause == paused_) return;
  paused_ = pause;
  if (pause) {
    connection_->pause_reading();
  } else {
    connection_->resume_reading();
  }
}

void Session::update_blocked() {
  const bool blocked = published_ && broker_.disk_full();
  if (!client_takes_blocked_ || blocked == blocked_sent_ || phase_ != Phase::kOpen) return;
  blocked_sent_ = blocked;
  if (blocked) {
    send(0, ConnectionBlocked{.reason = kBlockedReason});
  } else {
    send(0, ConnectionUnblocked{});
  }
}

void Session::on_pressure() {
  if (phase_ == Phase::kDone) return;
  update_blocked();
  if (retry_timer_.value != 0 && !broker_.disk_full()) {
    broker_.loop().cancel(retry_timer_);
    retry_timer_ = {};
    each_channel([](Channel& channel) { channel.publisher().retry(); });
  }
  update_reading();
}

// on_pressure() tells when there is space again; the timer covers a change that came before the refusal.
void Session::retry_later() {
  if (retry_timer_.value != 0) return;
  retry_timer_ = broker_.loop().call_at(broker_.loop().now() + kRetryEvery, [this] {
    retry_timer_ = {};
    each_channel([](Channel& channel) { channel.publisher().retry(); });
    update_reading();
  });
  update_reading();
}

}  // namespace polylog::amqp
