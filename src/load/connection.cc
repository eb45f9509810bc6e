#include "load/connection.h"

#include <poll.h>

#include <algorithm>

namespace polylog::load {
namespace {

constexpr uint64_t kMillisecondNs = 1'000'000;
constexpr uint64_t kPauseFirstNs = 10 * kMillisecondNs;
constexpr uint64_t kPauseMaxNs = 200 * kMillisecondNs;
constexpr uint64_t kGreetingNsMax = 5 * kSecondNs;

}  // namespace

short Connection::poll_events() const {
  if (state_ == State::kConnecting) return POLLOUT;
  return socket_.blocked ? POLLIN | POLLOUT : POLLIN;
}

std::optional<uint64_t> Connection::wake_ns() const {
  return state_ == State::kUp ? std::nullopt : std::optional(at_ns_);
}

void Connection::step(uint64_t now_ns) {
  if (state_ == State::kUp || now_ns < at_ns_) return;
  if (state_ != State::kDown) return break_off(now_ns, {base::ErrorCode::kTimeout, "the server does not answer"});
  state_ = State::kConnecting;
  at_ns_ = now_ns + kGreetingNsMax;
  if (const auto begun = socket_.begin_connect(link_->address()); !begun) break_off(now_ns, begun.error());
}

void Connection::on_events(short events, uint64_t now_ns) {
  if (state_ == State::kDown) return;
  if (state_ == State::kConnecting) {
    if (const auto connected = socket_.finish_connect(); !connected) return break_off(now_ns, connected.error());
    state_ = State::kGreeting;
    link_->greet(socket_.output);
  }
  if ((events & ~POLLOUT) != 0) read(now_ns);
  if (state_ == State::kDown || socket_.output.empty()) return;
  if (const auto flushed = socket_.flush(); !flushed) break_off(now_ns, flushed.error());
}

void Connection::read(uint64_t now_ns) {
  const auto filled = socket_.fill();
  if (!filled) return break_off(now_ns, filled.error());
  if (!*filled) return;
  const auto taken = link_->take(socket_.input(), socket_.output, now_ns);
  if (!taken) return break_off(now_ns, taken.error());
  socket_.consume(*taken);
  check_up(now_ns);
}

void Connection::check_up(uint64_t now_ns) {
  if (state_ != State::kGreeting || !link_->ready()) return;
  state_ = State::kUp;
  pause_ns_ = 0;
  if (was_up_) ledger_.on_up(now_ns);
  was_up_ = true;
}

void Connection::send_due(uint64_t now_ns) {
  while (state_ == State::kUp && !socket_.blocked) {
    link_->send_due(socket_.output, now_ns);
    if (socket_.output.empty()) return;
    if (const auto flushed = socket_.flush(); !flushed) break_off(now_ns, flushed.error());
  }
}

void Connection::break_off(uint64_t now_ns, const base::Error& error) {
  why_down_ = link_->address().text + ": " + error.text;
  if (state_ == State::kUp) ledger_.on_down(now_ns, why_down_);
  link_->on_down();
  socket_.close();
  state_ = State::kDown;
  pause_ns_ = pause_ns_ == 0 ? kPauseFirstNs : std::min(pause_ns_ * 2, kPauseMaxNs);
  at_ns_ = now_ns + pause_ns_;
}

}  // namespace polylog::load
