#include "load/ledger.h"

#include <doctest/doctest.h>

#include <string>

namespace polylog::load {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kBegin = 10 * kSecondNs;
constexpr uint32_t kRun = 77;

std::string body_of(const Ledger& ledger, uint32_t lane, const Message& message) {
  std::string body(kMessageBytesMin, '\0');
  put_stamp(body.data(), ledger.stamp(lane, message));
  return body;
}

Ledger started(const Plan& plan, const Windows& windows = {}) {
  Ledger ledger(plan, windows, kRun);
  ledger.begin(kBegin);
  return ledger;
}

TEST_CASE("ledger: lanes share the schedule") {
  Ledger ledger = started({.rate_per_second = 1000, .seconds = 1, .destinations = 2});
  CHECK(ledger.take(0, kBegin)->due_ns == kBegin);
  CHECK_FALSE(ledger.take(0, kBegin + kMs));
  CHECK(ledger.take(1, kBegin + kMs)->due_ns == kBegin + kMs);
  CHECK(ledger.take(0, kBegin + 2 * kMs)->due_ns == kBegin + 2 * kMs);
  CHECK(*ledger.next_due_ns() == kBegin + 3 * kMs);
}

TEST_CASE("ledger: latency counts from the due time, however late it was sent") {
  Ledger ledger = started({.rate_per_second = 1000, .seconds = 1});
  // The server takes nothing for half a second: 500 messages are due by then, and the first is that late.
  const uint64_t resumed = kBegin + 500 * kMs;
  uint64_t count = 0;
  while (const auto message = ledger.take(0, resumed)) {
    ledger.acknowledge(0, *message, resumed);
    ledger.receive(body_of(ledger, 0, *message), resumed);
    count++;
  }
  CHECK(count == 501);
  const Results results = ledger.finish(kBegin + 2 * kSecondNs);
  CHECK(results.deliver_latency.max_ns() == 500 * kMs);
  CHECK(results.deliver_latency.percentile_ns(0.5) > 240 * kMs);
  CHECK(results.acknowledge_latency.count() == 501);
  CHECK(results.unsent == 499);
}

TEST_CASE("ledger: the warm-up is sent and not measured") {
  Ledger ledger = started({.rate_per_second = 1000, .seconds = 1, .warm_up_seconds = 1});
  for (uint64_t now = kBegin; now < kBegin + 2 * kSecondNs; now += kMs) {
    ledger.turn(now);
    const auto message = ledger.take(0, now);
    REQUIRE(message);
    ledger.acknowledge(0, *message, now);
    ledger.receive(body_of(ledger, 0, *message), now);
  }
  CHECK(ledger.settled(kBegin + 2 * kSecondNs));
  const Results results = ledger.finish(kBegin + 2 * kSecondNs);
  CHECK(results.sent == 2000);
  CHECK(results.deliver_latency.count() == 1000);
  CHECK(results.received_rate == doctest::Approx(1000));
  CHECK_FALSE(results.fell_behind());
}

TEST_CASE("ledger: at full speed the windows hold it back") {
  Ledger ledger = started({.rate_per_second = 0, .seconds = 1}, {.unacknowledged_max = 2, .unreceived_max = 3});
  const auto first = ledger.take(0, kBegin);
  CHECK(ledger.take(0, kBegin));
  CHECK_FALSE(ledger.take(0, kBegin));
  ledger.acknowledge(0, *first, kBegin);
  const auto third = ledger.take(0, kBegin);
  REQUIRE(third);
  ledger.acknowledge(0, *third, kBegin);
  CHECK_FALSE(ledger.take(0, kBegin));  // three are not received
  ledger.receive(body_of(ledger, 0, *first), kBegin);
  CHECK(ledger.take(0, kBegin));
  CHECK_FALSE(ledger.take(0, kBegin + kSecondNs));
}

TEST_CASE("ledger: lost, duplicate, out of order and foreign messages are counted") {
  Ledger ledger = started({.rate_per_second = 1000, .seconds = 1});
  const uint64_t now = kBegin + 10 * kMs;
  std::vector<Message> sent;
  for (int i = 0; i < 6; ++i) sent.push_back(*ledger.take(0, now));
  for (int i = 0; i < 5; ++i) ledger.acknowledge(0, sent[i], now);
  for (const size_t i : {0, 2, 1, 1, 4}) ledger.receive(body_of(ledger, 0, sent[i]), now);
  ledger.receive("short", now);
  Ledger other(ledger.plan(), {}, kRun + 1);
  ledger.receive(body_of(other, 0, sent[3]), now);
  ledger.receive(body_of(ledger, 0, {.sequence = 99}), now);
  const Results results = ledger.finish(kBegin + 3 * kSecondNs);
  CHECK(results.lost == 1);
  CHECK(results.unconfirmed == 1);
  CHECK(results.duplicates == 1);
  CHECK(results.out_of_order == 1);
  CHECK(results.foreign == 3);
}

TEST_CASE("ledger: what is given back goes first, and also after the end") {
  Ledger ledger = started({.rate_per_second = 1000, .seconds = 1});
  const auto message = ledger.take(0, kBegin);
  ledger.give_back(0, {&*message, 1});
  CHECK(ledger.take(0, kBegin + 20 * kSecondNs)->sequence == message->sequence);
  CHECK_FALSE(ledger.take(0, kBegin + 20 * kSecondNs));
  CHECK(ledger.finish(kBegin + 20 * kSecondNs).sent_again == 1);
}

TEST_CASE("ledger: stopped early, it says so and expects no more than was due") {
  Ledger ledger = started({.rate_per_second = 1000, .seconds = 100});
  const auto message = ledger.take(0, kBegin);
  ledger.stop(kBegin + kMs / 2);
  CHECK_FALSE(ledger.settled(kBegin + kMs));
  ledger.acknowledge(0, *message, kBegin + kMs);
  ledger.receive(body_of(ledger, 0, *message), kBegin + kMs);
  CHECK(ledger.settled(kBegin + kMs));
  CHECK(ledger.finish(kBegin + kMs).stopped);
}

TEST_CASE("timeline: intervals are round and few") {
  CHECK(interval_ns_for(2) == kSecondNs / 10);
  CHECK(interval_ns_for(15) == kSecondNs / 10);
  CHECK(interval_ns_for(15.1) == kSecondNs / 5);
  CHECK(interval_ns_for(3600) == 50 * kSecondNs);
}

}  // namespace
}  // namespace polylog::load
