#include "broker/delivery/queue.h"

#include <doctest/doctest.h>

#include <deque>
#include <set>

namespace polylog::broker {
namespace {

using storage::Partition;

ReplyTo to(uint64_t session, uint64_t token) { return {{base::CoreId(0), session}, Token{token}}; }

// A host that does everything at once, keeps replies and logs nothing but their number.
class Host final : public QueueHost {
 public:
  Host() { queue.set_partition(partition); }

  base::Lsn log_delivered(const base::PartitionKey&, const std::vector<OffsetRange>&) override {
    return ++lsn, base::Lsn(lsn);
  }
  base::Lsn log_settled(const base::PartitionKey&, const std::vector<OffsetRange>&) override {
    return ++lsn, base::Lsn(lsn);
  }
  void reply(ReplyTo who, ActionBody body, base::Lsn) override { replies.push_back({who, std::move(body)}); }
  void trim(Partition& p, Offset log_start) override { p.apply_trim(log_start, {}); }
  void load(Queue&, std::vector<storage::StoredBatch> batches) override { loads.push_back(std::move(batches)); }
  void pump_at_turn_end(Queue&) override { wants_pump = true; }
  bool may_hand_out(Queue&) override { return hand_outs_left > 0 && hand_outs_left-- > 0; }
  void last_consumer_left(Queue&) override { ++left; }
  void pool_freed(Pool& pool, uint32_t count) override { pool.open -= std::min(pool.open, count); }
  Pool& pool(SessionId session, uint32_t number) override { return pools[{session, number}]; }

  void publish(uint32_t count, size_t bytes_each = 10, bool cold = false) {
    storage::AppendMutation m{.base_offset = partition.appended(), .count = count};
    const std::string text(bytes_each * count, 'x');
    if (cold) m.pieces = {{{1, 0}, static_cast<uint32_t>(text.size())}};
    partition.apply_append(m, {}, cold ? base::Slice{} : base::Slice::copy_of(base::as_view(text)));
    wants_pump = true;
  }
  void run() {
    while (std::exchange(wants_pump, false)) queue.pump();
  }
  // (session, token) -> offsets delivered since the last call; redelivered ones are kept apart.
  std::map<uint64_t, std::vector<int64_t>> take() {
    run();
    std::map<uint64_t, std::vector<int64_t>> offsets;
    for (Action& action : std::exchange(replies, {})) {
      const auto* deliveries = std::get_if<Deliveries>(&action.body);
      if (deliveries == nullptr) continue;
      for (const DeliveryRun& run : deliveries->runs) {
        CHECK(!run.batch.empty());
        for (uint32_t i = 0; i < run.count; ++i) {
          offsets[action.to.token.value].push_back(run.first_offset.value + i);
          if (run.redelivered) redelivered.insert(run.first_offset.value + i);
        }
      }
    }
    return offsets;
  }
  void settle(ReplyTo consumer, int64_t first, int64_t last,
              SettleRequest::Outcome outcome = SettleRequest::Outcome::kDone) {
    queue.settle({consumer.session, Token{999}},
                 {.outcome = outcome, .ranges = {{Offset(first), Offset(last)}}, .consumer = consumer.token});
  }
  QueueStatsDone stats() {
    queue.stats(to(1, 77));
    auto done = std::get<QueueStatsDone>(replies.back().body);
    replies.pop_back();
    return done;
  }
  template <typename T>
  T last() {
    return std::get<T>(replies.back().body);
  }

