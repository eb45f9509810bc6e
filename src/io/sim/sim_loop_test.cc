#include "io/sim/sim_loop.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>

namespace polylog::io {
namespace {

using base::CoreId;
using std::chrono::milliseconds;

TEST_CASE("the_same_seed_gives_the_same_run_and_another_seed_another") {
  const auto run = [](uint64_t seed) {
    SimWorld world({.seed = seed, .cores = 3});
    std::string order;
    auto worker = world.loop(0).make_worker("w");
    for (int i = 0; i < 20; ++i) {
      const CoreId to(static_cast<uint16_t>(i % 3));
      world.loop(1).send(to, [&, i] { order += std::to_string(i) + " "; });
      worker->submit([&, i] { order += "j" + std::to_string(i) + " "; },
                     [&, i] { order += "d" + std::to_string(i) + " "; });
    }
    CHECK(world.run_until_idle(1000));
    return order + std::to_string(world.digest());
  };
  CHECK(run(1) == run(1));
  CHECK(run(1) != run(2));
}

TEST_CASE("mail_of_a_pair_keeps_its_order_and_pairs_overtake_each_other") {
  bool overtaken = false;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SimWorld world({.seed = seed, .cores = 3});
    std::vector<int> from_0, all;
    for (int i = 0; i < 10; ++i) {
      world.loop(0).send(CoreId(2), [&, i] {
        from_0.push_back(i);
        all.push_back(i);
      });
      world.loop(1).send(CoreId(2), [&, i] { all.push_back(i); });
    }
    world.run_until_idle(1000);
    CHECK(std::ranges::is_sorted(from_0));
    CHECK(all.size() == 20);
    overtaken = overtaken || !std::ranges::is_sorted(all);
  }
  CHECK(overtaken);
}

TEST_CASE("timers_never_fire_early_and_time_jumps_to_them") {
  SimWorld world({.seed = 7});
  Loop& loop = world.loop(0);
  const auto start = loop.now();
  base::MonoTime fired;
  loop.call_at(start + std::chrono::hours(5), [&] { fired = loop.now(); });
  const TimerId cancelled = loop.call_at(start + milliseconds(1), [&] { FAIL("cancelled"); });
  loop.cancel(cancelled);
  CHECK(world.run_until_idle(10));
  CHECK(fired >= start + std::chrono::hours(5));
  CHECK(world.event_count(SimEvent::kTimer) == 1);
}

TEST_CASE("deferred_tasks_run_after_the_event_that_deferred_them") {
  SimWorld world({.seed = 7});
  std::string order;
  Loop& loop = world.loop(0);
  loop.at_turn_end([&] { order += "outside "; });
  world.post(CoreId(0), [&] {
    loop.at_turn_end([&] {
      order += "end ";
      loop.at_turn_end([&] { order += "end2 "; });
    });
    order += "event ";
  });
  world.run_until_idle(10);
  CHECK(order == "outside event end end2 ");
}

TEST_CASE("a_crash_drops_everything_pending_and_may_fall_between_a_job_and_its_done") {
  bool fell_between = false;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimWorld world({.seed = seed, .cores = 2});
    auto worker = world.loop(0).make_worker("w");
    bool job = false, done = false;
    worker->submit([&] { job = true; }, [&] { done = true; });
    world.loop(0).call_at(world.now() + milliseconds(30), [] { FAIL("dropped"); });
    world.step();
    fell_between = fell_between || (job && !done);
    const bool was_done = done;
    world.crash();
    worker.reset();
    CHECK(!world.step());
    CHECK(done == was_done);
  }
  CHECK(fell_between);
}

TEST_CASE("a_destroyed_worker_completes_nothing") {
  SimWorld world({.seed = 3});
  auto worker = world.loop(0).make_worker("w");
  worker->submit([] {}, [] { FAIL("done after destruction"); });
  worker->submit([] { FAIL("not begun"); }, [] {});
  world.step();
  worker.reset();
  CHECK(world.run_until_idle(10));
}

TEST_CASE("the_wall_clock_jumps_and_monotonic_time_does_not") {
  SimWorld world({.seed = 3});
  const auto mono = world.now();
  const auto wall = world.wall_now();
  world.jump_wall_clock(-5000);
  CHECK(world.now() == mono);
  CHECK(world.wall_now().ms == wall.ms - 5000);
}

}  // namespace
}  // namespace polylog::io
