// Outages: finds in the events of all connections of a run when the server was away, and how long it took until messages
// flowed again. An outage begins with the first connection that breaks. It is over when all connections are up and, after
// the last break, something was acknowledged and something received.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace polylog::load {

struct Outage {
  uint64_t began_ns = 0;            // the first connection broke
  uint64_t connected_ns = 0;        // all connections were up again; 0: not by the end of the run
  uint64_t acknowledged_ns = 0;     // the first acknowledgement afterwards; 0: none
  uint64_t received_ns = 0;         // the first message received afterwards; 0: none
  uint64_t silence_ack_ns = 0;      // the longest time without an acknowledgement around it
  uint64_t silence_receive_ns = 0;  // the same of messages received

  bool over() const { return connected_ns > 0 && acknowledged_ns > 0 && received_ns > 0; }
};

class Outages {
 public:
  explicit Outages(uint64_t begin_ns) : last_ack_ns_(begin_ns), last_receive_ns_(begin_ns) {}

  void on_down(uint64_t now_ns);
  void on_up(uint64_t now_ns);
  void on_acknowledged(uint64_t now_ns);
  void on_received(uint64_t now_ns);
  // At the end: what is still open lasts until now.
  void finish(uint64_t now_ns);

  bool open() const { return current_.has_value(); }
  const std::vector<Outage>& all() const { return finished_; }

 private:
  void close_if_over();

  uint64_t last_ack_ns_;
  uint64_t last_receive_ns_;
  uint32_t down_ = 0;  // connections
  std::optional<Outage> current_;
  std::vector<Outage> finished_;
};

}  // namespace polylog::load
