// EgressWatch: charges one connection's large unread replies to its core's EgressBudget, and closes the connection when the
// budget runs short and the peer has read nothing for a while: its memory is then worth more to those that read.
// Made when a session first has a large reply; small replies are not watched. Goes with its session.
#pragma once

#include "broker/egress.h"
#include "io/loop.h"
#include "io/net.h"

namespace polylog::kafka {

class EgressWatch {
 public:
  static constexpr size_t kReplyBytesMin = 64 * base::limits::kKiB;  // smaller ones start no watch

  EgressWatch(io::Loop& loop, broker::EgressBudget& budget, io::Connection& connection)
      : loop_(loop), budget_(budget), connection_(connection), share_(budget) {}
  ~EgressWatch() { loop_.cancel(timer_); }

  // Replies that wait for an older one, besides what is queued for the socket. Call whenever either has grown.
  void note(size_t held_bytes);

 private:
  void look();

  io::Loop& loop_;
  broker::EgressBudget& budget_;
  io::Connection& connection_;
  broker::EgressBudget::Share share_;
  size_t held_bytes_ = 0;
  size_t queued_bytes_seen_ = 0;
  int idle_looks_ = 0;  // in turn, at which nothing had been read
  io::TimerId timer_;
};

}  // namespace polylog::kafka
