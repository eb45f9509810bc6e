#include "protocol/kafka/egress_watch.h"

#include <fmt/format.h>

#include "base/log.h"

namespace polylog::kafka {
namespace {

constexpr auto kNextTurn = std::chrono::microseconds(1);  // a timer due now could fire before anything was sent
constexpr auto kLookEvery = std::chrono::milliseconds(250);
constexpr int kIdleLooksMax = 20;  // 5 s. Not by the clock: a process that was stopped for a while has not sent either

}  // namespace

// A peer that reads has it all by the next turn, before the first look. A timer a reply would cost small replies more
// than their memory is worth.
void EgressWatch::note(size_t held_bytes) {
  held_bytes_ = held_bytes;
  const size_t bytes = held_bytes_ + connection_.out().queued_bytes();
  if (timer_.value == 0 && bytes < kReplyBytesMin) return;
  share_.set(bytes);
  if (timer_.value != 0) return;
  idle_looks_ = 0;
  queued_bytes_seen_ = 0;
  timer_ = loop_.call_at(loop_.now() + kNextTurn, [this] { look(); });
}

void EgressWatch::look() {
  timer_ = {};
  const size_t queued_bytes = connection_.out().queued_bytes();
  share_.set(held_bytes_ + queued_bytes);
  if (share_.bytes() == 0) return;
  const bool is_idle = queued_bytes == queued_bytes_seen_ && queued_bytes != 0;
  idle_looks_ = is_idle ? idle_looks_ + 1 : 0;
  queued_bytes_seen_ = queued_bytes;
  if (budget_.is_short() && idle_looks_ >= kIdleLooksMax) {
    base::log_warn("kafka", "closing a connection",
                   {{"peer", connection_.peer()}, {"why", "it reads nothing, and memory for replies is short"}});
    return connection_.close_now();
  }
  timer_ = loop_.call_at(loop_.now() + kLookEvery, [this] { look(); });
}

}  // namespace polylog::kafka
