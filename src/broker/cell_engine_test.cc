#include "broker/cell_engine.h"

#include <array>
#include <set>

#include "broker/engine_test_kit.h"

namespace polylog::broker {
namespace {

using base::ErrorCode;

base::PartitionKey make(EngineKit& kit, const std::string& name, StreamKind kind) {
  const auto done = kit.create(name, 1, kind);
  REQUIRE(done.result);
  return done.record->key();
}

ReadRequest read_from(const base::PartitionKey& key, int64_t offset, bool watch = false) {
  return {.items = {{key, Offset(offset), 1 << 20}}, .bytes_max = 1 << 20, .watch = watch};
}

std::vector<int64_t> offsets_of(const std::vector<Deliveries>& deliveries) {
  std::vector<int64_t> offsets;
  for (const Deliveries& d : deliveries)
    for (const DeliveryRun& run : d.runs)
      for (uint32_t i = 0; i < run.count; ++i) offsets.push_back(run.first_offset.value + i);
  return offsets;
}

TEST_CASE("what_is_appended_is_answered_after_its_commit_and_read_back_also_after_a_crash") {
  EngineKit kit;
  const auto key = make(kit, "s", StreamKind::kStream);
  const Token token = kit.send(key, kit.batch(key, "hello", 3));
  CHECK(kit.session->all<AppendDone>(token).empty());
  kit.settle();
  CHECK(kit.session->all<AppendDone>(token)[0].base_offset == Offset(0));
  kit.crash();
  const auto read = kit.ask<ReadDone>(key, read_from(key, 1));
  REQUIRE(read.items[0].batches.size() == 1);
  CHECK(base::as_text(read.items[0].batches[0].bytes.view()) == "hello");
  CHECK(kit.ask<ReadDone>(key, read_from(key, 3)).items[0].batches.empty());
  CHECK(kit.ask<ReadDone>(key, read_from(key, 4)).items[0].error == ErrorCode::kOutOfRange);
  CHECK(kit.ask<ReadDone>(key, read_from(key, -1)).items[0].error == ErrorCode::kOutOfRange);
}

TEST_CASE("stats_say_what_partitions_and_cells_hold") {
  EngineKit kit;
  const auto key = make(kit, "s", StreamKind::kStream);
  kit.ask<AppendDone>(key, kit.batch(key, "hello", 3));
  const auto stats = kit.ask<PartitionStatsDone>(key, PartitionStatsRequest{{key, {key.stream, 7}}});
  REQUIRE(stats.items.size() == 2);
  CHECK(stats.items[0].size_bytes == 5);
  CHECK(stats.items[0].batches == 1);
  CHECK(stats.items[0].start == Offset(0));
  CHECK(stats.items[0].committed == Offset(3));
  CHECK(stats.items[1].error == ErrorCode::kNotFound);
  const auto cell = kit.ask<CellStatsDone>(key, CellStatsRequest{});
  CHECK_FALSE(cell.failed);
  CHECK(cell.partitions == 1);
  CHECK(cell.epoch == base::Epoch(1));
}

TEST_CASE("peeking_shows_what_is_ready_and_takes_nothing") {
  EngineKit kit;
  const auto queue = make(kit, "q", StreamKind::kQueue);
  kit.ask<AppendDone>(queue, kit.batch(queue, "hello", 5));
  kit.ask<AcquireDone>(queue, AcquireRequest{queue});
  const std::vector<std::pair<Offset, Offset>> three{{Offset(1), Offset(3)}};
  CHECK(kit.ask<PeekDone>(queue, PeekRequest{queue, 3}).ready == three);
  CHECK(kit.ask<PeekDone>(queue, PeekRequest{queue, 3}).ready == three);
  CHECK(kit.ask<PeekDone>(queue, PeekRequest{queue, 0}).ready.empty());
  CHECK(kit.ask<PeekDone>(queue, PeekRequest{queue, 100}).ready.back().second == Offset(4));
  CHECK(kit.ask<QueueStatsDone>(queue, QueueStatsRequest{queue}).ready == 4);
  CHECK(kit.ask<PeekDone>({}, PeekRequest{{}, 1}).result.error().code == ErrorCode::kNotFound);
}

TEST_CASE("a_repeated_numbered_append_gets_its_first_offset_and_a_gap_is_refused") {
  EngineKit kit;
  const auto key = make(kit, "s", StreamKind::kStream);
  auto first = kit.batch(key, "one");
  first.writer = storage::WriterStamp{7, 0, 0, 0};
  CHECK(kit.ask<AppendDone>(key, first).base_offset == Offset(0));
  CHECK(kit.ask<AppendDone>(key, first).base_offset == Offset(0));
  kit.crash();
  CHECK(kit.ask<AppendDone>(key, first).base_offset == Offset(0));
  first.writer = storage::WriterStamp{7, 0, 2, 2};
  CHECK(kit.ask<AppendDone>(key, first).base_offset.error().code == ErrorCode::kOutOfOrder);
}

TEST_CASE("a_watch_tells_once_that_there_is_something_new") {
  EngineKit kit;
  const auto key = make(kit, "s", StreamKind::kStream);
  const Token watch = kit.send(key, read_from(key, 0, true));
  kit.settle();
  CHECK(kit.session->all<Readable>(watch).empty());
  kit.ask<AppendDone>(key, kit.batch(key, "a"));
  kit.ask<AppendDone>(key, kit.batch(key, "b"));
  CHECK(kit.session->all<Readable>(watch).size() == 1);
}

TEST_CASE("queue_entries_are_delivered_settled_and_never_come_back_not_even_after_a_crash") {
  EngineKit kit;
  const auto key = make(kit, "q", StreamKind::kQueue);
  const Token consumer = kit.send(key, AttachRequest{.queue = key, .credit = 4});
  for (int i = 0; i < 3; ++i) kit.ask<AppendDone>(key, kit.batch(key, "abcd", 2));
  CHECK(offsets_of(kit.session->all<Deliveries>(consumer)) == std::vector<int64_t>{0, 1, 2, 3});
  kit.ask<SettleDone>(
      key,
      SettleRequest{.queue = key, .ranges = {{Offset(0), Offset(1)}, {Offset(3), Offset(3)}}, .consumer = consumer});
  kit.crash();
  const Token again = kit.send(key, AttachRequest{.queue = key});
  kit.settle();
  const auto deliveries = kit.session->all<Deliveries>(again);
  CHECK(offsets_of(deliveries) == std::vector<int64_t>{2, 4, 5});
  CHECK(deliveries.front().runs.front().redelivered);
}

TEST_CASE("a_message_in_pieces_reaches_a_waiting_consumer") {
  EngineKit kit;
  const auto key = make(kit, "q", StreamKind::kQueue);
  const Token consumer = kit.send(key, AttachRequest{.queue = key});
  kit.settle();
  const std::string text(700'000, 'L');
  CHECK(kit.ask<AppendDone>(key, kit.batch(key, text)).base_offset);
  const auto deliveries = kit.session->all<Deliveries>(consumer);
  REQUIRE(deliveries.size() == 1);
  CHECK(base::as_text(deliveries[0].runs[0].batch.view()) == text);
}

TEST_CASE("a_session_that_leaves_gives_back_even_what_was_on_its_way_to_it") {
  EngineKit kit(2);
  const auto key = make(kit, "q", StreamKind::kQueue);
  RecordingSession leaving;
  leaving.id = kit.brokers[1]->add_session(leaving);
  const auto cell = kit.brokers[0]->catalog().find("q")->partitions[0];
  kit.brokers[1]->submit(cell, {leaving.id, Token{5}}, AttachRequest{.queue = key});
  kit.settle();
  kit.ask<AppendDone>(key, kit.batch(key, "x"));
  const Token token = kit.send(key, kit.batch(key, "y"));
  kit.world.step();
  kit.brokers[1]->remove_session(leaving.id);
  kit.settle();
  CHECK(kit.session->all<AppendDone>(token).size() == 1);
  const auto stats = kit.ask<QueueStatsDone>(key, QueueStatsRequest{key});
  CHECK(stats.ready == 2);
  CHECK(stats.open == 0);
  CHECK(stats.consumers == 0);
}

TEST_CASE("a_very_fragmented_purge_fits_its_mutations") {
  EngineKit kit;
  const auto key = make(kit, "q", StreamKind::kQueue);
  constexpr int64_t kEntries = 40'000;
  for (int i = 0; i < 4; ++i) kit.ask<AppendDone>(key, kit.batch(key, std::string(kEntries / 4, 'x'), kEntries / 4));
  const Token consumer = kit.send(key, AttachRequest{.queue = key, .credit = kEntries, .window_bytes = 1 << 30});
  kit.settle();
  CHECK(offsets_of(kit.session->all<Deliveries>(consumer)).size() == kEntries);
  kit.brokers[0]->submit(base::CellId(0), {kit.session->id, consumer}, DetachRequest{key});
  SettleRequest request{.queue = key, .outcome = SettleRequest::Outcome::kReturn, .consumer = consumer};
  for (int64_t at = 0; at < kEntries; at += 2) request.ranges.emplace_back(Offset(at), Offset(at));
  kit.ask<SettleDone>(key, request);
  CHECK(kit.ask<PurgeDone>(key, PurgeRequest{key}).count == uint32_t{kEntries / 2});
  kit.crash();
  CHECK(kit.ask<QueueStatsDone>(key, QueueStatsRequest{key}).ready == kEntries / 2);
}

TEST_CASE("a_backlog_of_single_messages_is_handed_out_a_bounded_number_a_turn") {
  constexpr size_t kMessages = 5'000, kTurnMax = 1024;
  EngineKit kit;
  const auto key = make(kit, "q", StreamKind::kQueue);
  for (size_t i = 0; i < kMessages; ++i) kit.send(key, kit.batch(key, "x"));
  kit.settle();
  const Token consumer = kit.send(key, AttachRequest{.queue = key});
  uint64_t before = 0, most = 0;
  for (int i = 0; i < 100 && before < kMessages; ++i) {
    kit.world.step();
    CellEngine::QueueCounts counts;
    kit.brokers[0]->cell(base::CellId(0))->count_queues(0, counts);
    most = std::max(most, counts.open - std::exchange(before, counts.open));
  }
  kit.settle();
  CHECK(before == kMessages);
  CHECK(most == kTurnMax);
  CHECK(offsets_of(kit.session->all<Deliveries>(consumer)).size() == kMessages);
}

TEST_CASE("a_queue_with_a_long_backlog_does_not_keep_another_one_from_its_turn") {
  constexpr int kLong = 20'000, kTurnMax = 1024;
  EngineKit kit;
  const auto busy = make(kit, "busy", StreamKind::kQueue), other = make(kit, "other", StreamKind::kQueue);
  for (int i = 0; i < kLong; ++i) kit.send(busy, kit.batch(busy, "x"));
  kit.send(other, kit.batch(other, "y"));
  kit.settle();
  const Token first = kit.send(busy, AttachRequest{.queue = busy});
  const Token second = kit.send(other, AttachRequest{.queue = other});
  kit.settle();
  const auto& actions = kit.session->actions;  // in the order of the log
  const auto is_delivery_to = [&](Token token) {
    return [&, token](const Action& action) {
      return action.to.token == token && std::holds_alternative<Deliveries>(action.body);
    };
  };
  const auto others = std::ranges::find_if(actions, is_delivery_to(second));
  REQUIRE(others != actions.end());
  CHECK(std::ranges::count_if(actions.begin(), others, is_delivery_to(first)) <= 2 * kTurnMax);
  CHECK(std::ranges::count_if(actions, is_delivery_to(first)) == kLong);
}

// Settles whatever comes, each entry by itself and in an order that makes no ranges of them.
struct SettlingSession final : Session {
  SettlingSession(EngineKit& the_kit, const base::PartitionKey& the_queue) : kit(the_kit), queue(the_queue) {
    id = kit.brokers[0]->add_session(*this);
  }
  void submit(CellRequest request) { kit.brokers[0]->submit(base::CellId(0), {id, Token{1}}, std::move(request)); }
  void on_action(Action action) override {
    if (const auto* done = std::get_if<SettleDone>(&action.body)) refused = refused || !done->result;
    const auto* got = std::get_if<Deliveries>(&action.body);
    if (got == nullptr) return;
    for (const DeliveryRun& run : got->runs) {
      for (const uint32_t first : {0u, 1u}) {
        SettleRequest request{.queue = queue, .ranges = {}, .consumer = {1}};
        for (uint32_t i = first; i < run.count; i += 2) {
          const Offset at = run.first_offset + base::OffsetCount(i);
          request.ranges.emplace_back(at, at);
        }
        submit(std::move(request));
      }
      settled += run.count;
      submit(CreditRequest{queue, run.count});  // entries of one byte
    }
  }
  EngineKit& kit;
  const base::PartitionKey queue;
  SessionId id;
  uint64_t settled = 0;
  bool refused = false;
};

TEST_CASE("a_backlog_that_is_settled_faster_than_the_log_gets_files_does_not_use_up_its_last_one") {
  constexpr uint32_t kBatch = 10'000, kBatches = 100;
  EngineKit kit;
  const auto key = make(kit, "q", StreamKind::kQueue);
  for (uint32_t i = 0; i < kBatches; ++i) kit.ask<AppendDone>(key, kit.batch(key, std::string(kBatch, 'x'), kBatch));
  SettlingSession session(kit, key);
  session.submit(AttachRequest{.queue = key, .window_bytes = kBatch});
  for (int i = 0; i < 100 && session.settled < kBatch * kBatches; ++i) kit.settle();
  CHECK(session.settled == kBatch * kBatches);
  CHECK(!session.refused);
  CHECK(!kit.brokers[0]->cell(base::CellId(0))->failed());
}

TEST_CASE("appends_beyond_what_the_disk_takes_wait_in_order_and_none_is_refused_whichever_core_they_come_from") {
  constexpr size_t kBytes = 300'000, kIngressBytes = 4 * base::limits::kMiB;
  EngineKit kit(2, 1, kIngressBytes);
  const auto key = make(kit, "s", StreamKind::kStream);
  std::array<RecordingSession, 2> sessions;
  for (size_t core = 0; core < 2; ++core) sessions[core].id = kit.brokers[core]->add_session(sessions[core]);
  const base::CellId cell = kit.brokers[0]->catalog().find("s")->partitions[0];
  uint64_t submitted = 0, offset = 0;
  for (int round = 0; round < 20; ++round) {
    for (size_t core = 0; core < 2; ++core) {
      Broker& broker = *kit.brokers[core];
      for (; !broker.under_pressure(); ++submitted)  // as a session does
        broker.submit(cell, {sessions[core].id, Token{submitted}}, kit.batch(key, std::string(kBytes, 'x')));
      CHECK(broker.ingress().used_bytes() <= kIngressBytes + kBytes);
    }
    kit.settle();
    for (RecordingSession& session : sessions) {
      CHECK(session.pressure_changes > 0);
      for (const Action& action : session.actions) {
        REQUIRE(std::get<AppendDone>(action.body).base_offset);
        ++offset;
      }
      session.actions.clear();
    }
    CHECK(offset == submitted);
    for (const auto& broker : kit.brokers) CHECK(broker->ingress().used_bytes() == 0);
  }
}

TEST_CASE("a_batch_longer_than_the_ready_files_waits_for_more_and_what_comes_behind_it_keeps_its_place") {
  EngineKit kit;
  const auto key = make(kit, "s", StreamKind::kStream);
  const std::string text(20 * base::limits::kMiB, 'L');
  const Token large = kit.send(key, kit.batch(key, text)), small = kit.send(key, kit.batch(key, "small"));
  kit.world.run_for(std::chrono::seconds(10));
  REQUIRE(kit.session->all<AppendDone>(large).size() == 1);
  CHECK(kit.session->all<AppendDone>(large)[0].base_offset == Offset(0));
  REQUIRE(kit.session->all<AppendDone>(small).size() == 1);
  CHECK(kit.session->all<AppendDone>(small)[0].base_offset == Offset(1));
}

TEST_CASE("one_new_pattern_is_compared_with_all_names_in_a_turn_and_known_ones_do_not_wait") {
  EngineKit kit;
  REQUIRE(kit.create("s", 3).result);
  const auto join = [&](const std::string& group, const std::string& pattern) {
    ReconcileRequest request{.group = group, .member_id = "m", .rebalance_timeout_ms = 30'000, .pattern = pattern};
    request.owned.emplace();
    return kit.send({}, GroupRequest(std::move(request)));
  };
  const GroupTable& groups = kit.brokers[0]->cell(base::CellId(0))->groups();
  std::vector<Token> asked{join("a", "s.*"), join("b", "s|t"), join("c", "s.?"), join("d", "s|t"), join("e", "s.*")};
  CHECK(groups.size() == 2);
  CHECK(groups.find("a") != nullptr);
  CHECK(groups.find("e") != nullptr);
  kit.settle();
  CHECK(groups.size() == 5);
  for (const Token token : asked) {
    const auto replies = kit.session->all<GroupReply>(token);
    REQUIRE(replies.size() == 1);
    CHECK(std::get<ReconcileReply>(replies.front()).assignment->size() == 3);
  }
}

TEST_CASE("who_waits_for_its_pattern_is_not_overtaken_by_what_it_says_next") {
  EngineKit kit;
  REQUIRE(kit.create("s", 3).result);
  const auto report = [&](const std::string& group, int32_t epoch, std::optional<std::string> pattern) {
    ReconcileRequest request{.group = group, .member_id = "m", .epoch = epoch, .rebalance_timeout_ms = 30'000};
    request.pattern = std::move(pattern);
    request.owned.emplace();
    return kit.send({}, GroupRequest(std::move(request)));
  };
  const GroupTable& groups = kit.brokers[0]->cell(base::CellId(0))->groups();
  report("a", kJoinEpoch, "s.*");
  const Token joined = report("b", kJoinEpoch, "s|t");
  const Token left = report("b", kLeaveEpoch, {});
  report("c", kJoinEpoch, "s.*");
  CHECK(groups.find("b") == nullptr);
  CHECK(groups.find("c") != nullptr);  // of another group: does not wait
  kit.settle();
  for (const Token token : {joined, left}) {
    const auto replies = kit.session->all<GroupReply>(token);
    REQUIRE(replies.size() == 1);
    CHECK(std::get<ReconcileReply>(replies.front()).error == GroupError::kNone);
  }
  CHECK(groups.find("b")->managed_view().members.empty());
}

TEST_CASE("patterns_that_are_none_wait_for_nobody_and_nobody_waits_for_them") {
  EngineKit kit;
  REQUIRE(kit.create("s", 3).result);
  const auto join = [&](const std::string& group, const std::string& pattern) {
    ReconcileRequest request{.group = group, .member_id = "m", .rebalance_timeout_ms = 30'000, .pattern = pattern};
    request.streams = std::vector<std::string>{"s"};
    request.owned.emplace();
    return kit.send({}, GroupRequest(std::move(request)));
  };
  const GroupTable& groups = kit.brokers[0]->cell(base::CellId(0))->groups();
  const Token bad = join("a", "(");
  join("b", "");
  join("c", "s.*");
  CHECK(groups.find("c") != nullptr);
  join("d", "s|t");
  CHECK(groups.find("d") == nullptr);
  join("e", "");
  CHECK(groups.find("e") != nullptr);
  kit.settle();
  CHECK(groups.find("d") != nullptr);
  const auto refused = kit.session->all<GroupReply>(bad);
  REQUIRE(refused.size() == 1);
  CHECK(std::get<ReconcileReply>(refused.front()).error == GroupError::kBadPattern);
}

TEST_CASE("a_queue_is_not_trimmed_from_outside") {
  EngineKit kit;
  const auto key = make(kit, "q", StreamKind::kQueue);
  kit.ask<AppendDone>(key, kit.batch(key, "x"));
  CHECK(kit.ask<TrimDone>(key, TrimRequest{key, Offset(-1)}).log_start.error().code == ErrorCode::kInvalid);
  const auto stream = make(kit, "s", StreamKind::kStream);
  kit.ask<AppendDone>(stream, kit.batch(stream, "x", 4));
  CHECK(kit.ask<TrimDone>(stream, TrimRequest{stream, Offset(5)}).log_start.error().code == ErrorCode::kOutOfRange);
  CHECK(kit.ask<TrimDone>(stream, TrimRequest{stream, Offset(-1)}).log_start == Offset(4));
}

TEST_CASE("after_a_failed_sync_appends_are_refused_and_reads_go_on") {
  EngineKit kit;
  const auto key = make(kit, "q", StreamKind::kQueue);
  CHECK(kit.ask<AppendDone>(key, kit.batch(key, "x")).base_offset);
  kit.disk.faults.sync_error = 1;
  CHECK(kit.ask<AppendDone>(key, kit.batch(key, "y")).base_offset.error().code == ErrorCode::kIo);
  kit.disk.faults.sync_error = 0;
  const Token consumer = kit.send(key, AttachRequest{.queue = key});
  kit.settle();
  CHECK(kit.session->all<Deliveries>(consumer).empty());  // what cannot be logged is not handed out
  CHECK(kit.ask<AppendDone>(key, kit.batch(key, "z")).base_offset.error().code == ErrorCode::kIo);
  CHECK(kit.ask<ReadDone>(key, read_from(key, 0)).items[0].batches.size() == 1);
}

TEST_CASE("what_is_settled_while_or_after_the_cell_stops_is_answered_but_never_as_done") {
  EngineKit kit;
  const auto key = make(kit, "q", StreamKind::kQueue);
  kit.ask<AppendDone>(key, kit.batch(key, "abcd", 4));
  const Token consumer = kit.send(key, AttachRequest{.queue = key});
  kit.settle();
  REQUIRE(offsets_of(kit.session->all<Deliveries>(consumer)).size() == 4);
  const auto settle = [&](int64_t offset, SettleRequest::Outcome outcome = SettleRequest::Outcome::kDone) {
    return kit
        .ask<SettleDone>(
            key,
            SettleRequest{
                .queue = key, .outcome = outcome, .ranges = {{Offset(offset), Offset(offset)}}, .consumer = consumer})
        .result;
  };
  CHECK(settle(0));
  kit.disk.faults.sync_error = 1;
  CHECK(settle(1).error().code == ErrorCode::kIo);  // while it is written
  kit.disk.faults.sync_error = 0;
  CHECK(settle(2).error().code == ErrorCode::kIo);  // afterwards
}

TEST_CASE("a_cell_that_does_not_open_answers_and_the_others_go_on") {
  EngineKit kit(2);
  const auto done = kit.create("s", 2);
  std::vector<base::PartitionKey> keys{done.record->key(0), done.record->key(1)};
  for (const auto& key : keys) kit.ask<AppendDone>(key, kit.batch(key, "x"));
  for (const auto& key : keys) kit.ask<AppendDone>(key, kit.batch(key, "y"));
  kit.close();
  REQUIRE(kit.disk.flip_bit("/cell0/" + storage::WalFiles::name_of(1), 4096 + 130, 0));
  kit.open();
  CHECK(!kit.opened[0]);
  CHECK(kit.opened[1]);
  for (const auto& key : keys) {
    const bool closed = kit.brokers[0]->catalog().find("s")->partitions[key.index] == base::CellId(0);
    CHECK(kit.ask<AppendDone>(key, kit.batch(key, "z")).base_offset.has_value() == !closed);
    const auto read = kit.ask<ReadDone>(key, read_from(key, 0));
    CHECK(read.items[0].error.has_value() == closed);
    CHECK(kit.ask<TrimDone>(key, TrimRequest{key, Offset(1)}).log_start.has_value() == !closed);
    CHECK(kit.ask<AttachDone>(key, AttachRequest{.queue = key}).result.has_value() == false);
    CHECK(kit.ask<SettleDone>(key, SettleRequest{.queue = key, .ranges = {}, .consumer = {}}).result.has_value() ==
          !closed);
  }
  kit.brokers[0]->submit(base::CellId(0), {kit.session->id, Token{1000}}, GroupRequest{HeartbeatRequest{}});
  kit.settle();
}

TEST_CASE("confirmed_entries_survive_and_settled_ones_stay_gone_over_random_runs_and_crashes") {
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    EngineKit kit(1, seed);
    const auto key = make(kit, "q", StreamKind::kQueue);
    std::set<int64_t> confirmed, settled_asked, settled_confirmed;
    for (int round = 0; round < 3; ++round) {
      const Token consumer = kit.send(key, AttachRequest{.queue = key, .credit = 20});
      std::vector<std::pair<Token, std::vector<int64_t>>> settles;
      std::vector<Token> appends;
      size_t seen = 0;
      for (int step = 0; step < 60; ++step) {
        if (kit.world.random().chance(0.6)) {
          appends.push_back(kit.send(key, kit.batch(key, std::string(1 + kit.world.random().below(9000), 'm'), 3)));
        } else {
          const auto got = offsets_of(kit.session->all<Deliveries>(consumer));
          SettleRequest request{.queue = key, .consumer = consumer};
          std::vector<int64_t> mine;
          for (; seen < got.size(); ++seen) {
            REQUIRE(!settled_confirmed.contains(got[seen]));
            request.ranges.emplace_back(Offset(got[seen]), Offset(got[seen]));
            mine.push_back(got[seen]);
            settled_asked.insert(got[seen]);
          }
          if (!mine.empty()) settles.emplace_back(kit.send(key, request), mine);
        }
        if (step == 30) kit.brokers[0]->cell(base::CellId(0))->cell().checkpoint([](base::Result<>) {});
        kit.world.run_for(std::chrono::microseconds(kit.world.random().below(1500)));
      }
      for (const Token token : appends)
        for (const auto& done : kit.session->all<AppendDone>(token))
          for (int i = 0; i < 3; ++i) confirmed.insert(done.base_offset.value().value + i);
      for (const auto& [token, offsets] : settles)
        if (!kit.session->all<SettleDone>(token).empty()) settled_confirmed.insert(offsets.begin(), offsets.end());
      kit.crash();
    }
    const Token last = kit.send(key, AttachRequest{.queue = key, .window_bytes = 1 << 30});
    kit.settle();
    const auto rest = offsets_of(kit.session->all<Deliveries>(last));
    const std::set<int64_t> left(rest.begin(), rest.end());
    CHECK(left.size() == rest.size());
    for (int64_t offset : left) CHECK(!settled_confirmed.contains(offset));
    for (int64_t offset : confirmed) CHECK((left.contains(offset) || settled_asked.contains(offset)));
  }
}

}  // namespace
}  // namespace polylog::broker
