// Ledger: the accounts of a run: which message goes next, what became of each, and when. The connections report to it;
// it knows no protocol and does no I/O. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "load/lane.h"
#include "load/outages.h"
#include "load/plan.h"
#include "load/results.h"
#include "load/schedule.h"
#include "load/stamp.h"
#include "load/timeline.h"

namespace polylog::load {

// How much may be under way when nothing else sets the pace. Of large messages less: kUnacknowledgedBytesMax.
inline constexpr uint64_t kUnacknowledgedBytesMax = 64 << 20;
inline constexpr uint64_t kUnreceivedBytesMax = 256 << 20;
struct Windows {
  uint64_t unacknowledged_max = 1000;
  uint64_t unreceived_max = 20'000;
};

class Ledger {
 public:
  Ledger(const Plan& plan, const Windows& windows, uint32_t run);

  // The schedule starts now.
  void begin(uint64_t now_ns);
  // It ends now, before its time.
  void stop(uint64_t now_ns);

  const Plan& plan() const { return plan_; }
  const Schedule& schedule() const { return schedule_; }

  // The next message to send on this lane, if there is one by now.
  std::optional<Message> take(uint32_t lane, uint64_t now_ns);
  Stamp stamp(uint32_t lane, const Message& message) const { return {run_, lane, message.sequence, message.due_ns}; }
  void acknowledge(uint32_t lane, const Message& message, uint64_t now_ns);
  // They may or may not have arrived; they are sent again.
  void give_back(uint32_t lane, std::span<const Message> messages);
  void receive(std::string_view body, uint64_t now_ns);

  void on_error(std::string_view text);
  void on_down(uint64_t now_ns, std::string_view why);
  void on_up(uint64_t now_ns) { outages_.on_up(now_ns); }
  bool in_outage() const { return outages_.open(); }

  // When a message will be due next; none: there is no schedule, or nothing more is due.
  std::optional<uint64_t> next_due_ns() const;
  // Everything was sent, acknowledged and received.
  bool settled(uint64_t now_ns) const;
  uint64_t acknowledged() const { return acknowledged_; }
  uint64_t received() const { return received_; }
  uint64_t sent() const { return sent_; }

  // Once a turn: notes the borders of what is measured.
  void turn(uint64_t now_ns);
  bool wants_cut(uint64_t now_ns) const { return timeline_.due(now_ns); }
  void cut(uint64_t now_ns, const UsageSample& usage);

  Results finish(uint64_t now_ns);

 private:
  struct Mark {
    uint64_t at_ns = 0;  // 0: not reached
    uint64_t acknowledged = 0;
    uint64_t received = 0;
  };

  uint64_t number_of(uint32_t lane, uint64_t sequence) const { return sequence * lanes_.size() + lane; }
  bool may_send_new(uint32_t lane, uint64_t now_ns) const;
  bool measured(uint64_t due_ns) const { return due_ns >= measure_from_ns_ && due_ns < schedule_.end_ns(); }
  Mark mark(uint64_t now_ns) const { return {now_ns, acknowledged_, received_}; }
  void count_lanes(Results& results) const;

  Plan plan_;
  Windows windows_;
  uint32_t run_;
  std::vector<Lane> lanes_;
  Schedule schedule_{0, 0, 0};
  uint64_t measure_from_ns_ = 0;

  uint64_t sent_ = 0, sent_again_ = 0, acknowledged_ = 0, received_ = 0;
  uint64_t duplicates_ = 0, out_of_order_ = 0, foreign_ = 0, errors_ = 0;
  std::string last_error_;
  bool stopped_ = false;

  Mark from_, to_;
  uint64_t last_ack_ns_ = 0, last_receive_ns_ = 0;
  uint64_t silence_ack_ns_ = 0, silence_receive_ns_ = 0;
  Histogram acknowledge_latency_, deliver_latency_;
  Outages outages_{0};
  Timeline timeline_{0, 1};
};

}  // namespace polylog::load
