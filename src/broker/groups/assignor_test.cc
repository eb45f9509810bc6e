#include "broker/groups/assignor.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>

namespace polylog::broker {
namespace {

using base::PartitionKey;
using base::Uuid;
using Lists = std::vector<std::vector<PartitionKey>>;

Uuid stream(uint8_t n) {
  Uuid id;
  id.bytes[15] = n;
  return id;
}

// Members that remember what they were given.
struct Club {
  explicit Club(Assignor assignor) : assignor(assignor) {}

  void join(const std::string& id, std::vector<Uuid> streams, const std::string& instance = {}) {
    members[id] = {std::move(streams), instance, {}};
  }
  Lists divide() {
    std::vector<AssignorMember> input;
    for (const auto& [id, member] : members) input.push_back({id, member.instance, &member.streams, &member.has});
    Lists given = assign(assignor, input, sizes);
    size_t i = 0;
    for (auto& [id, member] : members) member.has = given[i++];
    return given;
  }
  const std::vector<PartitionKey>& of(const std::string& id) const { return members.at(id).has; }

  struct Member {
    std::vector<Uuid> streams;
    std::string instance;
    std::vector<PartitionKey> has;
  };
  Assignor assignor;
  std::map<std::string, Member> members;
  StreamSizes sizes;
};

std::vector<uint32_t> indexes(const std::vector<PartitionKey>& keys) {
  std::vector<uint32_t> out;
  for (const PartitionKey& key : keys) out.push_back(key.index);
  return out;
}

// Every partition that somebody wants has one owner, who wants it; lists are sorted.
void check_division(const Club& club) {
  std::set<PartitionKey> given;
  std::set<Uuid> wanted;
  for (const auto& [id, member] : club.members) {
    CHECK(std::ranges::is_sorted(member.has));
    for (const PartitionKey& key : member.has) {
      CHECK(given.insert(key).second);
      CHECK(std::ranges::binary_search(member.streams, key.stream));
    }
    wanted.insert(member.streams.begin(), member.streams.end());
  }
  size_t partitions = 0;
  for (const auto& [id, size] : club.sizes) partitions += wanted.contains(id) ? size : 0;
  CHECK(given.size() == partitions);
}

size_t moved(const Club& before, const Club& after) {
  size_t count = 0;
  for (const auto& [id, member] : before.members) {
    for (const PartitionKey& key : member.has) {
      count += after.members.contains(id) && !std::ranges::binary_search(after.of(id), key);
    }
  }
  return count;
}

TEST_CASE("assignors have names that find them again") {
  CHECK(assignor_named(name_of(Assignor::kUniform)) == Assignor::kUniform);
  CHECK(assignor_named("range") == Assignor::kRange);
  CHECK_FALSE(assignor_named("sticky"));
}

TEST_CASE("range gives neighbours, to instances first") {
  Club club(Assignor::kRange);
  club.sizes = {{stream(1), 7}, {stream(2), 1}};
  club.join("a", {stream(1), stream(2)});
  club.join("b", {stream(1)});
  club.join("c", {stream(1), stream(3)}, "first");
  club.divide();
  check_division(club);
  CHECK(indexes(club.of("c")) == std::vector<uint32_t>{0, 1, 2});
  CHECK(indexes(club.of("a")) == std::vector<uint32_t>{3, 4, 0});
  CHECK(indexes(club.of("b")) == std::vector<uint32_t>{5, 6});
}

TEST_CASE("uniform is balanced, and moves no more than balance needs") {
  Club club(Assignor::kUniform);
  const std::vector<Uuid> both{stream(1), stream(2)};
  club.sizes = {{stream(1), 7}, {stream(2), 5}};
  club.join("a", both);
  club.divide();
  CHECK(club.of("a").size() == 12);
  Club before = club;
  club.join("b", both);
  club.divide();
  check_division(club);
  CHECK(club.of("b").size() == 6);
  CHECK(moved(before, club) == 6);
  before = club;
  club.join("c", both);
  club.divide();
  CHECK(moved(before, club) == 4);
  before = club;
  club.members.erase("b");
  club.divide();
  CHECK(moved(before, club) == 0);
  CHECK(club.of("a").size() == 6);
}

TEST_CASE("uniform: more members than partitions, streams that are not there, nobody") {
  Club club(Assignor::kUniform);
  CHECK(club.divide().empty());
  club.sizes = {{stream(1), 2}};
  for (const char* id : {"a", "b", "c"}) club.join(id, {stream(1), stream(9)});
  club.divide();
  check_division(club);
  CHECK(club.of("c").empty());
}

// Whoever has two more than another subscriber of one of his partitions' streams would have given that one away.
void check_balance(const Club& club) {
  for (const auto& [id, member] : club.members) {
    for (const PartitionKey& key : member.has) {
      for (const auto& [other_id, other] : club.members) {
        if (!std::ranges::binary_search(other.streams, key.stream)) continue;
        CHECK(member.has.size() < other.has.size() + 2);
      }
    }
  }
}

TEST_CASE("assignors keep their promises whoever comes, goes and wants what") {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t n) { return static_cast<uint32_t>(random() % n); };
    const Assignor assignor = seed % 3 == 0 ? Assignor::kRange : Assignor::kUniform;
    const bool alike = seed % 2 == 0;  // all subscribe to the same
    CAPTURE(seed);
    Club club(assignor);
    const std::vector<Uuid> all{stream(1), stream(2), stream(3), stream(4)};
    for (const Uuid& id : all) club.sizes[id] = below(9);
    for (int step = 0; step < 30; ++step) {
      std::vector<Uuid> wanted;
      for (const Uuid& id : all) {
        if (alike || below(2) == 0) wanted.push_back(id);
      }
      const std::string id(1, static_cast<char>('a' + below(6)));
      switch (below(4)) {
        case 0: club.members.erase(id); break;
        case 1: club.sizes[all[below(4)]] = below(12); break;
        default:
          if (!club.members.contains(id)) club.join(id, wanted);
      }
      const Lists given = club.divide();
      check_division(club);
      if (assignor == Assignor::kUniform) check_balance(club);
      CHECK(club.divide() == given);  // nothing changed: nothing moves
    }
  }
}

}  // namespace
}  // namespace polylog::broker
