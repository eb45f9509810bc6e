#include "io/core.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <future>
#include <thread>

namespace polylog::io {
namespace {

using std::chrono::milliseconds;

TEST_SUITE_BEGIN("cross-core");  // what .ci/run repeats under ThreadSanitizer

TEST_CASE("timers_fire_in_order_of_time_and_cancelled_ones_do_not") {
  CoreGroup group({.cores = 1, .pin = false});
  Core& core = group.core(0);
  std::string order;
  const auto start = core.now();
  core.call_at(start + milliseconds(20), [&] {
    order += "c";
    core.stop();
  });
  core.call_at(start + milliseconds(5), [&] { order += "a"; });
  core.call_at(start + milliseconds(5), [&] { order += "b"; });
  const TimerId cancelled = core.call_at(start + milliseconds(6), [&] { order += "x"; });
  core.cancel(cancelled);
  core.cancel(cancelled);
  core.run();
  CHECK(order == "abc");
  CHECK(core.now() >= start + milliseconds(20));
}

TEST_CASE("an_earlier_timer_set_later_moves_the_wake_up_forward") {
  CoreGroup group({.cores = 1, .pin = false});
  Core& core = group.core(0);
  const auto start = core.now();
  core.call_at(start + std::chrono::hours(1), [] {});
  core.call_at(start + milliseconds(1), [&] { core.call_at(core.now() + milliseconds(1), [&] { core.stop(); }); });
  core.run();
  CHECK(core.now() < start + std::chrono::seconds(10));
}

TEST_CASE("deferred_tasks_of_deferred_tasks_run_in_the_same_turn_end") {
  CoreGroup group({.cores = 1, .pin = false});
  Core& core = group.core(0);
  std::string order;
  core.post_from_any_thread([&] {
    core.at_turn_end([&] {
      order += "1";
      core.at_turn_end([&] { order += "2"; });
    });
    core.next_turn([&] {
      order += "3";
      core.stop();
    });
    order += "0";
  });
  core.run();
  CHECK(order == "0123");
}

TEST_CASE("mail_between_two_cores_keeps_its_order_and_survives_a_full_ring") {
  CoreGroup group({.cores = 2, .pin = false});
  constexpr int kMessages = 300'000;
  int received = 0;
  bool in_order = true, was_backlogged = false;
  // One message a turn, so that each is a batch; the receiver begins by blocking its core, so that the ring runs full.
  group.core(1).post_from_any_thread([] { std::this_thread::sleep_for(milliseconds(50)); });
  int sent = 0;
  std::function<void()> send_more = [&] {
    const int index = sent++;
    group.core(0).send(base::CoreId(1), [&, index] {
      in_order = in_order && index == received;
      if (++received == kMessages) group.stop();
    });
    was_backlogged = was_backlogged || group.core(0).mail_backlogged();
    if (sent < kMessages) group.core(0).next_turn(send_more);
  };
  group.core(0).post_from_any_thread(send_more);
  group.run();
  CHECK(received == kMessages);
  CHECK(in_order);
  CHECK(was_backlogged);
}

TEST_CASE("a_parked_core_is_woken_by_mail_both_ways") {
  CoreGroup group({.cores = 2, .pin = false});
  int rounds = 0;
  std::function<void()> ping = [&] {
    group.core(0).send(base::CoreId(1), [&] {
      group.core(1).send(base::CoreId(0), [&] {
        if (++rounds == 5000) return group.stop();
        ping();
      });
    });
  };
  group.core(0).post_from_any_thread(ping);
  group.run();
  CHECK(rounds == 5000);
}

TEST_CASE("mail_to_oneself_runs_in_a_later_turn") {
  CoreGroup group({.cores = 1, .pin = false});
  std::string order;
  Core& core = group.core(0);
  core.post_from_any_thread([&] {
    core.send(base::CoreId(0), [&] {
      order += "mail";
      core.stop();
    });
    core.at_turn_end([&] { order += "end "; });
  });
  core.run();
  CHECK(order == "end mail");
}

TEST_CASE("a_worker_runs_jobs_in_order_off_the_core_and_completes_on_it") {
  CoreGroup group({.cores = 1, .pin = false});
  Core& core = group.core(0);
  auto worker = core.make_worker("disk", Priority::kUsual);
  const auto core_thread = std::this_thread::get_id();
  int jobs = 0, dones = 0;
  bool jobs_right = true, dones_right = true;  // one for each thread
  for (int i = 0; i < 1000; ++i) {
    worker->submit([&, i] { jobs_right = jobs_right && std::this_thread::get_id() != core_thread && jobs++ == i; },
                   [&, i] {
                     dones_right = dones_right && std::this_thread::get_id() == core_thread && dones++ == i;
                     if (dones == 1000) core.stop();
                   });
  }
  core.run();
  worker.reset();
  CHECK(jobs_right);
  CHECK(dones_right);
  CHECK(dones == 1000);
}

TEST_CASE("destroying_a_worker_waits_for_its_job_and_drops_the_rest") {
  CoreGroup group({.cores = 1, .pin = false});
  Core& core = group.core(0);
  auto worker = core.make_worker("disk", Priority::kUsual);
  std::promise<void> begun;
  bool first = false, second = false, done = false;
  worker->submit(
      [&] {
        begun.set_value();
        std::this_thread::sleep_for(milliseconds(20));
        first = true;
      },
      [&] { done = true; });
  worker->submit([&] { second = true; }, [&] { done = true; });
  begun.get_future().wait();
  worker.reset();
  CHECK(first);
  core.call_at(core.now() + milliseconds(5), [&] { core.stop(); });
  core.run();
  CHECK(!second);
  CHECK(!done);
}

int nice_of_this_thread() { return getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())); }

TEST_CASE("an_urgent_worker_goes_first_where_that_is_allowed_and_those_that_can_wait_last") {
  CoreGroup group({.cores = 1, .pin = false});
  const auto nice_with = [&](Priority priority) {
    std::promise<int> nice;
    auto worker = group.core(0).make_worker("disk", priority);
    worker->submit([&] { nice.set_value(nice_of_this_thread()); }, [] {});
    return nice.get_future().get();
  };
  int allowed = 0;
  std::thread([&] {
    std::ignore = setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), -10);
    allowed = nice_of_this_thread();
  }).join();
  CHECK(nice_with(Priority::kUrgent) == allowed);
  CHECK(nice_with(Priority::kUsual) == nice_of_this_thread());
  CHECK(nice_with(Priority::kYielding) == std::max(10, nice_of_this_thread()));
  CHECK(nice_with(Priority::kBackground) == std::max(15, nice_of_this_thread()));
}

TEST_CASE("who_has_much_to_send_finishes_its_turn_behind_who_has_little") {
  struct Sender final : Resident {
    Sender(Core& its_core, std::string& log, char letter, bool is_long)
        : core(its_core), order(log), name(letter), much(is_long) {}
    void finish_turn() override { order += name; }
    void shut_down(std::string_view) override { core.retire(*this); }
    bool has_much_to_send() const override { return much; }
    Core& core;
    std::string& order;
    const char name;
    const bool much;
  };
  CoreGroup group({.cores = 1, .pin = false});
  Core& core = group.core(0);
  std::string order;
  for (const char name : {'A', 'b', 'C', 'd'}) {
    auto sender = std::make_unique<Sender>(core, order, name, std::isupper(name) != 0);
    core.finish_later(*sender);
    core.adopt(std::move(sender));
  }
  core.post_from_any_thread([&] { core.stop(); });
  core.run();
  CHECK(order == "bdAC");
}

TEST_SUITE_END();

}  // namespace
}  // namespace polylog::io
