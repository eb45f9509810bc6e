#include "protocol/amqp/channel.h"

#include <fmt/format.h>

#include "base/log.h"
#include "protocol/amqp/commands.h"
#include "protocol/amqp/connection.h"

namespace polylog::amqp {
namespace {

constexpr size_t kWaitingHeadBytes = 5;

Outcome unexpected_frame(std::string_view text) { return refuse(ReplyCode::kUnexpectedFrame, std::string(text)); }

}  // namespace

Channel::Channel(Session& session, uint16_t number, uint64_t opened_at_sequence)
    : session_(session),
      opened_at_sequence_(opened_at_sequence),
      number_(number),
      publisher_(*this),
      consumers_(*this) {}

// ---- input

void Channel::on_frame(const FrameView& frame) {
  if (state_ == State::kOpen && (busy_ || !waiting_.empty())) return keep_waiting(frame);
  handle(frame);
}

void Channel::handle(const FrameView& frame) {
  Outcome outcome;
  switch (frame.type) {
    case FrameType::kMethod: outcome = on_method(frame.payload); break;
    case FrameType::kHeader:
      if (state_ == State::kOpen) outcome = publisher_.on_content_header(frame.payload);
      break;
    case FrameType::kBody:
      if (state_ == State::kOpen) outcome = publisher_.on_content_body(frame.payload);
      break;
    case FrameType::kHeartbeat: outcome = unexpected_frame("heartbeat on a channel"); break;
  }
  if (!outcome) return raise(outcome.error());
  if (!busy_ && !publisher_.expects_content()) note_answered();
}

// The client waits for no more; a publish is answered by its confirm, and timed there.
void Channel::note_answered() {
  if (!std::exchange(method_open_, false)) return;
  session_.metrics().note(method_, 0);
  if (method_ == MethodId::kBasicPublish) return session_.metrics().messages_received.add();
  if (!RequestMetrics::has_answer(method_)) return;
  const base::Duration took = session_.broker().loop().now() - method_began_;
  session_.metrics().note_answered(method_, took);
  const bool about_queue = class_id_of(method_) == class_id_of(MethodId::kQueueDeclare);
  session_.note_took(name_of(method_), about_queue ? last_queue_ : "", took);
}

Outcome Channel::on_method(base::View payload) {
  base::Reader in(payload);
  const MethodId id = read_method_id(in);
  if (state_ != State::kOpen && id != MethodId::kChannelClose && id != MethodId::kChannelCloseOk) return {};
  method_ = id;
  method_began_ = session_.broker().loop().now();
  method_open_ = true;
  const Command* command = in.ok() ? find_command(id) : nullptr;
  if (command == nullptr || command->on_channel == nullptr) {
    return refuse(ReplyCode::kCommandInvalid, fmt::format("{} is not allowed here", name_of(id)));
  }
  if (state_ == State::kOpen && publisher_.expects_content()) {
    return unexpected_frame("expected content header for class 60, got non content header frame instead");
  }
  if (command->flushes) flush();
  return command->on_channel(*this, in);
}

void Channel::keep_waiting(const FrameView& frame) {
  const auto size = static_cast<uint32_t>(frame.payload.size());
  const size_t at = waiting_.size();
  waiting_.resize(at + kWaitingHeadBytes + size);
  waiting_[at] = static_cast<uint8_t>(frame.type);
  std::memcpy(waiting_.data() + at + 1, &size, sizeof size);
  if (size > 0) std::memcpy(waiting_.data() + at + kWaitingHeadBytes, frame.payload.data(), size);
  session_.note_waiting_bytes(static_cast<int64_t>(kWaitingHeadBytes + size));
}

// Handlers look at views into the frames, so the frames stay where they are until all that can run has run.
void Channel::run_waiting() {
  std::vector<uint8_t> frames = std::exchange(waiting_, {});
  size_t at = 0;
  while (at < frames.size() && !busy_) {
    uint32_t size;
    std::memcpy(&size, frames.data() + at + 1, sizeof size);
    const FrameView frame{static_cast<FrameType>(frames[at]), number_,
                          base::View(frames).subspan(at + kWaitingHeadBytes, size)};
    at += kWaitingHeadBytes + size;
    handle(frame);
  }
  session_.note_waiting_bytes(-static_cast<int64_t>(at));
  if (at < frames.size()) waiting_.assign(frames.begin() + static_cast<ptrdiff_t>(at), frames.end());
  flush();
}

// ---- the engine's answers

void Channel::ask(base::CellId cell, broker::CellRequest request, Continuation then) {
  const broker::Token token = session_.make_token(number_, TokenKind::kCall);
  session_.submit(cell, token, std::move(request));
  await(token, std::move(then));
}

void Channel::ask_catalog(broker::CatalogRequest request, Continuation then) {
  const broker::Token token = session_.make_token(number_, TokenKind::kCall);
  session_.change_catalog(token, std::move(request));
  await(token, std::move(then));
}

void Channel::ask_acquire(const Orphan& where, broker::AcquireRequest request, Continuation then) {
  ask(where.cell, request, std::move(then));
  acquiring_ = where;
  acquiring_.token = pending_;
}

void Channel::await(broker::Token token, Continuation then) {
  pending_ = token;
  then_ = std::move(then);
  busy_ = true;
}

void Channel::on_action(broker::Token token, broker::ActionBody& body) {
  if (auto* done = std::get_if<broker::AppendDone>(&body)) {
    publisher_.on_append_done(token, *done);
  } else if (const auto* settled = std::get_if<broker::SettleDone>(&body)) {
    if (Outcome outcome = consumers_.on_settle_done(token, *settled); !outcome) raise(outcome.error());
  } else if (auto* deliveries = std::get_if<broker::Deliveries>(&body)) {
    if (Consumer* consumer = consumers_.find(token)) consumers_.on_deliveries(*consumer, *deliveries);
  } else if (std::holds_alternative<broker::ConsumerGone>(body)) {
    if (Consumer* consumer = consumers_.find(token)) consumers_.on_gone(*consumer);
  } else if (token == pending_) {
    finish_wait(body);
  } else if (Consumer* consumer = consumers_.find(token); consumer != nullptr && consumer->stream) {
    if (auto* read = std::get_if<broker::ReadDone>(&body)) consumer->stream->on_read(*read);
    if (std::holds_alternative<broker::Readable>(body)) consumer->stream->on_readable();
  }
  try_held();
  if (!busy_ && !publisher_.expects_content()) note_answered();
  if (!busy_ && !waiting_.empty()) run_waiting();
  if (!busy_ && winding_down_ && !torn_down_ && state_ == State::kOpen) tear_down(Ending::kChannel);
}

void Channel::finish_wait(broker::ActionBody& body) {
  pending_ = {};
  acquiring_ = {};
  busy_ = false;
  Continuation then = std::move(then_);
  if (Outcome outcome = then(body); !outcome) raise(outcome.error());
}

// ---- replies

void Channel::answer_with(Write write, bool appends_too) {
  held_ = std::move(write);
  held_needs_appends_ = appends_too;
  busy_ = true;
  try_held();
}

void Channel::try_held() {
  if (!held_ || consumers_.settles_open() > 0) return;
  if (held_needs_appends_ && !publisher_.is_idle()) return;
  busy_ = false;
  Write write = std::exchange(held_, nullptr);
  write();
}

void Channel::write_reply(base::View frame) {
  session_.out().write(frame);
  session_.wrote();
}

void Channel::flush() {
  if (state_ != State::kOpen) return;
  publisher_.flush();
  consumers_.flush();
}

void Channel::on_output_room() {
  if (state_ == State::kOpen) consumers_.on_output_room();
}

// ---- closing

void Channel::raise(const Fault& fault) {
  method_open_ = false;
  if (fault.closes_connection()) return session_.fail(fault, method_);
  if (state_ != State::kOpen) return;
  flush();
  publisher_.report();
  tear_down(Ending::kChannel);
  state_ = State::kClosing;
  const std::string text = reply_text(fault.code, fault.reason);
  session_.metrics().note(method_, static_cast<int>(fault.code));
  base::log_info("amqp", "closing a channel",
                 {{"connection", to_text(session_.id())},
                  {"peer", session_.peer()},
                  {"channel", number_},
                  {"method", name_of(method_)},
                  {"why", text}});
  session_.send(number_, ChannelClose{.reply_code = static_cast<uint16_t>(fault.code),
                                      .reply_text = text,
                                      .class_id = class_id_of(method_),
                                      .method_id = method_id_of(method_)});
}

void Channel::close_by_client() {
  if (state_ == State::kClosing)
    return session_.send(number_, ChannelCloseOk{});  // both at once: theirs is still to come
  tear_down(Ending::kChannel);
  answer_with(
      [this] {
        session_.send(number_, ChannelCloseOk{});
        state_ = State::kClosed;
      },
      true);
}

void Channel::close_done() {
  if (state_ == State::kClosing) state_ = State::kClosed;
}

// What waited for the engine is forgotten; what the engine may still hand over finds the orphan.
void Channel::tear_down(Ending ending) {
  if (torn_down_) return;
  torn_down_ = true;
  if (acquiring_.token != broker::Token{}) session_.adopt(acquiring_);
  pending_ = acquiring_.token = {};
  held_ = nullptr;
  busy_ = false;
  session_.note_waiting_bytes(-static_cast<int64_t>(waiting_.size()));
  waiting_ = {};
  consumers_.tear_down(ending);
}

void Channel::wind_down() {
  winding_down_ = true;
  flush();
  if (!busy_ && waiting_.empty()) tear_down(Ending::kChannel);
}

void Channel::abandon(Ending ending) {
  flush();
  tear_down(ending);
  publisher_.abandon();
  state_ = State::kClosed;
}

}  // namespace polylog::amqp
