#include "load/run.h"

#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <utility>

namespace polylog::load {
namespace {

constexpr uint64_t kMillisecondNs = 1'000'000;
constexpr uint64_t kIdleNsMax = 20 * kMillisecondNs;
// Messages that are due within so short a time leave together.
constexpr uint64_t kTurnNsMin = kMillisecondNs / 20;
// What is under way at the end is waited for as long as something moves, and while the server is away.
constexpr uint64_t kPatienceNs = 10 * kSecondNs;
constexpr uint64_t kDrainNsMax = 60 * kSecondNs;

}  // namespace

base::Result<Results> Run::go(std::vector<std::unique_ptr<Link>> links) {
  prctl(PR_SET_TIMERSLACK, 1);  // the default lets each wait end 50 us late
  for (auto& link : links) connections_.emplace_back(std::move(link), ledger_);
  TRY(connect_all());

  const uint64_t begin_ns = now_ns();
  const uint64_t begin_cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
  const UsageSample server_begin = server_.sample();
  ledger_.begin(begin_ns);
  flow();
  const uint64_t flow_ns = now_ns() - begin_ns;
  const UsageSample server_end = server_.sample();
  const auto cpu_ns = static_cast<double>(now_ns(CLOCK_PROCESS_CPUTIME_ID) - begin_cpu_ns);
  const uint64_t received = ledger_.received();
  const bool is_drained = drain();

  Results results = ledger_.finish(now_ns());
  if (!is_drained) results.unread = std::exchange(results.lost, 0);
  results.client_cpu = cpu_ns / static_cast<double>(flow_ns);
  if (const auto pid = server_.pid()) {
    const auto server_ns = static_cast<double>(server_end.cpu_ns - server_begin.cpu_ns);
    results.server = ServerUse{.pid = *pid,
                               .cpu = server_ns / static_cast<double>(flow_ns),
                               .cpu_ns_per_message = received > 0 ? server_ns / static_cast<double>(received) : 0,
                               .resident_bytes_max = server_.resident_bytes_max()};
  }
  for (Connection& connection : connections_) connection.close();
  return results;
}

base::Result<> Run::connect_all() {
  const uint64_t give_up_ns = now_ns() + kCallTimeNs;
  const auto up = [&] { return std::ranges::all_of(connections_, &Connection::ready); };
  while (!up()) {
    const uint64_t now = now_ns();
    for (Connection& connection : connections_) connection.step(now);
    poll_once(now);
    const auto broken = std::ranges::find_if(connections_, [](const Connection& c) { return !c.why_down().empty(); });
    if (broken != connections_.end()) return base::fail(base::ErrorCode::kIo, broken->why_down());
    if (now_ns() > give_up_ns) return base::fail(base::ErrorCode::kTimeout, "the server does not answer");
  }
  return {};
}

void Run::flow() {
  while (now_ns() < ledger_.schedule().end_ns()) {
    turn();
    if (hooks_.stopping()) ledger_.stop(now_ns());
  }
  ledger_.turn(now_ns());
}

// False: what was acknowledged was still being received when the time for it was over.
bool Run::drain() {
  const uint64_t give_up_ns = now_ns() + kDrainNsMax;
  uint64_t moved_ns = now_ns();
  uint64_t moved = 0;
  while (!ledger_.settled(now_ns()) && now_ns() < give_up_ns) {
    turn();
    const uint64_t now = now_ns();
    const uint64_t sum = ledger_.acknowledged() + ledger_.received();
    if (sum != moved || ledger_.in_outage()) moved_ns = now;
    moved = sum;
    if (now > moved_ns + kPatienceNs) return true;
  }
  return ledger_.settled(now_ns());
}

void Run::turn() {
  const uint64_t now = now_ns();
  for (Connection& connection : connections_) {
    connection.step(now);
    connection.send_due(now);
  }
  ledger_.turn(now);
  if (ledger_.wants_cut(now)) ledger_.cut(now, server_.sample());
  hooks_.progress(ledger_, now);
  poll_once(now);
}

uint64_t Run::wake_ns(uint64_t now_ns) const {
  uint64_t wake = now_ns + kIdleNsMax;
  for (const Connection& connection : connections_) {
    if (const auto at = connection.wake_ns()) wake = std::min(wake, *at);
  }
  if (const auto due = ledger_.next_due_ns(); due && *due > now_ns) wake = std::min(wake, *due);
  return wake;
}

void Run::poll_once(uint64_t now) {
  std::vector<pollfd> waiting;
  waiting.reserve(connections_.size());
  for (const Connection& connection : connections_) {
    waiting.push_back({.fd = connection.fd(), .events = connection.poll_events(), .revents = 0});
  }
  const uint64_t wake = std::max(wake_ns(now), now + kTurnNsMin);
  const uint64_t later = now_ns();
  const timespec timeout = timespec_of(wake > later ? wake - later : 0);
  if (ppoll(waiting.data(), waiting.size(), &timeout, nullptr) <= 0) return;
  const uint64_t woken = now_ns();
  for (size_t i = 0; i < waiting.size(); ++i) {
    if (waiting[i].revents != 0) connections_[i].on_events(waiting[i].revents, woken);
  }
}

}  // namespace polylog::load
