// Members that speak as in member-led groups, in managed groups; and the way from the one kind of group to the other
// while members are in.
#include <doctest/doctest.h>

#include <deque>
#include <random>

#include "broker/groups/managed_test_kit.h"

namespace polylog::broker {
namespace {

using group_test::FakeGuest;
using group_test::FakeMember;
using group_test::Kit;
using group_test::ManagedKit;
using E = GroupError;

struct Mixed {
  Mixed() : kit({.initial_rebalance_delay_ms = 0}), a(kit, "a"), b(kit, "b"), g(kit, "g"), h(kit, "h") {
    kit.put_stream("s", 4);
  }
  GroupError beat(const FakeGuest& guest) { return kit.beat(guest.id(), guest.generation()); }
  SyncReply sync(const JoinReply& joined) { return kit.got<SyncReply>(kit.sync(joined)); }
  JoinReply join(JoinRequest r) { return kit.got<JoinReply>(kit.join(std::move(r))); }

  ManagedKit kit;
  FakeMember a, b;
  FakeGuest g, h;
};

TEST_CASE("guests: one joins a managed group, gets what others give up, and leaves") {
  Mixed m;
  m.a.beat();
  m.g.step();
  CHECK(m.g.is_in());
  CHECK(m.g.owned.empty());
  CHECK(m.g.generation() == 2);
  m.g.step();
  CHECK(m.g.is_in());  // there is nothing for it yet: no reason to join again
  m.a.beat();
  m.a.beat();
  CHECK(m.beat(m.g) == E::kRebalanceInProgress);
  m.g.step();
  m.g.step();
  CHECK(m.g.owned.size() == 2);
  CHECK(m.kit.managed().phase == GroupPhase::kStable);
  CHECK(m.kit.managed().members.at(1).is_guest);
  CHECK(m.kit.commit(m.g.id(), 2, {{"s", 0}, 7, 0, ""}).error == E::kNone);
  CHECK(m.kit.commit(m.g.id(), 1, {{"s", 0}, 7, 0, ""}).error == E::kIllegalGeneration);
  CHECK(m.kit.beat(m.g.id(), 1) == E::kIllegalGeneration);
  CHECK(m.kit.ask_for(ManagedKit::beating(m.g.id(), 2)).error == E::kUnknownMember);
  m.g.leave();
  m.a.beat();
  CHECK(m.a.owned.size() == 4);
}

TEST_CASE("guests: a member of the new kind that finds no room beside them disturbs nobody") {
  ManagedKit kit({.initial_rebalance_delay_ms = 0, .members_max = 1});
  kit.put_stream("s", 4);
  FakeGuest g(kit, "g");
  for (int i = 0; i < 4; ++i) g.step();
  REQUIRE(g.is_in());
  const int32_t generation = g.generation();
  CHECK(kit.ask_for(ManagedKit::joining("a")).error == E::kGroupFull);
  CHECK(kit.beat(g.id(), generation) == E::kNone);
  kit.pass_ms(1'000);
  CHECK(kit.beat(g.id(), generation) == E::kNone);
  CHECK(kit.commit(g.id(), generation, {{"s", 0}, 7, 0, ""}).error == E::kNone);
  g.leave();
  CHECK(kit.ask_for(ManagedKit::joining("a")).error == E::kNone);
}

TEST_CASE("guests: a member of the new kind whose wishes are too large is refused and nothing has changed") {
  ManagedKit kit({.initial_rebalance_delay_ms = 0, .mutation_bytes_max = 8'192});
  kit.put_stream("s", 4);
  kit.put_stream("wide", 1'000);
  FakeGuest g(kit, "g");
  for (int i = 0; i < 4; ++i) g.step();
  REQUIRE(g.is_in());
  const std::string state = kit.table->describe_state();
  const size_t logged = kit.output.mutations.size();
  ReconcileRequest unheard_of = ManagedKit::joining("a");
  unheard_of.pattern = "(";
  CHECK(kit.ask_for(ManagedKit::joining("a", {"s", "wide"})).error == E::kGroupTooLarge);              // to be divided
  CHECK(kit.ask_for(ManagedKit::joining("a", {std::string(9'000, 'n')})).error == E::kGroupTooLarge);  // to be logged
  CHECK(kit.ask_for(unheard_of).error == E::kBadPattern);
  CHECK(kit.ask_for(ManagedKit::beating("a", 1)).error == E::kUnknownMember);
  CHECK(kit.output.mutations.size() == logged);
  CHECK(kit.table->describe_state() == state);
  CHECK(kit.beat(g.id(), g.generation()) == E::kNone);
  CHECK(kit.commit(g.id(), g.generation(), {{"s", 0}, 7, 0, ""}).error == E::kNone);
  CHECK(kit.ask_for(ManagedKit::joining("a")).error == E::kNone);
}

TEST_CASE("guests: an empty managed group stays what it is when the first to join is refused") {
  Mixed m;
  m.a.beat();
  m.a.leave();
  const size_t logged = m.kit.output.mutations.size();
  JoinRequest r = Kit::joining();
  r.protocols.clear();
  CHECK(m.join(r).error == E::kInconsistentProtocol);
  CHECK(m.kit.output.mutations.size() == logged);
  CHECK(m.kit.managed().error == E::kNone);
  CHECK(m.join(Kit::joining()).error == E::kNone);
  CHECK(m.kit.managed().error == E::kGroupNotFound);
}

// A managed group of `a` and two guests that are at different epochs.
struct Uneven : Mixed {
  Uneven() {
    a.beat();
    g.step();
    h.step();
    for (int i = 0; i < 6; ++i) {
      a.beat();
      h.step();
    }
    REQUIRE(g.is_in());
    REQUIRE(h.is_in());
    REQUIRE(g.generation() < h.generation());
  }
};

TEST_CASE("guests: what each knew as its epoch is good until the group that it leads begins its first generation") {
  Uneven m;
  const std::string g = m.g.id(), h = m.h.id();
  const int32_t of_g = m.g.generation(), of_h = m.h.generation();
  m.a.leave();
  REQUIRE(m.kit.managed().error == E::kGroupNotFound);
  CHECK(m.beat(m.g) == E::kRebalanceInProgress);
  CHECK(m.beat(m.h) == E::kRebalanceInProgress);
  CHECK(m.kit.beat(h, of_g) == E::kIllegalGeneration);
  CHECK(m.kit.commit(g, of_g, {{"s", 0}, 7, 0, ""}).error == E::kNone);
  CHECK(m.kit.commit(h, of_h, {{"s", 1}, 7, 0, ""}).error == E::kNone);
  for (int i = 0; i < 8; ++i) {
    m.g.step();
    m.h.step();
  }
  CHECK(m.g.owned.size() + m.h.owned.size() == 4);
  CHECK(m.g.generation() == m.h.generation());
  CHECK(m.g.generation() > of_h);
  CHECK(m.kit.commit(h, of_h, {{"s", 1}, 8, 0, ""}).error == E::kIllegalGeneration);
}

TEST_CASE("guests: after a crash the newest epoch among them is the one that is still good") {
  Uneven m;
  m.a.leave();
  m.kit.restart();
  CHECK(m.beat(m.h) == E::kRebalanceInProgress);
  CHECK(m.kit.commit(m.h.id(), m.h.generation(), {{"s", 1}, 7, 0, ""}).error == E::kNone);
  CHECK(m.beat(m.g) == E::kIllegalGeneration);  // older, and its member starts over
}

TEST_CASE("guests: a crash right after the group was handed to them does not leave partitions that nobody reads") {
  Mixed m;
  m.a.beat();
  m.g.step();
  for (int i = 0; i < 6; ++i) {
    m.a.beat();
    m.g.step();
  }
  REQUIRE(m.g.owned.size() == 2);
  m.a.leave();
  REQUIRE(m.kit.managed().error == E::kGroupNotFound);
  m.kit.restart();
  CHECK(m.beat(m.g) == E::kRebalanceInProgress);
  for (int i = 0; i < 4; ++i) m.g.step();
  CHECK(m.g.is_in());
  CHECK(m.g.owned.size() == 4);
  m.kit.restart();
  CHECK(m.beat(m.g) == E::kNone);  // what was assigned stays
}

TEST_CASE("guests: what they want must be known, they must share a protocol, and ids are checked") {
  Mixed m;
  m.a.beat();
  JoinRequest r = Kit::joining();
  r.subscriptions.reset();
  CHECK(m.join(r).error == E::kInconsistentProtocol);
  CHECK(m.join(Kit::joining("nobody")).error == E::kUnknownMember);
  CHECK(m.join(Kit::joining("a")).error == E::kUnknownMember);
  CHECK(m.join(Kit::joining()).error == E::kNone);
  r = Kit::joining();
  r.protocols = {{"unheard", ""}};
  CHECK(m.join(r).error == E::kInconsistentProtocol);
  r = Kit::joining();
  r.protocol_type = "other";
  CHECK(m.join(r).error == E::kInconsistentProtocol);
  r = Kit::joining();
  r.can_retry_with_id = true;
  const JoinReply told = m.join(r);
  CHECK(told.error == E::kMemberIdRequired);
  r.member_id = told.member_id;
  m.kit.pass_ms(9'999);
  CHECK(m.join(r).error == E::kNone);
  r.member_id.clear();
  r.member_id = m.join(r).member_id;
  m.kit.pass_ms(10'000);
  CHECK(m.join(r).error == E::kUnknownMember);
}

TEST_CASE("guests: a cooperative one says what it owns and gives up before it gets its new epoch") {
  Mixed m;
  m.a.beat();
  const JoinReply joined = m.join(Kit::joining());
  m.a.leave();  // nobody but guests is left: they lead the group
  CHECK(m.kit.managed().error == E::kGroupNotFound);
  m.sync(m.join(Kit::joining(joined.member_id)));
  m.kit.restart();
  CHECK(m.a.beat() == E::kNone);  // and it is managed again
  CHECK(m.a.owned.empty());
  JoinRequest again = Kit::joining(joined.member_id);
  for (uint32_t i = 0; i < 4; ++i) again.owned.push_back({"s", i});
  JoinReply reply = m.join(again);
  CHECK(m.sync(reply).partitions->size() == 2);
  m.a.beat();
  CHECK(m.a.owned.empty());
  CHECK(m.kit.beat(reply.member_id, reply.generation) == E::kRebalanceInProgress);
  const auto kept = *m.sync(reply).partitions;
  again.owned.clear();
  for (const base::PartitionKey& key : kept) again.owned.push_back({"s", key.index});
  reply = m.join(again);
  CHECK(m.sync(reply).partitions == kept);
  CHECK(m.kit.beat(reply.member_id, reply.generation) == E::kNone);
  m.a.beat();
  CHECK(m.a.owned.size() == 2);
}

TEST_CASE("guests: a member-led group becomes managed with all its members, and nothing is free until each said") {
  Mixed m;
  for (int i = 0; i < 6; ++i) {
    m.g.step();
    m.h.step();
  }
  CHECK(m.g.owned.size() == 2);
  CHECK(m.h.owned.size() == 2);
  CHECK(m.a.beat() == E::kNone);
  CHECK(m.a.owned.empty());
  CHECK(m.kit.managed().members.size() == 3);
  CHECK(m.beat(m.g) == E::kRebalanceInProgress);
  m.g.step();
  m.g.step();
  CHECK(m.g.is_in());
  CHECK(m.g.owned.empty());  // h may hold anything
  m.a.beat();
  CHECK(m.a.owned.empty());
  m.h.step();
  m.h.step();
  m.a.beat();
  for (int i = 0; i < 3; ++i) {
    m.g.step();
    m.h.step();
  }
  CHECK(m.a.owned.size() + m.g.owned.size() + m.h.owned.size() == 4);
  CHECK(m.kit.managed().phase == GroupPhase::kStable);
}

TEST_CASE("guests: who never joins again after the change is out, and holds nothing any more") {
  Mixed m;
  m.g.step();
  CHECK(m.g.owned.size() == 4);
  m.a.beat();
  for (int i = 0; i < 3; ++i) {
    m.kit.pass_ms(i < 2 ? 10'000 : 9'999);
    m.a.beat();
    CHECK(m.beat(m.g) == E::kRebalanceInProgress);  // a heartbeat alone is not enough
  }
  CHECK(m.a.owned.empty());
  m.kit.pass_ms(1);
  m.a.beat();
  CHECK(m.a.owned.size() == 4);
  CHECK(m.beat(m.g) == E::kUnknownMember);
}

TEST_CASE("guests: a group that rebalances when it becomes managed lets nobody wait") {
  Mixed m;
  const JoinReply first = m.kit.settle_one();
  const ReplyTo second = m.kit.join(Kit::joining());
  CHECK_FALSE(m.kit.answered(second));
  CHECK(m.a.beat() == E::kNone);
  CHECK(m.kit.got<JoinReply>(second).error == E::kRebalanceInProgress);
  CHECK(m.kit.managed().members.size() == 2);  // the one that was never told its id is not among them
  CHECK(m.join(Kit::joining(first.member_id)).error == E::kNone);
}

TEST_CASE("guests: a static member moves to the new way of speaking, and back") {
  Mixed m;
  const JoinReply old = m.kit.settle_one(Kit::joining({}, "m", "one"));
  m.kit.join(Kit::joining({}, "m", "two"));
  FakeMember one(m.kit, "new", {"s"}, "one");
  CHECK(one.beat() == E::kNone);
  CHECK(m.kit.beat(old.member_id, 1, "one") == E::kFencedInstance);
  const auto view = m.kit.managed();
  CHECK(view.members.size() == 2);
  CHECK_FALSE(view.members.at(0).is_guest);
  const JoinReply back = m.join(Kit::joining({}, "m", "one"));
  CHECK(back.error == E::kNone);
  CHECK(back.member_id.starts_with("one-"));
}

TEST_CASE("guests: only they themselves leave, and who goes for a while is as unknown as before") {
  Mixed m;
  const JoinReply old = m.kit.settle_one(Kit::joining({}, "m", "one"));
  ReconcileRequest r = ManagedKit::joining("new", {"s"}, "one");
  r.owned.reset();
  CHECK(m.kit.ask_for(r).error == E::kNone);  // what it owns it does not say
  r = ManagedKit::beating("new", kAwayEpoch);
  r.instance_id = "one";
  CHECK(m.kit.ask_for(r).error == E::kNone);
  m.a.beat();
  CHECK(m.a.owned.empty());
  m.g.step();
  m.g.step();
  CHECK(m.kit.managed().members.size() == 3);
  for (const int32_t how : {kLeaveEpoch, kAwayEpoch}) {
    CHECK(m.kit.ask_for(ManagedKit::beating(m.g.id(), how)).error == E::kUnknownMember);
  }
  CHECK(m.kit.managed().members.size() == 3);
}

// ---- any order of events, with both kinds of members

struct MixedChaos {
  explicit MixedChaos(uint32_t seed) : random(seed), kit({.initial_rebalance_delay_ms = 0}) {
    kit.put_stream("s", 6);
    for (const char* id : {"a", "b", "c"}) members.emplace_back(kit, id);
    for (const char* id : {"g", "h", "i"}) guests.emplace_back(kit, id);
  }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random() % n); }

  void check_no_two_owners() {
    std::map<base::PartitionKey, std::string> owners;
    const auto add = [&](const PartitionList& list, const std::string& who) {
      for (const base::PartitionKey& key : list) {
        const auto [it, is_free] = owners.emplace(key, who);
        CHECK_MESSAGE((is_free || it->second == who), it->second, " and ", who);
      }
    };
    for (const FakeMember& member : members) {
      add(member.owned, member.id());
      add(member.told, member.id());
    }
    for (const FakeGuest& guest : guests) add(guest.owned, guest.name());
  }
  void step() {
    FakeMember& member = members[below(3)];
    FakeGuest& guest = guests[below(3)];
    switch (below(24)) {
      case 0: guest.leave(); break;
      case 1: member.settle(); break;
      case 2: kit.pass_ms(below(300)); break;
      case 3:
        for (FakeMember& one : members) one.leave();
        break;
      case 4:
      case 5: member.leave(); break;
      default:
        if (below(2) == 0) {
          guest.step();
        } else {
          member.beat(below(3) > 0);
        }
    }
  }
  void calm_down(bool with_members) {
    for (int round = 0; round < 30; ++round) {
      for (FakeMember& member : members) {
        if (with_members) member.beat();
      }
      for (FakeGuest& guest : guests) guest.step();
    }
  }
  size_t owned() const {
    size_t count = 0;
    for (const FakeMember& member : members) count += member.owned.size();
    for (const FakeGuest& guest : guests) count += guest.owned.size();
    return count;
  }
  void check_replay() {
    group_test::FakeOutput ignored;
    const auto again = kit.make(ignored);
    for (size_t i = 0; i < kit.output.mutations.size(); ++i) {
      REQUIRE(again->apply(kit.output.mutations[i], base::Lsn{i + 1}));
    }
    CHECK(again->snapshot("g") == kit.table->snapshot("g"));
  }

  std::mt19937 random;
  ManagedKit kit;
  std::deque<FakeMember> members;
  std::deque<FakeGuest> guests;
};

TEST_CASE("guests: never two owners, whoever speaks how and whatever the group becomes") {
  for (uint32_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    MixedChaos chaos(seed);
    for (int i = 0; i < 150; ++i) {
      chaos.step();
      chaos.check_no_two_owners();
    }
    chaos.check_replay();
    chaos.calm_down(/*with_members=*/true);
    chaos.check_no_two_owners();
    CHECK(chaos.owned() == 6);
    CHECK(chaos.kit.managed().phase == GroupPhase::kStable);
    for (FakeMember& member : chaos.members) member.leave();
    chaos.calm_down(/*with_members=*/false);
    chaos.check_no_two_owners();
    CHECK(chaos.owned() == 6);
    CHECK(chaos.kit.view().phase == GroupPhase::kStable);  // member-led again
    CHECK(chaos.kit.view().members.size() == 3);
    chaos.check_replay();
    CHECK_FALSE(chaos.kit.output.answered_twice);
  }
}

}  // namespace
}  // namespace polylog::broker
