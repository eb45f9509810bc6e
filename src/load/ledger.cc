#include "load/ledger.h"

#include <algorithm>

namespace polylog::load {
namespace {

// So long after the end messages that were due in time are still sent.
constexpr uint64_t kCatchUpNs = 5 * kSecondNs;

uint64_t since(uint64_t then_ns, uint64_t now_ns) { return now_ns > then_ns ? now_ns - then_ns : 0; }

double per_second(uint64_t count, uint64_t ns) {
  return ns == 0 ? 0 : static_cast<double>(count) * static_cast<double>(kSecondNs) / static_cast<double>(ns);
}

}  // namespace

Ledger::Ledger(const Plan& plan, const Windows& windows, uint32_t run)
    : plan_(plan),
      windows_{.unacknowledged_max = std::min(windows.unacknowledged_max, kUnacknowledgedBytesMax / plan.message_bytes),
               .unreceived_max = std::min(windows.unreceived_max, kUnreceivedBytesMax / plan.message_bytes)},
      run_(run),
      lanes_(plan.lanes()) {}

void Ledger::begin(uint64_t now_ns) {
  const double seconds = plan_.warm_up_seconds + plan_.seconds;
  schedule_ = Schedule(now_ns, plan_.rate_per_second, seconds);
  measure_from_ns_ = now_ns + static_cast<uint64_t>(plan_.warm_up_seconds * static_cast<double>(kSecondNs));
  outages_ = Outages(now_ns);
  timeline_ = Timeline(now_ns, interval_ns_for(seconds));
  last_ack_ns_ = last_receive_ns_ = now_ns;
}

void Ledger::stop(uint64_t now_ns) {
  if (now_ns >= schedule_.end_ns()) return;
  stopped_ = true;
  const double seconds = static_cast<double>(since(schedule_.begin_ns(), now_ns)) / static_cast<double>(kSecondNs);
  schedule_ = Schedule(schedule_.begin_ns(), plan_.rate_per_second, seconds);
}

bool Ledger::may_send_new(uint32_t lane, uint64_t now_ns) const {
  if (schedule_.paced()) {
    if (now_ns >= schedule_.end_ns() + kCatchUpNs) return false;
    return schedule_.is_due(number_of(lane, lanes_[lane].next_sequence()), now_ns);
  }
  if (now_ns >= schedule_.end_ns()) return false;
  return sent_ - acknowledged_ < windows_.unacknowledged_max && sent_ - received_ < windows_.unreceived_max;
}

std::optional<Message> Ledger::take(uint32_t lane, uint64_t now_ns) {
  if (auto again = lanes_[lane].take_given_back()) {
    sent_again_++;
    return again;
  }
  if (!may_send_new(lane, now_ns)) return std::nullopt;
  sent_++;
  return lanes_[lane].next(schedule_.paced() ? schedule_.due_ns(number_of(lane, lanes_[lane].next_sequence()))
                                             : now_ns);
}

void Ledger::acknowledge(uint32_t lane, const Message& message, uint64_t now_ns) {
  if (!lanes_[lane].acknowledge(message.sequence)) return;
  acknowledged_++;
  outages_.on_acknowledged(now_ns);
  timeline_.on_acknowledged();
  if (now_ns < schedule_.end_ns()) silence_ack_ns_ = std::max(silence_ack_ns_, since(last_ack_ns_, now_ns));
  last_ack_ns_ = now_ns;
  if (measured(message.due_ns)) acknowledge_latency_.add(since(message.due_ns, now_ns));
}

void Ledger::give_back(uint32_t lane, std::span<const Message> messages) { lanes_[lane].give_back(messages); }

void Ledger::receive(std::string_view body, uint64_t now_ns) {
  const auto stamp = stamp_of(body);
  if (!stamp || stamp->run != run_ || stamp->lane >= lanes_.size()) {
    foreign_++;
    return;
  }
  switch (lanes_[stamp->lane].receive(stamp->sequence)) {
    case Lane::Arrival::kUnknown: foreign_++; return;
    case Lane::Arrival::kDuplicate: duplicates_++; return;
    case Lane::Arrival::kOutOfOrder: out_of_order_++; break;
    case Lane::Arrival::kInOrder: break;
  }
  received_++;
  outages_.on_received(now_ns);
  const uint64_t latency_ns = since(stamp->due_ns, now_ns);
  timeline_.on_received(latency_ns);
  if (now_ns < schedule_.end_ns()) silence_receive_ns_ = std::max(silence_receive_ns_, since(last_receive_ns_, now_ns));
  last_receive_ns_ = now_ns;
  if (measured(stamp->due_ns)) deliver_latency_.add(latency_ns);
}

void Ledger::on_error(std::string_view text) {
  errors_++;
  last_error_ = text;
}

void Ledger::on_down(uint64_t now_ns, std::string_view why) {
  on_error(why);
  outages_.on_down(now_ns);
}

std::optional<uint64_t> Ledger::next_due_ns() const {
  if (!schedule_.paced()) return std::nullopt;
  std::optional<uint64_t> next;
  for (uint32_t lane = 0; lane < lanes_.size(); ++lane) {
    const uint64_t due = schedule_.due_ns(number_of(lane, lanes_[lane].next_sequence()));
    if (due < schedule_.end_ns() && (!next || due < *next)) next = due;
  }
  return next;
}

bool Ledger::settled(uint64_t now_ns) const {
  if (now_ns < schedule_.end_ns() || acknowledged_ < sent_ || received_ < sent_) return false;
  return !schedule_.paced() || sent_ >= schedule_.due_before(schedule_.end_ns());
}

void Ledger::turn(uint64_t now_ns) {
  if (from_.at_ns == 0 && now_ns >= measure_from_ns_) from_ = mark(now_ns);
  if (to_.at_ns == 0 && now_ns >= schedule_.end_ns()) {
    to_ = mark(now_ns);
    silence_ack_ns_ = std::max(silence_ack_ns_, since(last_ack_ns_, now_ns));
    silence_receive_ns_ = std::max(silence_receive_ns_, since(last_receive_ns_, now_ns));
  }
}

void Ledger::cut(uint64_t now_ns, const UsageSample& usage) {
  const uint64_t due = schedule_.due_before(now_ns) - schedule_.due_before(timeline_.cut_ns());
  timeline_.cut(now_ns, due, usage);
}

void Ledger::count_lanes(Results& results) const {
  for (const Lane& lane : lanes_) {
    results.lost += lane.missing();
    results.unconfirmed += lane.sent() - lane.acknowledged();
  }
}

Results Ledger::finish(uint64_t now_ns) {
  turn(now_ns);
  if (to_.at_ns == 0) to_ = mark(now_ns);
  if (from_.at_ns == 0) from_ = to_;
  outages_.finish(now_ns);
  const uint64_t due = schedule_.due_before(schedule_.end_ns());
  const uint64_t measured_ns = to_.at_ns - from_.at_ns;
  Results results{.plan = plan_,
                  .stopped = stopped_,
                  .measured_seconds = static_cast<double>(measured_ns) / static_cast<double>(kSecondNs),
                  .due_rate = plan_.rate_per_second,
                  .acknowledged_rate = per_second(to_.acknowledged - from_.acknowledged, measured_ns),
                  .received_rate = per_second(to_.received - from_.received, measured_ns),
                  .acknowledge_latency = acknowledge_latency_,
                  .deliver_latency = deliver_latency_,
                  .sent = sent_,
                  .sent_again = sent_again_,
                  .acknowledged = acknowledged_,
                  .received = received_,
                  .unsent = due > sent_ ? due - sent_ : 0,
                  .duplicates = duplicates_,
                  .out_of_order = out_of_order_,
                  .foreign = foreign_,
                  .errors = errors_,
                  .last_error = last_error_,
                  .silence_ack_ns = silence_ack_ns_,
                  .silence_receive_ns = silence_receive_ns_,
                  .outages = outages_.all(),
                  .intervals = timeline_.intervals()};
  count_lanes(results);
  for (Outage& outage : results.outages) {
    for (uint64_t* at : {&outage.began_ns, &outage.connected_ns, &outage.acknowledged_ns, &outage.received_ns}) {
      if (*at > 0) *at -= schedule_.begin_ns();
    }
  }
  return results;
}

}  // namespace polylog::load