  Partition partition{{}, true};
  Queue queue{*this, {}};
  std::vector<Action> replies;
  std::deque<std::vector<storage::StoredBatch>> loads;
  std::map<std::pair<SessionId, uint32_t>, Pool> pools;
  std::set<int64_t> redelivered;
  uint64_t lsn = 0;
  bool wants_pump = false;
  int left = 0;
  int hand_outs_left = 1'000'000;
};

using Offsets = std::vector<int64_t>;

TEST_CASE("credit_bounds_what_is_open_and_settling_gives_it_back") {
  Host host;
  host.publish(10);
  host.queue.attach(to(1, 1), {.credit = 3});
  CHECK(host.take()[1] == Offsets{0, 1, 2});
  CHECK(host.take().empty());
  host.settle(to(1, 1), 0, 1);
  CHECK(host.take()[1] == Offsets{3, 4});
  host.settle(to(1, 1), 0, 1);  // again: no effect
  CHECK(host.take().empty());
  CHECK(host.stats().open == 3);
  CHECK(host.stats().ready == 5);
}

TEST_CASE("the_window_bounds_bytes_on_their_way_to_within_an_entry") {
  Host host;
  host.publish(10, 100);
  host.queue.attach(to(1, 1), {.window_bytes = 250});
  CHECK(host.take()[1].size() == 3);
  host.queue.credit(to(1, 1), 100);
  CHECK(host.take()[1].size() == 1);
  Host tiny;
  tiny.publish(2, 100);
  tiny.queue.attach(to(1, 1), {.window_bytes = 1});  // an entry larger than the window still goes, alone
  CHECK(tiny.take()[1] == Offsets{0});
}

TEST_CASE("no_more_is_handed_out_than_the_host_allows_and_the_rest_comes_later") {
  Host host;
  for (int i = 0; i < 5; ++i) host.publish(1);
  host.queue.attach(to(1, 1), {});
  host.hand_outs_left = 3;
  CHECK(host.take()[1] == Offsets{0, 1, 2});
  CHECK(host.stats().ready == 2);
  host.hand_outs_left = 3;
  host.queue.pump();
  CHECK(host.take()[1] == Offsets{3, 4});
}

TEST_CASE("what_a_session_held_comes_back_when_it_goes_whatever_others_hold_and_was_given_back_before") {
  for (const bool others : {false, true}) {
    for (const bool given_back : {false, true}) {
      Host host;
      host.publish(200);
      if (others) host.queue.attach(to(2, 2), {.credit = 3});
      host.run();
      host.queue.attach(to(1, 1), {.credit = 150});
      host.run();
      host.queue.detach(to(1, 1));
      if (given_back) host.settle(to(1, 1), 70, 80, SettleRequest::Outcome::kReturn);
      host.queue.session_closed(to(1, 1).session);
      CHECK(host.stats().ready == (others ? 197u : 200u));
      CHECK(host.stats().open == (others ? 3u : 0u));
      host.take();
      host.queue.attach(to(3, 3), {});
      CHECK(host.take()[3].size() == (others ? 197 : 200));
    }
  }
}

TEST_CASE("a_pool_is_shared_by_consumers_of_a_session_survives_their_detach_and_may_shrink") {
  Host host;
  const SessionId session = to(1, 0).session;
  host.pool(session, 5).size = 4;
  host.publish(30);
  host.queue.attach(to(1, 1), {.pool = 5});
  host.queue.attach(to(1, 2), {.pool = 5});
  host.queue.attach(to(2, 3), {.credit = 1, .pool = 5});  // another session's pool 5 is another pool
  auto got = host.take();
  CHECK(got[1].size() + got[2].size() == 4);
  CHECK(got[3].size() == 1);
  host.queue.detach(to(1, 1));
  for (int64_t offset : got[1]) host.settle(to(1, 1), offset, offset);
  CHECK(host.take()[2].size() == got[1].size());
  host.pool(session, 5).size = 2;  // four are open: nothing until there are fewer than two
  const auto open = host.stats().open;
  CHECK(open == 5);
  Offsets mine = got[2];
  host.settle(to(1, 2), mine[0], mine[0]);
  CHECK(host.take().empty());
}

TEST_CASE("higher_priority_first_then_round_robin_among_equals") {
  Host host;
  host.queue.attach(to(1, 1), {.priority = 0});
  host.queue.attach(to(1, 2), {.priority = 5, .credit = 2});
  host.queue.attach(to(1, 3), {.priority = 5, .credit = 2});
  host.publish(6);
  auto got = host.take();
  CHECK(got[2].size() == 2);
  CHECK(got[3].size() == 2);
  CHECK(got[1] == Offsets{4, 5});
  Host fair;
  for (uint64_t token : {1u, 2u, 3u}) fair.queue.attach(to(token, token), {});
  fair.publish(9);
  auto shared = fair.take();
  for (uint64_t token : {1u, 2u, 3u}) CHECK(shared[token].size() == 3);
}

TEST_CASE("exclusive_means_alone") {
  Host host;
  host.queue.attach(to(1, 1), {.exclusive = true});
  CHECK(host.last<AttachDone>().result.has_value());
  host.queue.attach(to(2, 2), {});
  CHECK(host.last<AttachDone>().result.error().code == base::ErrorCode::kInUse);
  host.queue.detach(to(1, 1));
  CHECK(host.left == 1);
  host.queue.attach(to(2, 2), {});
  CHECK(host.last<AttachDone>().result.has_value());
  host.queue.attach(to(1, 1), {.exclusive = true});
  CHECK(host.last<AttachDone>().result.error().code == base::ErrorCode::kInUse);
}

TEST_CASE("returned_entries_come_again_in_their_place_and_flagged") {
  Host host;
  host.publish(4);
  host.queue.attach(to(1, 1), {.credit = 3});
  host.take();
  CHECK(host.redelivered.empty());
  host.settle(to(1, 1), 1, 1, SettleRequest::Outcome::kReturn);
  CHECK(host.take()[1] == Offsets{1});
  CHECK(host.redelivered == std::set<int64_t>{1});
}

TEST_CASE("what_a_session_had_open_is_ready_again_when_it_goes") {
  Host host;
  host.publish(6);
  host.queue.attach(to(1, 1), {.credit = 4});
  host.take();
  host.queue.acquire(to(1, 9), {});
  CHECK((*host.last<AcquireDone>().run)->first_offset == Offset(4));
  host.queue.session_closed(to(1, 0).session);
  CHECK(host.stats().open == 0);
  CHECK(host.stats().ready == 6);
  host.queue.attach(to(2, 2), {});
  CHECK(host.take()[2] == Offsets{0, 1, 2, 3, 4, 5});
  CHECK(host.redelivered == std::set<int64_t>{0, 1, 2, 3, 4});
}

TEST_CASE("a_session_settles_only_what_it_holds") {
  Host host;
  host.publish(2);
  host.queue.attach(to(1, 1), {});
  host.take();
  host.settle(to(2, 1), 0, 1);
  CHECK(host.stats().open == 2);
  host.settle(to(1, 1), 0, 1);
  CHECK(host.stats().open == 0);
}

TEST_CASE("auto_settle_leaves_nothing_open_and_trims") {
  Host host;
  host.publish(5);
  host.publish(5);
  host.queue.attach(to(1, 1), {.auto_settle = true, .credit = 1});
  CHECK(host.take()[1].size() == 10);
  CHECK(host.stats().open == 0);
  CHECK(host.partition.batch_count() == 0);
}

TEST_CASE("purge_takes_what_is_ready_and_leaves_what_is_open") {
  Host host;
  host.publish(10);
  host.queue.attach(to(1, 1), {.credit = 2});
  host.take();
  host.queue.purge(to(2, 2));
  CHECK(host.last<PurgeDone>().count == 8u);
  CHECK(host.stats().ready == 0);
  CHECK(host.stats().open == 2);
  host.settle(to(1, 1), 0, 0, SettleRequest::Outcome::kReturn);
  CHECK(host.take()[1] == Offsets{0});
}

TEST_CASE("acquire_takes_one_counts_the_rest_and_says_when_there_is_none") {
  Host host;
  host.publish(2);
  host.queue.acquire(to(1, 1), {.auto_settle = true});
  CHECK((*host.last<AcquireDone>().run)->first_offset == Offset(0));
  CHECK(host.last<AcquireDone>().ready_left == 1);
  host.queue.acquire(to(1, 2), {});
  host.queue.acquire(to(1, 3), {});
  CHECK(host.last<AcquireDone>().run->has_value() == false);
  CHECK(host.stats().open == 1);
}

TEST_CASE("cold_entries_are_loaded_first_and_a_failed_load_serves_nothing") {
  Host host;
  host.publish(3, 10, true);
  host.publish(3);
  host.queue.attach(to(1, 1), {});
  host.queue.acquire(to(2, 2), {});
  host.replies.clear();
  CHECK(host.take().empty());
  REQUIRE(host.loads.size() == 1);
  host.queue.loaded(base::fail(base::ErrorCode::kCorrupt, "test"));
  CHECK(host.last<AcquireDone>().run.error().code == base::ErrorCode::kCorrupt);
  CHECK(host.take().empty());
  host.queue.credit(to(1, 1), 0);  // anything that pumps tries again
  host.take();
  REQUIRE(host.loads.size() == 2);
  auto batches = host.loads.back();
  REQUIRE(batches.size() == 1);
  batches[0].bytes = base::Slice::copy_of(base::as_view(std::string(30, 'c')));
  host.queue.loaded(batches);
  CHECK(host.take()[1] == Offsets{0, 1, 2, 3, 4, 5});
}

TEST_CASE("deleting_tells_consumers_and_waiting_acquires") {
  Host host;
  host.publish(1, 10, true);
  host.queue.attach(to(1, 1), {});
  host.queue.acquire(to(2, 2), {});
  host.replies.clear();
  host.queue.gone();
  REQUIRE(host.replies.size() == 2);
  CHECK(std::holds_alternative<ConsumerGone>(host.replies[0].body));
  CHECK(host.last<AcquireDone>().run.error().code == base::ErrorCode::kNotFound);
}

}  // namespace
}  // namespace polylog::broker
