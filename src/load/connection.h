// Connection: a link and its socket: connects, greets, and when it breaks connects again with growing pauses.
#pragma once

#include <cstdint>
#include <memory>

#include "load/ledger.h"
#include "load/link.h"
#include "load/socket.h"

namespace polylog::load {

class Connection {
 public:
  Connection(std::unique_ptr<Link> link, Ledger& ledger) : link_(std::move(link)), ledger_(ledger) {}

  bool ready() const { return state_ == State::kUp; }
  // Why it broke last; empty: it has not.
  const std::string& why_down() const { return why_down_; }

  int fd() const { return socket_.fd(); }
  short poll_events() const;
  // When step() has something to do without an event; none: not before the next one.
  std::optional<uint64_t> wake_ns() const;

  // Connects when it is time, gives up a greeting that takes too long.
  void step(uint64_t now_ns);
  void on_events(short events, uint64_t now_ns);
  void send_due(uint64_t now_ns);
  void close() { socket_.close(); }

 private:
  enum class State : uint8_t { kDown, kConnecting, kGreeting, kUp };

  void read(uint64_t now_ns);
  void break_off(uint64_t now_ns, const base::Error& error);
  void check_up(uint64_t now_ns);

  std::unique_ptr<Link> link_;
  Ledger& ledger_;
  Socket socket_;
  State state_ = State::kDown;
  bool was_up_ = false;
  uint64_t pause_ns_ = 0;
  uint64_t at_ns_ = 0;  // down: when to connect; connecting, greeting: when to give up
  std::string why_down_;
};

}  // namespace polylog::load
