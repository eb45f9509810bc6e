#include <doctest/doctest.h>

#include <deque>
#include <random>
#include <set>

#include "broker/groups/managed_test_kit.h"

namespace polylog::broker {
namespace {

using group_test::FakeMember;
using group_test::ManagedKit;
using E = GroupError;

// A group of one, which has all four partitions of "s".
struct WithOne {
  explicit WithOne(GroupConfig config = {}) : kit(config), a(kit, "a"), b(kit, "b") {
    kit.put_stream("s", 4);
    CHECK(a.beat() == E::kNone);
  }
  ManagedKit kit;
  FakeMember a, b;
};

TEST_CASE("managed: the first member gets everything, is told so once, and leaves an empty group") {
  WithOne g;
  CHECK(g.a.epoch == 1);
  CHECK(g.a.owned.size() == 4);
  const ReconcileReply quiet = g.kit.ask_for(ManagedKit::beating("a", 1));
  CHECK(quiet.heartbeat_interval_ms == 5'000);
  CHECK_FALSE(quiet.assignment);
  ReconcileRequest full = ManagedKit::joining("a");
  full.epoch = 1;
  full.owned = g.a.owned;
  CHECK(g.kit.ask_for(full).assignment == g.a.owned);
  CHECK(g.kit.managed().phase == GroupPhase::kStable);
  const size_t logged = g.kit.output.mutations.size();
  g.kit.ask_for(ManagedKit::beating("a", 1));
  CHECK(g.kit.output.mutations.size() == logged);  // a heartbeat that changes nothing costs nothing
  CHECK(g.a.leave() == E::kNone);
  CHECK(g.kit.managed().phase == GroupPhase::kEmpty);
  CHECK(g.kit.managed().epoch == 2);
}

TEST_CASE("managed: a member gives up first, then another gets it") {
  WithOne g;
  g.b.beat();
  CHECK(g.b.owned.empty());
  CHECK(g.b.epoch == 2);
  CHECK(g.kit.managed().phase == GroupPhase::kReconciling);
  g.a.beat(/*settle=*/false);
  CHECK(g.a.told.size() == 2);
  CHECK(g.a.epoch == 1);  // until it has given up the rest
  g.b.beat();
  CHECK(g.b.owned.empty());
  g.a.beat(false);  // still reports all four
  CHECK(g.a.epoch == 1);
  g.a.settle();
  g.a.beat();
  CHECK(g.a.epoch == 2);
  g.b.beat();
  CHECK(g.b.owned.size() == 2);
  CHECK(g.kit.managed().phase == GroupPhase::kStable);
}

TEST_CASE("managed: who reports nothing has given nothing up") {
  WithOne g;
  g.b.beat();
  g.a.beat(false);
  CHECK(g.kit.ask_for(ManagedKit::beating("a", 1)).epoch == 1);
  g.b.beat();
  CHECK(g.b.owned.empty());
}

TEST_CASE("managed: epochs are fenced, the one before is good for a member whose answer was lost") {
  WithOne g;
  g.b.beat();
  g.a.beat();
  CHECK(g.a.epoch == 1);
  ReconcileRequest again = ManagedKit::beating("a", 1);
  again.owned = g.a.owned;
  CHECK(g.kit.ask_for(again).epoch == 2);  // suppose this answer is lost
  CHECK(g.kit.ask_for(again).epoch == 2);
  CHECK(g.kit.ask_for(ManagedKit::beating("a", 1)).error == E::kFencedEpoch);  // says not what it owns
  again.owned = g.kit.managed().members.at(1).target;
  CHECK(g.kit.ask_for(again).error == E::kFencedEpoch);  // owns what is not its own
  CHECK(g.kit.ask_for(ManagedKit::beating("a", 3)).error == E::kFencedEpoch);
  CHECK(g.kit.ask_for(ManagedKit::beating("nobody", 2)).error == E::kUnknownMember);
  const ReconcileReply rejoined = g.kit.ask_for(ManagedKit::joining("a"));
  CHECK(rejoined.epoch == 2);
  CHECK(rejoined.assignment->size() == 2);
  CHECK(g.kit.managed().epoch == 2);  // nothing changed for the others
}

TEST_CASE("managed: requests are refused for their own reasons") {
  ManagedKit kit({.members_max = 1});
  kit.put_stream("s", 1);
  ReconcileRequest r = ManagedKit::joining("a");
  r.group.clear();
  CHECK(kit.ask_for(r).error == E::kInvalidGroupId);
  CHECK(kit.ask_for(ManagedKit::beating("a", 1)).error == E::kUnknownMember);
  CHECK(kit.ask_for(ManagedKit::beating("a", kLeaveEpoch)).error == E::kUnknownMember);
  r = ManagedKit::joining("a");
  r.pattern = "(";
  CHECK(kit.ask_for(r).error == E::kBadPattern);
  CHECK(kit.table->size() == 0);
  CHECK(kit.ask_for(ManagedKit::joining("a")).error == E::kNone);
  CHECK(kit.ask_for(ManagedKit::joining("b")).error == E::kGroupFull);
  CHECK(kit.ask_for(ManagedKit::beating("b", kLeaveEpoch)).error == E::kUnknownMember);
  r = ManagedKit::beating("a", 1);
  r.pattern = "(";
  CHECK(kit.ask_for(r).error == E::kBadPattern);
}

TEST_CASE("managed: what cannot be logged is refused, at the limit it is not") {
  ManagedKit kit({.mutation_bytes_max = 16 * 1024});
  kit.put_stream("s", 1'500);
  kit.put_stream("t", 1'600);
  CHECK(kit.ask_for(ManagedKit::joining("a", {"t"})).error == E::kGroupTooLarge);
  FakeMember a(kit, "a");
  CHECK(a.beat() == E::kNone);
  CHECK(a.owned.size() == 1'500);
  kit.put_stream("s", 1'600);  // grown too large: the division stays
  CHECK(a.beat() == E::kNone);
  CHECK(a.owned.size() == 1'500);
  ReconcileRequest r = ManagedKit::joining("b");
  r.client_id.assign(17 * 1024, 'x');
  CHECK(kit.ask_for(r).error == E::kGroupTooLarge);
}

TEST_CASE("managed: different names in one group are limited, of streams that there are or not") {
  constexpr int kNamesMax = 65'536, kMembers = 8;
  ManagedKit kit;
  for (int i = 0; i < kMembers; ++i) {
    std::vector<std::string> names;
    for (int n = i; n < kNamesMax; n += kMembers) names.push_back(std::to_string(n));
    CHECK(kit.ask_for(ManagedKit::joining(std::to_string(i), std::move(names))).error == E::kNone);
  }
  CHECK(kit.ask_for(ManagedKit::joining("one more", {"0"})).error == E::kNone);
  CHECK(kit.ask_for(ManagedKit::joining("too many", {"one more"})).error == E::kGroupTooLarge);
}

TEST_CASE("managed: different patterns of one group are limited, equal ones are not") {
  ManagedKit kit;
  for (int i = 0; i < 40; ++i) {
    ReconcileRequest r = ManagedKit::joining(std::to_string(i), {});
    r.pattern = "t" + std::to_string(std::min(i, 31));
    CHECK(kit.ask_for(r).error == E::kNone);
  }
  ReconcileRequest r = ManagedKit::joining("one more", {});
  r.pattern = "another";
  CHECK(kit.ask_for(r).error == E::kGroupTooLarge);
}

TEST_CASE("managed: different patterns of all groups are limited, and who lets one go makes room") {
  ManagedKit kit;
  const auto join = [&](size_t number, const std::string& pattern) {
    ReconcileRequest r = ManagedKit::joining("m" + std::to_string(number), {});
    r.group = "g" + std::to_string(number);
    r.pattern = pattern;
    return kit.ask_for(r).error;
  };
  constexpr size_t kMax = PatternIndex::kPatternsMax;
  for (size_t i = 0; i < kMax; ++i) REQUIRE(join(i, "t" + std::to_string(i)) == E::kNone);
  CHECK(join(kMax, "another") == E::kGroupTooLarge);
  CHECK(join(kMax, "t0") == E::kNone);
  CHECK(join(kMax, "another") == E::kGroupTooLarge);
  kit.restart();
  CHECK(kit.table->size() == kMax + 1);
  CHECK(join(kMax + 1, "another") == E::kGroupTooLarge);
  ReconcileRequest leaves = ManagedKit::beating("m7", kLeaveEpoch);
  leaves.group = "g7";
  CHECK(kit.ask_for(leaves).error == E::kNone);
  CHECK(join(kMax + 1, "another") == E::kNone);
  CHECK(join(kMax + 2, "one more") == E::kGroupTooLarge);
}

TEST_CASE("managed: streams that come, grow and go change the division, patterns find them") {
  ManagedKit kit;
  FakeMember a(kit, "a", {"s", "later"});
  a.beat();
  CHECK(a.owned.empty());
  kit.put_stream("later", 3);
  a.beat();
  CHECK(a.owned.size() == 3);
  CHECK(a.epoch == 2);
  kit.put_stream("later", 5);
  kit.put_stream("other", 5);
  a.beat();
  CHECK(a.owned.size() == 5);
  const int32_t epoch = a.epoch;
  a.beat();
  CHECK(a.epoch == epoch);

  ReconcileRequest b = ManagedKit::joining("b", {});
  b.pattern = "oth.*";
  CHECK(kit.ask_for(b).assignment->size() == 5);
  CHECK(kit.commit("b", 4, {{"other", 0}, 1, 0, ""}).error == E::kNone);
  kit.drop_stream("later");
  a.beat();
  a.beat();
  CHECK(a.owned.empty());
  CHECK(kit.managed().members.at(1).pattern == "oth.*");
}

TEST_CASE("managed: a subscription that changes moves partitions") {
  WithOne g;
  g.kit.put_stream("t", 2);
  g.a.want({"t"});
  CHECK(g.a.told.empty());
  CHECK(g.a.epoch == 1);
  g.a.settle();
  g.a.beat();
  CHECK(g.a.owned.size() == 2);
  CHECK(g.a.epoch == 2);
}

TEST_CASE("managed: a static member goes for a while and its successor has its work at once") {
  ManagedKit kit;
  kit.put_stream("s", 4);
  FakeMember one(kit, "a", {"s"}, "one"), two(kit, "b", {"s"}, "two"), back(kit, "c", {"s"}, "one");
  for (FakeMember* m : {&one, &two, &one, &one, &two}) m->beat();
  CHECK(two.owned.size() == 2);
  CHECK(back.beat() == E::kUnreleasedInstance);
  const PartitionList had = one.owned;
  const int32_t epoch = one.epoch;
  CHECK(one.leave(kAwayEpoch) == E::kNone);
  two.beat();
  CHECK(two.owned.size() == 2);  // the rest waits
  CHECK(kit.managed().members.at(0).epoch == kAwayEpoch);
  CHECK(back.beat() == E::kNone);
  CHECK(back.owned == had);
  CHECK(back.epoch == epoch);
  ReconcileRequest ghost = ManagedKit::beating("a", epoch);
  ghost.instance_id = "one";
  CHECK(kit.ask_for(ghost).error == E::kFencedInstance);
  ghost.instance_id = "three";
  CHECK(kit.ask_for(ghost).error == E::kUnknownMember);
  ghost.instance_id = "one";
  ghost.epoch = kLeaveEpoch;
  CHECK(kit.ask_for(ghost).error == E::kFencedInstance);
  CHECK(back.leave(kAwayEpoch) == E::kNone);
  for (int i = 0; i < 5; ++i) {
    kit.pass_ms(10'000);
    two.beat();
  }
  CHECK(two.owned.size() == 4);  // its session ended
}

TEST_CASE("managed: who is silent, or does not give up in time, is out") {
  WithOne g;
  g.b.beat();
  g.a.beat(false);
  for (int i = 0; i < 3; ++i) {
    g.kit.pass_ms(i < 2 ? 10'000 : 9'999);
    g.b.beat();
    g.a.beat(false);
  }
  CHECK(g.kit.managed().members.size() == 2);
  g.kit.pass_ms(1);
  CHECK(g.kit.managed().members.size() == 1);
  CHECK(g.a.beat() == E::kUnknownMember);
  g.b.beat();
  CHECK(g.b.owned.size() == 4);
  g.kit.pass_ms(44'999);
  CHECK(g.kit.managed().members.size() == 1);
  g.kit.pass_ms(1);
  CHECK(g.kit.managed().phase == GroupPhase::kEmpty);
}

TEST_CASE("managed: the assignor that most ask for divides") {
  ManagedKit kit;
  kit.put_stream("s", 4);
  ReconcileRequest a = ManagedKit::joining("a"), b = ManagedKit::joining("b");
  a.assignor = b.assignor = Assignor::kRange;
  kit.ask_for(a);
  CHECK(kit.managed().assignor == Assignor::kRange);
  kit.ask_for(b);
  const auto view = kit.managed();
  CHECK(view.members.at(1).target.front().index == 2);
  CHECK(view.members.at(1).target.back().index == 3);
}

TEST_CASE("managed: cursors are committed and fetched with the member's epoch only") {
  WithOne g;
  const auto commit = [&](std::string id, int32_t epoch) {
    return g.kit.commit(std::move(id), epoch, {{"s", 0}, 7, 0, ""}).error;
  };
  CHECK(commit("a", 1) == E::kNone);
  CHECK(commit("a", 0) == E::kStaleEpoch);
  CHECK(commit("a", 2) == E::kStaleEpoch);
  CHECK(commit("nobody", 1) == E::kUnknownMember);
  CHECK(commit("", -1) == E::kUnknownMember);
  CommitRequest old{"g", "a", {}, 1, {}, {{{"s", 0}, 8, 0, ""}}};
  old.knows_epochs = false;
  const ReplyTo to = g.kit.ask();
  g.kit.table->commit(to, old, g.kit.now, g.kit.wall);
  CHECK(g.kit.got<CommitReply>(to).error == E::kUnsupported);
  const auto fetch = [&](std::string id, int32_t epoch) {
    const ReplyTo asked = g.kit.ask();
    g.kit.table->fetch_cursors(asked, {"g", {}, std::move(id), epoch});
    return g.kit.got<FetchCursorsReply>(asked).error;
  };
  CHECK(fetch("a", 1) == E::kNone);
  CHECK(fetch("", -1) == E::kNone);
  CHECK(fetch("a", 2) == E::kStaleEpoch);
  CHECK(fetch("nobody", 1) == E::kUnknownMember);
  g.a.leave();
  CHECK(commit("", -1) == E::kNone);
  CHECK(g.kit.cursor("s") == 7);
}

TEST_CASE("managed: subscribed cursors stay, those of an empty group expire") {
  WithOne g;
  g.kit.commit("a", 1, {{"s", 0}, 7, 0, ""});
  const ReplyTo to = g.kit.ask();
  g.kit.table->delete_cursors(to, {"g", {{"s", 0}, {"t", 0}}});
  const auto deleted = g.kit.got<DeleteCursorsReply>(to);
  CHECK(deleted.entries.at(0).error == E::kSubscribed);
  CHECK(deleted.entries.at(1).error == E::kNone);
  const ReplyTo removal = g.kit.ask();
  g.kit.table->remove(removal, {{"g"}});
  CHECK(g.kit.got<DeleteGroupsReply>(removal).groups.at(0).error == E::kNotEmpty);
  const int64_t week_ms = g.kit.config.cursor_retention_ms;
  g.a.leave();
  g.kit.pass_ms(week_ms - 700'000);
  CHECK(g.kit.cursor("s") == 7);
  g.kit.pass_ms(1'500'000);
  CHECK(g.kit.cursor("s") == -1);
  CHECK(g.kit.table->size() == 0);
}

TEST_CASE("managed: an empty group changes its kind, its cursors and numbers go on") {
  ManagedKit kit({.initial_rebalance_delay_ms = 0});
  kit.put_stream("s", 1);
  JoinRequest opaque = ManagedKit::Kit::joining();
  opaque.subscriptions.reset();
  const JoinReply led = kit.settle_one(opaque);
  kit.commit(led.member_id, 1, {{"s", 0}, 7, 0, ""});
  FakeMember a(kit, "a");
  CHECK(a.beat() == E::kWrongKind);
  CHECK(kit.managed().error == E::kGroupNotFound);
  kit.leave({{led.member_id, {}}});
  CHECK(a.beat() == E::kNone);
  CHECK(a.epoch > 2);
  CHECK(kit.cursor("s") == 7);
  CHECK(kit.view().error == E::kGroupNotFound);
  CHECK(kit.got<JoinReply>(kit.join(opaque)).error == E::kInconsistentProtocol);
  CHECK(kit.beat(led.member_id, 1) == E::kUnknownMember);
  const int32_t epoch = a.epoch;
  a.leave();
  CHECK(kit.got<JoinReply>(kit.join(ManagedKit::Kit::joining("x"))).error == E::kUnknownMember);
  kit.restart();
  const JoinReply again = kit.settle_one(opaque);
  CHECK(again.generation > epoch);
  CHECK(kit.cursor("s") == 7);
  CHECK(a.beat() == E::kWrongKind);
}

// ---- any order of events

// What must hold whatever happens: what members own and what they were told they may own never overlaps between two, and
// state rebuilt from the log, or from a snapshot and the rest of it, equals the live one.
struct Chaos {
  explicit Chaos(uint32_t seed) : random(seed) {
    kit.put_stream("s", 6);
    for (char c = 'a'; c < 'a' + 5; ++c) {
      const std::string id(1, c);
      members.emplace_back(kit, id, std::vector<std::string>{"s", "t"}, c == 'e' ? "static" : "");
    }
  }
  // As a checkpoint would, whenever that is.
  void remember() {
    if (const auto snapshot = kit.table->snapshot("g")) early = std::pair(*snapshot, kit.table->stamp("g"));
  }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random() % n); }

  void check_no_two_owners() {
    std::map<base::PartitionKey, std::string> owners;
    for (const FakeMember& member : members) {
      std::set<base::PartitionKey> uses(member.owned.begin(), member.owned.end());
      uses.insert(member.told.begin(), member.told.end());
      for (const base::PartitionKey& key : uses) {
        const auto [it, is_free] = owners.emplace(key, member.id());
        CHECK_MESSAGE(is_free, it->second, " and ", member.id());
      }
    }
  }
  void check_replay() {
    group_test::FakeOutput ignored;
    const auto again = kit.make(ignored), resumed = kit.make(ignored);
    if (early) REQUIRE(resumed->restore(early->first, early->second));
    const auto snapshot = kit.table->snapshot("g");
    if (!snapshot) return;
    for (size_t i = 0; i < kit.output.mutations.size(); ++i) {
      REQUIRE(again->apply(kit.output.mutations[i], base::Lsn{i + 1}));
      REQUIRE(resumed->apply(kit.output.mutations[i], base::Lsn{i + 1}));
    }
    CHECK(resumed->snapshot("g") == snapshot);
    CHECK(again->snapshot("g") == snapshot);
    const auto restored = kit.make(ignored);
    REQUIRE(restored->restore(*snapshot, kit.table->stamp("g")));
    CHECK(restored->snapshot("g") == snapshot);
  }
  void step() {
    FakeMember& member = members[below(static_cast<uint32_t>(members.size()))];
    switch (below(14)) {
      case 0: member.leave(); break;
      case 1: member.leave(kAwayEpoch); break;
      case 2: kit.put_stream(below(2) == 0 ? "s" : "t", 1 + below(12)); break;
      case 3: kit.drop_stream("t"); break;
      case 4: member.want(below(2) == 0 ? std::vector<std::string>{"s"} : std::vector<std::string>{"s", "t"}); break;
      case 5: kit.restart(); break;
      case 6: pass(below(20'000)); break;
      case 7: member.settle(); break;
      default: member.beat(below(3) > 0); break;
    }
  }
  // Who is out of the group stops what it does before its session ends, as clients do.
  void pass(int64_t ms) {
    kit.pass_ms(ms);
    const auto view = kit.managed();
    for (FakeMember& member : members) {
      const bool is_in = std::ranges::any_of(view.members, [&](const auto& m) { return m.member_id == member.id(); });
      if (is_in) continue;
      member.epoch = 0;
      member.owned.clear();
      member.told.clear();
    }
  }
  void calm_down() {
    for (int round = 0; round < 8; ++round) {
      for (FakeMember& member : members) member.beat();
    }
  }

  std::mt19937 random;
  ManagedKit kit;
  std::deque<FakeMember> members;
  std::optional<std::pair<std::vector<uint8_t>, base::Lsn>> early;
};

TEST_CASE("managed: never two owners, and replay equals the live group, whatever the order of events") {
  for (uint32_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    Chaos chaos(seed);
    int32_t epoch = 0;
    for (int i = 0; i < 120; ++i) {
      chaos.step();
      if (i == 60) chaos.remember();
      chaos.check_no_two_owners();
      const auto view = chaos.kit.managed();
      if (view.error == E::kNone) CHECK(view.epoch >= epoch);
      epoch = view.epoch;
    }
    chaos.check_replay();
    chaos.calm_down();
    chaos.check_no_two_owners();
    const auto view = chaos.kit.managed();
    CHECK(view.phase == GroupPhase::kStable);
    size_t owned = 0;
    for (const FakeMember& member : chaos.members) owned += member.owned.size();
    size_t partitions = 0;
    for (const auto& [name, entry] : chaos.kit.streams.streams) partitions += entry.partition_count;
    if (chaos.kit.streams.streams.contains("t")) CHECK(owned <= partitions);
    CHECK(owned >= chaos.kit.streams.streams.at("s").partition_count);
    CHECK_FALSE(chaos.kit.replay_failed);
    CHECK_FALSE(chaos.kit.output.answered_twice);
  }
}

}  // namespace
}  // namespace polylog::broker
