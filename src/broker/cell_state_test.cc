// What a cell does when streams come and go.
#include "broker/engine_test_kit.h"

namespace polylog::broker {
namespace {

constexpr uint32_t kPartitions = 2 * kDropsPerTurn + 1;

struct WideKit : EngineKit {
  WideKit() {
    created = create("wide", kPartitions);
    for (const uint32_t i : {0u, kPartitions - 1}) ask<AppendDone>(key(i), batch(key(i), "x"));
  }
  base::PartitionKey key(uint32_t index) const { return created.record->key(index); }
  size_t left() {
    storage::Cell& cell = brokers[0]->cell(base::CellId(0))->cell();
    size_t count = 0;
    for (uint32_t i = 0; i < kPartitions; ++i) count += cell.find(key(i)) != nullptr;
    return count;
  }
  // A turn at a time, until it is less.
  size_t drop_on() {
    const size_t before = left();
    while (left() == before) world.step();
    return left();
  }
  CatalogDone created;
};

TEST_CASE("of_a_stream_with_many_partitions_a_share_is_dropped_in_a_turn") {
  WideKit kit;
  CHECK(kit.left() == kPartitions);
  kit.send_catalog(DeleteStream{kit.created.record->id});
  CHECK(kit.drop_on() == kDropsPerTurn + 1);
  CHECK(kit.drop_on() == 1);
  CHECK(kit.drop_on() == 0);
}

TEST_CASE("what_a_crash_leaves_of_a_deleted_stream_goes_at_the_next_start") {
  WideKit kit;
  kit.send_catalog(DeleteStream{kit.created.record->id});
  REQUIRE(kit.drop_on() > 0);
  for (int start = 0; start < 2; ++start) {
    kit.crash();
    REQUIRE(kit.opened.front());
    CHECK(kit.left() == 0);
  }
}

TEST_CASE("a_stream_of_the_same_name_is_another_while_the_old_one_is_dropped") {
  WideKit kit;
  kit.send_catalog(DeleteStream{kit.created.record->id});
  REQUIRE(kit.drop_on() > 0);
  const auto other = kit.create("wide").record->key();
  CHECK(other.stream != kit.created.record->id);
  CHECK(kit.ask<AppendDone>(other, kit.batch(other, "y")).base_offset == base::Offset(0));
  CHECK(kit.left() == 0);
}

TEST_CASE("of_a_new_stream_with_many_partitions_a_share_is_made_in_a_turn_and_nobody_finds_it_before") {
  EngineKit kit;
  const Catalog& catalog = kit.brokers[0]->catalog();
  const auto made = [&] {
    size_t count = 0;
    kit.brokers[0]->cell(base::CellId(0))->cell().for_each_partition([&](storage::Partition&) { ++count; });
    return count;
  };
  const auto make_on = [&] {
    const size_t before = made();
    for (int events = 0; made() == before && events < 10'000; ++events) kit.world.step();
    return made();
  };
  kit.send_catalog(CreateStream{.wanted = {.name = "wide"}, .partition_count = 2 * kMadePerTurn + 1});
  kit.send_catalog(CreateStream{.wanted = {.name = "behind it"}});
  CHECK(make_on() == kMadePerTurn);
  CHECK(make_on() == 2 * kMadePerTurn);
  CHECK(catalog.size() == 0);
  CHECK(make_on() > 2 * kMadePerTurn);
  kit.settle();
  CHECK(made() == 2 * kMadePerTurn + 2);
  CHECK(catalog.size() == 2);
}

TEST_CASE("an_exclusive_stream_whose_owner_left_before_it_was_made_is_deleted") {
  EngineKit kit(2);
  kit.send_catalog(CreateStream{.wanted = {.name = "mine", .durable = false, .exclusive_owner = kit.session->id}});
  kit.send_catalog(CreateStream{.wanted = {.name = "everybody's"}});
  kit.brokers[0]->remove_session(kit.session->id);
  kit.settle();
  CHECK(kit.brokers[1]->catalog().find("mine") == nullptr);
  CHECK(kit.brokers[1]->catalog().find("everybody's") != nullptr);
}

TEST_CASE("what_one_core_shows_is_made_on_all") {
  EngineKit kit(2);
  kit.send_catalog(CreateStream{.wanted = {.name = "wide"}, .partition_count = 4 * kMadePerTurn});
  const auto found = [&](uint16_t core) { return kit.brokers[core]->catalog().find("wide"); };
  for (int events = 0; found(0) == nullptr && found(1) == nullptr && events < 10'000; ++events) kit.world.step();
  const auto record = found(0) != nullptr ? found(0) : found(1);
  REQUIRE(record);
  size_t missing = 0;
  for (uint32_t i = 0; i < record->partitions.size(); ++i) {
    const base::CellId cell = record->partitions[i];
    missing += kit.brokers[cell.value]->cell(cell)->cell().find(record->key(i)) == nullptr;
  }
  CHECK(missing == 0);
}

TEST_CASE("a_stream_that_is_deleted_while_it_is_made_leaves_nothing") {
  EngineKit kit(2);
  const Token created = kit.send_catalog(CreateStream{.wanted = {.name = "wide"}, .partition_count = 8 * kMadePerTurn});
  const auto parts = [&] {
    size_t count = 0;
    for (uint16_t i = 0; i < 2; ++i)
      kit.brokers[i]->cell(base::CellId(i))->cell().for_each_partition([&](storage::Partition&) { ++count; });
    return count;
  };
  for (int events = 0; parts() == 0 && events < 10'000; ++events) kit.world.step();
  const auto stored = kit.store->range("stream/");
  REQUIRE(stored.size() == 1);
  const auto record = decode_record(base::as_view(stored.begin()->second));
  REQUIRE(record);
  const Token removed = kit.send_catalog(DeleteStream{record->id});
  kit.settle();
  CHECK(kit.session->all<CatalogDone>(created).at(0).result);
  CHECK(kit.session->all<CatalogDone>(removed).at(0).result);
  CHECK(parts() == 0);
  CHECK(kit.store->range("tomb/").empty());
}

}  // namespace
}  // namespace polylog::broker
