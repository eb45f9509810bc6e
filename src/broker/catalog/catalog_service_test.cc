#include "broker/catalog/catalog_service.h"

#include "base/limits.h"
#include "broker/engine_test_kit.h"

namespace polylog::broker {
namespace {

using base::ErrorCode;

// Until even what was set aside for deletes is used up.
void fill_up(EngineKit& kit) {
  kit.disk.fill_after(0);
  base::Result<> put;
  for (int i = 0; i < 50 && put; ++i) {
    kit.store->commit({.puts = {{"fill", std::string(300'000, 'f')}}, .removes = {}},
                      [&](const base::Result<>& result) { put = result; });
    kit.settle();
  }
}

// Too large for what is left then.
CreateStream large(const std::string& name) {
  return {.wanted = {.name = name, .attributes = {{"k", std::string(400'000, 'x')}}}};
}

TEST_CASE("a_created_stream_is_found_on_every_core_and_after_a_restart") {
  EngineKit kit(3);
  const auto done = kit.create("orders", 5);
  REQUIRE(done.result);
  for (auto& broker : kit.brokers) CHECK(broker->catalog().find("orders")->id == done.record->id);
  kit.crash();
  for (auto& broker : kit.brokers) CHECK(broker->catalog().find("orders")->partitions.size() == 5);
  const auto again = kit.create("orders");
  CHECK(again.result.error().code == ErrorCode::kExists);
  CHECK(again.record->id == done.record->id);
}

TEST_CASE("names_and_partition_counts_have_limits") {
  EngineKit kit;
  CHECK(kit.create(std::string(base::limits::kNameBytesMax, 'n')).result);
  CHECK(kit.create(std::string(base::limits::kNameBytesMax + 1, 'n')).result.error().code == ErrorCode::kInvalid);
  CHECK(kit.create("").result.error().code == ErrorCode::kInvalid);
  CHECK(kit.create("p0", 0).result.error().code == ErrorCode::kInvalid);
  CHECK(kit.create("p", base::limits::kPartitionsPerStreamMax + 1).result.error().code == ErrorCode::kInvalid);
  CHECK(kit.create("q", base::limits::kPartitionsPerStreamMax).result);
}

TEST_CASE("there_are_no_more_partitions_than_the_limit") {
  EngineKit kit;
  const auto before = kit.create("from before", 6);
  kit.partitions_max = 5;
  kit.crash();
  const auto refused = [](const CatalogDone& done) {
    return !done.result && done.result.error().code == ErrorCode::kLimit;
  };
  CHECK(kit.brokers[0]->catalog().find("from before")->partitions.size() == 6);
  CHECK(refused(kit.create("one")));
  CHECK(kit.change(DeleteStream{before.record->id}).result);
  CHECK(refused(kit.create("six", 6)));
  const auto three = kit.create("three", 3);
  CHECK(refused(kit.change(AddPartitions{three.record->id, 6})));
  CHECK(
      refused(kit.change(CreateStream{.wanted = {.name = "three more"}, .partition_count = 3, .validate_only = true})));
  CHECK(kit.create("q", 1, StreamKind::kQueue).result);
  CHECK(kit.change(AddPartitions{three.record->id, 4}).result);
  CHECK(refused(kit.create("one")));
  kit.crash();
  CHECK(refused(kit.create("one")));
  CHECK(kit.change(DeleteStream{three.record->id}).result);
  CHECK(refused(kit.create("five", 5)));
  CHECK(kit.create("four", 4).result);
}

TEST_CASE("the_limit_counts_what_is_under_way_and_not_what_failed") {
  EngineKit kit;
  kit.partitions_max = 1000;
  kit.crash();
  const Token first = kit.send_catalog(CreateStream{.wanted = {.name = "a"}, .partition_count = 1000});
  const Token second = kit.send_catalog(CreateStream{.wanted = {.name = "b"}});
  kit.settle();
  const auto a = kit.session->all<CatalogDone>(first).at(0);
  CHECK(a.result);
  CHECK(kit.session->all<CatalogDone>(second).at(0).result.error().code == ErrorCode::kLimit);
  CHECK(kit.change(DeleteStream{a.record->id}).result);
  fill_up(kit);
  CHECK(kit.change(large("x")).result.error().code == ErrorCode::kDiskFull);
  kit.disk.faults.capacity_bytes = UINT64_MAX;
  CHECK(kit.create("c", 1000).result);
}

TEST_CASE("what_a_stream_is_told_of_itself_counts_as_well") {
  EngineKit kit;
  kit.partitions_max = 10;
  kit.crash();
  const auto with = [](size_t bytes) { return std::map<std::string, std::string>{{"k", std::string(bytes, 'v')}}; };
  const auto small = kit.create("small");
  CHECK(kit.change(CreateStream{.wanted = {.name = "large", .attributes = with(64'000)}}).result.error().code ==
        ErrorCode::kLimit);
  CHECK(kit.change(AlterStream{small.record->id, 1, with(64'000)}).result.error().code == ErrorCode::kLimit);
  CHECK(kit.change(AlterStream{small.record->id, 1, with(1'000)}).result);
  CHECK(kit.create("nine", 9).result);
}

TEST_CASE("validate_only_changes_nothing") {
  EngineKit kit;
  CHECK(kit.change(CreateStream{.wanted = {.name = "x"}, .validate_only = true}).result);
  CHECK(kit.brokers[0]->catalog().find("x") == nullptr);
  const auto done = kit.create("x");
  CHECK(kit.change(AddPartitions{done.record->id, 4, true}).result);
  CHECK(kit.brokers[0]->catalog().find("x")->partitions.size() == 1);
}

TEST_CASE("deleting_leaves_a_tombstone_until_every_cell_has_dropped_its_part") {
  EngineKit kit(3);
  const auto done = kit.create("gone", 6);
  const auto key = done.record->key(0);
  CHECK(kit.ask<AppendDone>(key, kit.batch(key, "x")).base_offset);
  CHECK(kit.change(DeleteStream{done.record->id}).result);
  for (auto& broker : kit.brokers) CHECK(broker->catalog().find("gone") == nullptr);
  CHECK(kit.store->range("tomb/").empty());
  CHECK(kit.change(DeleteStream{done.record->id}).result.error().code == ErrorCode::kNotFound);
  kit.crash();
  for (size_t i = 0; i < 3; ++i)
    kit.brokers[i]->cell(base::CellId(static_cast<uint16_t>(i)))->cell().for_each_partition([](storage::Partition&) {
      FAIL("a part is left");
    });
}

TEST_CASE("a_delete_cut_off_by_a_crash_anywhere_is_whole_or_not_at_all_in_the_end") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    EngineKit kit(2, seed);
    const auto done = kit.create("gone", 4);
    kit.send_catalog(DeleteStream{done.record->id});
    kit.world.run_for(std::chrono::microseconds(kit.world.random().below(4000)));
    kit.crash();
    kit.settle();
    const bool there = kit.brokers[1]->catalog().find("gone") != nullptr;
    CHECK(kit.store->range("tomb/").empty());
    size_t parts = 0;
    for (uint16_t i = 0; i < 2; ++i)
      kit.brokers[i]->cell(base::CellId(i))->cell().for_each_partition([&](storage::Partition&) { ++parts; });
    CHECK(parts == (there ? 4 : 0));
  }
}

TEST_CASE("settings_reach_every_core_and_outlive_a_crash") {
  EngineKit kit(3);
  CHECK(kit.brokers[1]->catalog().settings().values.empty());
  CHECK(kit.change(SetSettings{.expected_version = 0, .values = {{"p.a", "1"}, {"p.b", ""}}}).result);
  const auto check = [&] {
    for (auto& broker : kit.brokers) {
      CHECK(broker->catalog().settings().version == 1);
      CHECK(broker->catalog().settings().values.at("p.a") == "1");
    }
  };
  check();
  kit.crash();
  check();
  CHECK(kit.change(SetSettings{.expected_version = 1, .values = {}}).result);
  kit.crash();
  CHECK(kit.brokers[2]->catalog().settings().values.empty());
  CHECK(kit.brokers[2]->catalog().settings().version == 2);
}

TEST_CASE("settings_that_changed_meanwhile_are_not_overwritten") {
  EngineKit kit;
  const Token first = kit.send_catalog(SetSettings{.values = {{"a", "1"}}});
  const Token second = kit.send_catalog(SetSettings{.values = {{"a", "2"}}});
  kit.settle();
  CHECK(kit.session->all<CatalogDone>(first)[0].result);
  CHECK(kit.session->all<CatalogDone>(second)[0].result.error().code == ErrorCode::kConflict);
  CHECK(kit.brokers[0]->catalog().settings().values.at("a") == "1");
}

TEST_CASE("settings_of_groups_act_at_once_and_fall_back_to_what_the_broker_was_started_with") {
  const GroupConfig defaults{.session_timeout_ms_min = 7};
  const GroupConfig set =
      with_settings(defaults, {{"groups.members_max", "3"}, {"groups.session_timeout_ms_max", "x"}});
  CHECK(set.members_max == 3);
  CHECK(set.session_timeout_ms_min == 7);
  CHECK(set.session_timeout_ms_max == defaults.session_timeout_ms_max);
  EngineKit kit;
  const auto join = [&](const std::string& group) {
    const Token token{kit.next_token++};
    kit.brokers[0]->submit(base::CellId(0), {kit.session->id, token},
                           GroupRequest{JoinRequest{.group = group,
                                                    .client_id = "c",
                                                    .session_timeout_ms = 100,
                                                    .rebalance_timeout_ms = 100,
                                                    .protocol_type = "t",
                                                    .protocols = {{"p", "m"}}}});
    kit.world.run_for(std::chrono::seconds(5));
    return std::get<JoinReply>(kit.session->all<GroupReply>(token).at(0)).error;
  };
  CHECK(join("g") == GroupError::kInvalidSessionTimeout);
  CHECK(kit.change(SetSettings{.values = {{"groups.session_timeout_ms_min", "50"}}}).result);
  CHECK(join("g") != GroupError::kInvalidSessionTimeout);
  kit.crash();
  CHECK(join("g") != GroupError::kInvalidSessionTimeout);
  CHECK(kit.change(SetSettings{.expected_version = 1, .values = {}}).result);
  CHECK(join("g") == GroupError::kInvalidSessionTimeout);
}

TEST_CASE("of_conflicting_changes_one_wins") {
  EngineKit kit;
  const Token first = kit.send_catalog(CreateStream{.wanted = {.name = "x"}});
  const Token second = kit.send_catalog(CreateStream{.wanted = {.name = "x"}});
  kit.settle();
  const auto winner = kit.session->all<CatalogDone>(first)[0], loser = kit.session->all<CatalogDone>(second)[0];
  CHECK(winner.result);
  CHECK(loser.result.error().code == ErrorCode::kExists);
  CHECK(loser.record->id == winner.record->id);
  const base::Uuid id = winner.record->id;
  const Token a = kit.send_catalog(AlterStream{id, 1, {{"k", "a"}}}),
              b = kit.send_catalog(AlterStream{id, 1, {{"k", "b"}}});
  kit.settle();
  CHECK(kit.session->all<CatalogDone>(a)[0].result);
  CHECK(kit.session->all<CatalogDone>(b)[0].result.error().code == ErrorCode::kConflict);
  CHECK(kit.brokers[0]->catalog().find("x")->attributes.at("k") == "a");
  CHECK(kit.change(AddPartitions{id, 1}).result.error().code == ErrorCode::kInvalid);
  CHECK(kit.change(AddPartitions{id, 3}).result);
  CHECK(kit.brokers[0]->catalog().find("x")->version == 3);
}

TEST_CASE("a_change_the_meta_store_refuses_leaves_no_trace_and_nothing_is_built_on_it") {
  EngineKit kit(2);
  const auto kept = kit.create("kept");
  kit.settle();
  fill_up(kit);
  const Token created = kit.send_catalog(large("x"));
  const Token again = kit.send_catalog(large("x"));
  const Token altered = kit.send_catalog(AlterStream{kept.record->id, 1, {{"k", std::string(400'000, 'x')}}});
  kit.settle();
  for (const Token token : {created, again, altered}) {
    const auto done = kit.session->all<CatalogDone>(token);
    REQUIRE(done.size() == 1);
    CHECK(done[0].result.error().code == ErrorCode::kDiskFull);
  }
  for (auto& broker : kit.brokers) {
    CHECK(broker->catalog().find("x") == nullptr);
    CHECK(broker->catalog().find("kept") != nullptr);
  }
  kit.disk.faults.capacity_bytes = UINT64_MAX;
  CHECK(kit.create("x").result);
  CHECK(kit.change(DeleteStream{kept.record->id}).result);
}

TEST_CASE("transient_streams_do_not_survive") {
  EngineKit kit;
  CHECK(kit.change(CreateStream{.wanted = {.name = "t", .durable = false}}).result);
  CHECK(kit.brokers[0]->catalog().find("t") != nullptr);
  CHECK(kit.store->range("stream/").empty());
  kit.crash();
  CHECK(kit.brokers[0]->catalog().find("t") == nullptr);
}

TEST_CASE("writer_ids_never_come_twice_not_even_over_crashes") {
  EngineKit kit;
  std::set<int64_t> seen;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 1100; ++i) kit.brokers[0]->request_writer_id({kit.session->id, Token{9}});
    kit.settle();
    for (const auto& done : kit.session->all<WriterIdDone>(Token{9})) CHECK(seen.insert(done.id.value()).second);
    kit.crash();
  }
  CHECK(seen.size() == 3300);
}

}  // namespace
}  // namespace polylog::broker
