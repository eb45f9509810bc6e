#include "server/admin/engine.h"

namespace polylog::server {

broker::ReplyTo Engine::next_reply_to() {
  if (!id_) id_ = broker_.add_session(*this);
  return {*id_, broker::Token{next_token_++}};
}

void Engine::wait(Waiting& waiting, std::coroutine_handle<> waiter, std::optional<base::MonoTime> deadline) {
  waiting_ = &waiting;
  waiter_ = waiter;
  if (!deadline) return;
  deadline_timer_ = broker_.loop().call_at(*deadline, [this] {
    deadline_timer_ = {};
    if (waiting_->on_deadline()) resume();
  });
}

void Engine::leave() {
  broker_.loop().cancel(std::exchange(deadline_timer_, {}));
  waiting_ = nullptr;
  if (id_) broker_.remove_session(*id_);
  id_.reset();
}

void Engine::on_action(broker::Action action) {
  if (waiting_ != nullptr && waiting_->on_action(action.to.token.value, action.body)) resume();
}

void Engine::resume() {
  broker_.loop().cancel(std::exchange(deadline_timer_, {}));
  waiting_ = nullptr;
  waiter_.resume();
  on_progress();
}

ReadOrWait::ReadOrWait(Engine& engine, base::CellId cell, const broker::ReadRequest::Item& item,
                       std::optional<base::MonoTime> deadline)
    : engine_(engine), cell_(cell), deadline_(deadline), to_(engine.next_reply_to()) {
  engine.broker().submit(
      cell, to_, broker::ReadRequest{.items = {item}, .bytes_max = item.bytes_max, .watch = deadline.has_value()});
}

bool ReadOrWait::on_action(uint64_t token, broker::ActionBody& body) {
  if (token != to_.token.value) return false;
  if (auto* done = std::get_if<broker::ReadDone>(&body)) {
    has_read_ = true;
    outcome_.item = std::move(done->items[0]);
    return !deadline_ || expired_ || outcome_.grown || outcome_.item.error || !outcome_.item.batches.empty();
  }
  outcome_.grown = outcome_.grown || std::holds_alternative<broker::Readable>(body);
  return has_read_;
}

bool ReadOrWait::on_deadline() {
  expired_ = true;
  return has_read_;
}

ReadOrWait::Outcome ReadOrWait::await_resume() {
  if (deadline_ && !outcome_.grown) engine_.broker().submit(cell_, to_, broker::UnwatchRequest{});
  outcome_.grown = outcome_.grown && outcome_.item.batches.empty();
  return std::move(outcome_);
}

}  // namespace polylog::server
