#include "protocol/kafka/egress_watch.h"

#include <doctest/doctest.h>

#include <string>

#include "protocol/kafka/session_test_kit.h"

namespace polylog::kafka {
namespace {

using std::chrono::milliseconds, std::chrono::seconds;

struct Watched {
  explicit Watched(size_t budget_bytes, base::Duration timer_late_max = {})
      : world({.timer_late_max = timer_late_max}), budget(budget_bytes) {}
  void reply(size_t bytes) {
    connection.out().write(base::as_view(std::string(bytes, 'r')));
    watch.note(0);
  }

  io::SimWorld world;
  broker::EgressBudget budget;
  TestConnection connection;
  EgressWatch watch{world.loop(0), budget, connection};
};

constexpr size_t kLarge = EgressWatch::kReplyBytesMin;

TEST_CASE("a_small_reply_is_not_watched_and_a_large_one_is_until_it_is_read") {
  Watched small(4 * kLarge), large(4 * kLarge);
  small.reply(kLarge - 1);
  large.reply(kLarge);
  CHECK(small.budget.used_bytes() == 0);
  CHECK(large.budget.used_bytes() == kLarge);
  small.world.run_for(seconds(60));
  CHECK(small.budget.used_bytes() == 0);

  large.reply(10);  // while it is watched, what is small counts as well
  CHECK(large.budget.used_bytes() == kLarge + 10);
  large.world.run_for(seconds(60));
  CHECK(large.budget.used_bytes() == kLarge + 10);
  large.connection.out().sent(kLarge + 10);
  large.world.run_for(milliseconds(250));
  CHECK(large.budget.used_bytes() == 0);
  large.reply(10);  // and then no more
  CHECK(large.budget.used_bytes() == 0);
}

TEST_CASE("a_reply_that_is_read_at_once_costs_one_look_and_nothing_is_charged_any_more") {
  Watched watched(kLarge);
  watched.reply(kLarge);
  watched.connection.out().sent(kLarge);
  watched.world.run_for(milliseconds(1));
  CHECK(watched.budget.used_bytes() == 0);
}

TEST_CASE("who_reads_nothing_for_five_seconds_is_closed_when_memory_is_short_and_only_then") {
  Watched deaf(2 * kLarge - 1), slow(2 * kLarge - 1), rich(2 * kLarge);
  for (Watched* watched : {&deaf, &slow, &rich}) watched->reply(kLarge);
  CHECK(deaf.budget.is_short());
  CHECK(!rich.budget.is_short());
  slow.reply(10);
  for (int second = 0; second < 10; ++second) {
    CHECK(deaf.connection.closed == (second > 5));
    for (Watched* watched : {&deaf, &slow, &rich}) watched->world.run_for(seconds(1));
    slow.connection.out().sent(1);
  }
  CHECK(!slow.connection.closed);
  CHECK(!rich.connection.closed);
}

TEST_CASE("nobody_is_closed_because_the_broker_itself_stood_still") {
  Watched watched(2 * kLarge - 1, seconds(10));
  watched.reply(kLarge);
  watched.world.run_for(seconds(30));
  CHECK(watched.budget.is_short());
  CHECK(!watched.connection.closed);
  watched.world.run_for(seconds(300));
  CHECK(watched.connection.closed);
}

TEST_CASE("replies_that_wait_for_an_older_one_count_too") {
  Watched watched(4 * kLarge);
  watched.watch.note(kLarge);
  CHECK(watched.budget.used_bytes() == kLarge);
  watched.world.run_for(seconds(1));
  CHECK(watched.budget.used_bytes() == kLarge);
  watched.watch.note(0);
  watched.world.run_for(seconds(1));
  CHECK(watched.budget.used_bytes() == 0);
}

}  // namespace
}  // namespace polylog::kafka
