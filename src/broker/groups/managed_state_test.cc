// The bytes of managed groups: every mutation comes back as it went, damage is refused, older snapshots are read.
#include "broker/groups/managed_state.h"

#include <doctest/doctest.h>

#include "base/limits.h"
#include "broker/groups/mutations.h"

namespace polylog::broker {
namespace {

base::Uuid stream(uint8_t n) {
  base::Uuid id;
  id.bytes[0] = n;
  return id;
}

PartitionList some_partitions() { return {{stream(1), 0}, {stream(1), 1}, {stream(1), 7}, {stream(2), 300}}; }

ManagedRecord record() {
  return {.id = "m",
          .instance_id = "i",
          .rack = "r",
          .client_id = "c",
          .client_host = "h",
          .rebalance_timeout_ms = 7,
          .streams = std::vector<std::string>{"a", "b"},
          .pattern = "p.*",
          .assignor = Assignor::kRange,
          .guest = ManagedGuest{6, "type", {{"range", "x"}, {"sticky", ""}}}};
}

std::vector<GroupMutation> one_of_each() {
  return {ManagedBegun{"g", 3},
          ManagedEnded{"g", 4, {5}},
          ManagedMemberPut{"g", 6, record()},
          ManagedMemberReplaced{"g", "old", ManagedRecord{.id = "n"}},
          ManagedMemberGone{"g", 7, {8}, "m"},
          ManagedTargets{"g", 9, {{"m", some_partitions()}, {"n", {}}}, {}},
          ManagedTargets{"g", 9, {}, ManagedTargetsEnd{Assignor::kRange, {{stream(1), 8}}}},
          ManagedHolding{"g", "m", {kAwayEpoch, 2, some_partitions(), {{stream(3), 99'999}}, false}}};
}

TEST_CASE("managed mutations come back as they went, and cut ones are refused") {
  for (const GroupMutation& mutation : one_of_each()) {
    const std::vector<uint8_t> bytes = encode(mutation);
    CAPTURE(static_cast<int>(bytes[0]));
    const auto again = decode_group_mutation(bytes);
    REQUIRE(again);
    CHECK(again->index() == mutation.index());
    CHECK(encode(*again) == bytes);
    for (size_t size = 0; size < bytes.size(); ++size) {
      CHECK_FALSE(decode_group_mutation(base::View(bytes).first(size)).has_value());
    }
    std::vector<uint8_t> newer = bytes;
    newer[1] = kGroupMutationVersion + 1;
    CHECK_FALSE(decode_group_mutation(newer).has_value());
  }
}

TEST_CASE("a managed mutation's bytes are those of docs/formats") {
  std::vector<uint8_t> expected{12, 1, 0, 0, 0, 0, 1, 'g', 1, 'm', 5, 0, 0, 0, 4, 0, 0, 0};
  const auto id = [&](uint8_t n) {
    expected.push_back(n);
    expected.insert(expected.end(), 15, 0);
  };
  expected.push_back(2);  // streams assigned
  id(1);
  for (const uint8_t b : {2, 0, 2, 5, 1}) expected.push_back(b);  // two runs: 0..1, 7
  id(2);
  for (const uint8_t b : {1, 0xAC, 2, 1}) expected.push_back(b);  // 300
  expected.push_back(0);                                          // nothing to give up
  expected.push_back(1);                                          // known
  expected[2] = static_cast<uint8_t>(expected.size() - 6);
  CHECK(encode(ManagedHolding{"g", "m", {5, 4, some_partitions(), {}}}) == expected);
}

TEST_CASE("few bytes do not make a long list of partitions") {
  const auto holding = [](uint32_t first, uint32_t last) {
    PartitionList list;
    for (uint32_t i = first; i <= last; ++i) list.push_back({stream(1), i});
    return encode(ManagedHolding{"g", "m", {1, 0, std::move(list), {}}});
  };
  constexpr uint32_t kMax = base::limits::kPartitionsPerStreamMax;
  CHECK(decode_group_mutation(holding(0, kMax - 1)).has_value());
  CHECK_FALSE(decode_group_mutation(holding(kMax, kMax)).has_value());
}

GroupState state() {
  GroupState state;
  state.name = "g";
  state.apply(ManagedBegun{"g", 3});
  state.apply(ManagedMemberPut{"g", 4, record()});
  state.apply(
      ManagedTargets{"g", 4, {{"m", some_partitions()}}, ManagedTargetsEnd{Assignor::kUniform, {{stream(1), 8}}}});
  state.apply(ManagedHolding{"g", "m", {4, 0, some_partitions(), {}}});
  return state;
}

TEST_CASE("a snapshot of a managed group comes back, and a cut one is refused") {
  const auto bytes = encode_snapshot(state());
  const auto again = decode_snapshot(bytes);
  REQUIRE(again);
  CHECK(again->managed == state().managed);
  for (size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(decode_snapshot(base::View(bytes).first(size)).has_value());
  }
}

TEST_CASE("snapshots of version 1 are read, unknown versions are not") {
  GroupState old;
  old.name = "g";
  old.generation_started = 5;
  old.cursors.put({"s", 1}, {.offset = 7});
  std::vector<uint8_t> bytes = encode_snapshot(old);
  CHECK(bytes.back() == 0);  // not managed: version 1 ends before that
  bytes.pop_back();
  bytes[0] = 1;
  const auto read = decode_snapshot(bytes);
  REQUIRE(read);
  CHECK(read->cursors.all().at({"s", 1}).offset == 7);
  CHECK_FALSE(read->managed);
  for (const uint8_t version : {0, kGroupSnapshotVersion + 1}) {
    bytes[0] = version;
    CHECK_FALSE(decode_snapshot(bytes).has_value());
  }
}

TEST_CASE("who replaces a member has all of it, and the last to go ends the division") {
  GroupState group = state();
  group.apply(ManagedMemberReplaced{"g", "m", ManagedRecord{.id = "n"}});
  CHECK(group.managed->members.size() == 1);
  const ManagedMember& member = group.managed->members.at("n");
  CHECK(member.holding.epoch == kJoinEpoch);
  CHECK(member.holding.assigned == some_partitions());
  CHECK(member.target == some_partitions());
  group.apply(ManagedMemberGone{"g", 5, {77}, "n"});
  CHECK(group.managed->target_epoch == 5);
  CHECK(group.managed->sizes.empty());
  CHECK(group.managed->changed.ms == 77);
  group.apply(ManagedEnded{"g", 5, {77}});
  CHECK(group.generation_started == 5);
  CHECK_FALSE(group.managed);
}

}  // namespace
}  // namespace polylog::broker
