#include <doctest/doctest.h>

#include "broker/groups/group_test_kit.h"

namespace polylog::broker {
namespace {
using group_test::Kit;
using E = GroupError;

TEST_CASE("a new dynamic member is told its id first and it expires unused") {
  Kit kit;
  JoinRequest r = Kit::joining();
  r.can_retry_with_id = true;
  const auto told = kit.got<JoinReply>(kit.join(r));
  CHECK(told.error == E::kMemberIdRequired);
  CHECK(told.member_id.starts_with("c-"));
  r.member_id = told.member_id;
  const auto joined = kit.got<JoinReply>(kit.join(r));
  CHECK(joined.error == E::kNone);
  CHECK(joined.generation == 1);
  CHECK(joined.leader == told.member_id);
  CHECK(joined.members.size() == 1);

  Kit late;
  r.member_id.clear();
  r.member_id = late.got<JoinReply>(late.join(r)).member_id;
  late.pass_ms(10'001);
  CHECK(late.table->size() == 0);
  CHECK(late.got<JoinReply>(late.join(r)).error == E::kUnknownMember);
}

TEST_CASE("joins are refused for their own reasons") {
  Kit kit({.initial_rebalance_delay_ms = 0, .members_max = 1});
  const auto refused = [&](JoinRequest r) { return kit.got<JoinReply>(kit.join(std::move(r))).error; };
  JoinRequest r = Kit::joining();
  r.group.clear();
  CHECK(refused(r) == E::kInvalidGroupId);
  for (const int32_t timeout_ms : {5'999, 1'800'001}) {
    r = Kit::joining();
    r.session_timeout_ms = timeout_ms;
    CHECK(refused(r) == E::kInvalidSessionTimeout);
  }
  CHECK(refused(Kit::joining("nobody")) == E::kUnknownMember);
  CHECK(kit.table->size() == 0);
  kit.settle_one();
  CHECK(refused(Kit::joining()) == E::kGroupFull);
  Kit roomy;
  roomy.settle_one();
  r = Kit::joining();
  r.protocol_type = "other";
  CHECK(roomy.got<JoinReply>(roomy.join(r)).error == E::kInconsistentProtocol);
  r = Kit::joining();
  r.protocols = {{"unheard", ""}};
  CHECK(roomy.got<JoinReply>(roomy.join(r)).error == E::kInconsistentProtocol);
}

TEST_CASE("the initial delay is extended while members arrive") {
  Kit kit({.initial_rebalance_delay_ms = 3'000});
  const ReplyTo a = kit.join(Kit::joining());
  kit.pass_ms(2'000);
  const ReplyTo b = kit.join(Kit::joining());
  kit.pass_ms(2'000);
  CHECK_FALSE(kit.answered(a));
  kit.pass_ms(2'001);
  CHECK(kit.got<JoinReply>(a).members.size() == 2);
  CHECK(kit.got<JoinReply>(b).members.empty());
  CHECK(kit.got<JoinReply>(b).leader == kit.got<JoinReply>(a).member_id);
}

TEST_CASE("a second member makes a new generation and every one gets its assignment") {
  Kit kit;
  const JoinReply alone = kit.settle_one();
  const ReplyTo b = kit.join(Kit::joining());
  CHECK_FALSE(kit.answered(b));
  CHECK(kit.beat(alone.member_id, 1) == E::kRebalanceInProgress);
  CHECK(kit.got<SyncReply>(kit.sync(alone)).error == E::kRebalanceInProgress);
  const auto leader = kit.got<JoinReply>(kit.join(Kit::joining(alone.member_id)));
  const auto follower = kit.got<JoinReply>(b);
  CHECK(leader.generation == 2);
  CHECK(follower.generation == 2);
  CHECK(leader.leader == alone.member_id);
  const ReplyTo early = kit.sync(follower);
  CHECK_FALSE(kit.answered(early));
  CHECK(kit.beat(follower.member_id, 2) == E::kNone);
  CHECK(kit.commit(follower.member_id, 2, {{"s", 0}, 1, 0, ""}).error == E::kRebalanceInProgress);
  const ReplyTo led = kit.sync(leader, {{leader.member_id, "A"}});
  CHECK(kit.got<SyncReply>(led).assignment == "A");
  CHECK(kit.got<SyncReply>(early).assignment.empty());
  CHECK(kit.after(early) == base::Lsn{kit.output.mutations.size()});
  CHECK(kit.view().phase == GroupPhase::kStable);
  CHECK(kit.beat(leader.member_id, 1) == E::kIllegalGeneration);
  CHECK(kit.beat("nobody", 2) == E::kUnknownMember);
}

TEST_CASE("the protocol is the one of most votes that all support") {
  Kit kit;
  JoinRequest a = Kit::joining(), b = Kit::joining(), c = Kit::joining();
  a.protocols = {{"x", ""}, {"y", ""}, {"z", ""}};
  b.protocols = {{"z", ""}, {"y", ""}};
  c.protocols = {{"z", ""}, {"y", ""}, {"x", ""}};
  a.member_id = kit.settle_one(a).member_id;
  kit.join(b);
  kit.join(c);
  CHECK(kit.got<JoinReply>(kit.join(a)).protocol == "z");
}

TEST_CASE("an unchanged follower that rejoins is answered at once, a leader rebalances") {
  Kit kit;
  const auto [leader, follower] = kit.settle_two();
  const auto again = kit.got<JoinReply>(kit.join(Kit::joining(follower.member_id)));
  CHECK(again.generation == 2);
  CHECK(kit.view().phase == GroupPhase::kStable);
  const ReplyTo rejoin = kit.join(Kit::joining(leader.member_id));
  CHECK_FALSE(kit.answered(rejoin));
  kit.join(Kit::joining(follower.member_id));
  CHECK(kit.got<JoinReply>(rejoin).generation == 3);
  CHECK(kit.got<JoinReply>(kit.join(Kit::joining(leader.member_id))).members.size() == 2);  // lost the first reply
  kit.sync(kit.got<JoinReply>(rejoin));
  kit.join(Kit::joining(follower.member_id, "changed"));
  CHECK(kit.view().phase == GroupPhase::kPreparingRebalance);
}

TEST_CASE("a static member that restarts keeps its work and fences its former self") {
  Kit kit;
  const auto [leader, follower] = kit.settle_two(Kit::joining({}, "m", "one"), Kit::joining({}, "m", "two"));
  CHECK(leader.member_id.starts_with("one-"));
  auto back = kit.got<JoinReply>(kit.join(Kit::joining({}, "m2", "two")));
  CHECK(back.generation == 2);
  CHECK(back.member_id != follower.member_id);
  CHECK(kit.got<SyncReply>(kit.sync(back)).assignment == "B");
  CHECK(kit.beat(follower.member_id, 2, "two") == E::kFencedInstance);
  CHECK(kit.beat("x", 2, "three") == E::kUnknownMember);
  CHECK(kit.got<JoinReply>(kit.join(Kit::joining(follower.member_id, "m", "two"))).error == E::kFencedInstance);

  back = kit.got<JoinReply>(kit.join(Kit::joining({}, "m", "one")));
  CHECK(back.leader == leader.member_id);  // the old id: it must not assign
  CHECK(back.members.empty());
  JoinRequest modern = Kit::joining({}, "m", "one");
  modern.can_skip_assignment = true;
  back = kit.got<JoinReply>(kit.join(modern));
  CHECK(back.skip_assignment);
  CHECK(back.leader == back.member_id);
  CHECK(back.members.size() == 2);
  CHECK(kit.got<SyncReply>(kit.sync(back)).assignment == "A");

  modern.subscriptions = std::vector<std::string>{"other"};
  CHECK_FALSE(kit.answered(kit.join(modern)));  // other work: rebalance
}

TEST_CASE("a static member waiting to join is fenced by its successor") {
  Kit kit({.initial_rebalance_delay_ms = 3'000});
  const ReplyTo first = kit.join(Kit::joining({}, "m", "one"));
  kit.join(Kit::joining({}, "m", "one"));
  CHECK(kit.got<JoinReply>(first).error == E::kFencedInstance);
}

TEST_CASE("a silent member is dropped after its session timeout, one that waits is not") {
  Kit kit;
  const auto [leader, follower] = kit.settle_two();
  kit.pass_ms(6'000);
  kit.beat(leader.member_id, 2);
  kit.pass_ms(5'000);
  CHECK(kit.view().members.size() == 1);
  CHECK(kit.beat(leader.member_id, 2) == E::kRebalanceInProgress);
  CHECK(kit.beat(follower.member_id, 2) == E::kUnknownMember);
  const ReplyTo waiting = kit.join(Kit::joining(leader.member_id));
  const auto joined = kit.got<JoinReply>(waiting);
  CHECK(joined.generation == 3);
  kit.pass_ms(10'001);
  CHECK(kit.view().phase == GroupPhase::kEmpty);
  CHECK(kit.view().generation == 4);
}

TEST_CASE("members that do not rejoin in time are dropped, static ones stay") {
  Kit kit;
  JoinRequest a = Kit::joining(), b = Kit::joining(), s = Kit::joining({}, "m", "st");
  for (JoinRequest* r : {&a, &b, &s}) r->session_timeout_ms = 600'000;
  const auto [leader, follower] = kit.settle_two(a, b);
  const ReplyTo joins = kit.join(s);
  a.member_id = leader.member_id;
  const ReplyTo rejoin = kit.join(a);
  kit.pass_ms(29'999);
  CHECK_FALSE(kit.answered(joins));
  kit.pass_ms(1);
  CHECK(kit.got<JoinReply>(rejoin).members.size() == 2);
  kit.sync(kit.got<JoinReply>(joins));
  kit.sync(kit.got<JoinReply>(rejoin));
  const ReplyTo alone = kit.join(a);  // the leader rejoins, the static one is away
  kit.pass_ms(30'000);
  CHECK(kit.got<JoinReply>(alone).members.size() == 2);
}

TEST_CASE("a leader that never syncs is dropped after the rebalance timeout") {
  Kit kit;
  JoinRequest a = Kit::joining(), b = Kit::joining();
  a.session_timeout_ms = b.session_timeout_ms = 600'000;
  a.member_id = kit.settle_one(a).member_id;
  const ReplyTo second = kit.join(b);
  kit.join(a);
  const auto follower = kit.got<JoinReply>(second);
  const ReplyTo waiting = kit.sync(follower);
  kit.pass_ms(30'000);
  CHECK(kit.got<SyncReply>(waiting).error == E::kRebalanceInProgress);
  b.member_id = follower.member_id;
  CHECK(kit.got<JoinReply>(kit.join(b)).leader == follower.member_id);
}

TEST_CASE("a batch of leaves is answered one by one") {
  Kit kit;
  const auto [leader, follower] = kit.settle_two(Kit::joining(), Kit::joining({}, "m", "two"));
  const auto left = kit.leave({{"nobody", {}}, {"", "two"}, {"wrong", "two"}, {leader.member_id, {}}});
  CHECK(left.members[0].error == E::kUnknownMember);
  CHECK(left.members[1].error == E::kNone);
  CHECK(left.members[2].error == E::kUnknownMember);
  CHECK(left.members[3].error == E::kNone);
  CHECK(kit.view().phase == GroupPhase::kEmpty);
  CHECK(kit.view().generation == 3);
}

TEST_CASE("sync checks generation and protocol") {
  Kit kit;
  const JoinReply joined = kit.settle_one();
  SyncRequest r{"g", joined.member_id, {}, 1, "readers", "range", {}};
  const auto error = [&] {
    const ReplyTo to = kit.ask();
    kit.table->sync(to, r, kit.now, kit.wall);
    return kit.got<SyncReply>(to).error;
  };
  CHECK(error() == E::kNone);
  r.protocol = "sticky";
  CHECK(error() == E::kInconsistentProtocol);
  r.generation = 7;
  CHECK(error() == E::kIllegalGeneration);
}

TEST_CASE("a closed session's waiting replies are forgotten") {
  Kit kit({.initial_rebalance_delay_ms = 3'000});
  const ReplyTo gone = kit.join(Kit::joining(), 7);
  const ReplyTo stays = kit.join(Kit::joining(), 8);
  kit.table->session_closed({base::CoreId{0}, 7}, kit.now, kit.wall);
  kit.pass_ms(6'001);
  CHECK_FALSE(kit.answered(gone));
  CHECK(kit.got<JoinReply>(stays).members.size() == 1);
}

}  // namespace
}  // namespace polylog::broker
