#include <doctest/doctest.h>

#include <random>

#include "broker/groups/group_test_kit.h"

namespace polylog::broker {
namespace {
using group_test::FakeOutput;
using group_test::Kit;
using E = GroupError;
constexpr int64_t kDayMs = 24LL * 3600 * 1000;

std::map<std::string, std::vector<uint8_t>> snapshots(GroupTable& table, const std::vector<std::string>& names) {
  std::map<std::string, std::vector<uint8_t>> all;
  for (const std::string& name : names) {
    if (auto bytes = table.snapshot(name)) all[name] = std::move(*bytes);
  }
  return all;
}

TEST_CASE("outsiders commit to groups without members only") {
  Kit kit;
  CHECK(kit.commit("", -1, {{"s", 0}, 5, 3, "note"}).entries[0].error == E::kNone);
  CHECK(kit.cursor("s") == 5);
  CHECK(kit.cursor("s", 1) == -1);
  CHECK(kit.commit("", -1, {{"s", 0}, 6, 3, std::string(4'097, 'x')}).entries[0].error == E::kMetadataTooLarge);
  CHECK(kit.commit("", -1, {{"s", 0}, 6, 3, std::string(4'096, 'x')}).entries[0].error == E::kNone);
  const JoinReply joined = kit.settle_one();
  CHECK(kit.commit("", -1, {{"s", 0}, 7, 3, ""}).error == E::kUnknownMember);
  CHECK(kit.commit(joined.member_id, 9, {{"s", 0}, 7, 3, ""}).entries[0].error == E::kIllegalGeneration);
  CHECK(kit.commit("nobody", 1, {{"s", 0}, 7, 3, ""}).error == E::kUnknownMember);
  CHECK(kit.commit(joined.member_id, 1, {{"s", 0}, 7, 3, ""}).error == E::kNone);
  CHECK(kit.cursor("s") == 7);
  const ReplyTo to = kit.ask();
  kit.table->commit(to, {"absent", "m", {}, 1, {}, {}}, kit.now, kit.wall);
  CHECK(kit.got<CommitReply>(to).error == E::kGroupNotFound);
}

TEST_CASE("when memory is used up nothing new is taken in and who is in goes on") {
  Kit kit;
  const JoinReply member = kit.settle_one();
  const auto commit = [&](uint32_t partition, std::string note = {}) {
    return kit.commit(member.member_id, member.generation, {{"s", partition}, 5, -1, std::move(note)}).entries[0].error;
  };
  CHECK(commit(0) == E::kNone);
  const size_t before = kit.table->memory_bytes();
  CHECK(commit(1) == E::kNone);
  const size_t cursor_bytes = kit.table->memory_bytes() - before;
  const auto allow = [&](size_t bytes) {
    kit.config.memory_bytes_max = bytes;
    kit.table->configure(kit.config, kit.now);
  };
  allow(kit.table->memory_bytes() + cursor_bytes - 1);
  CHECK(commit(2) == E::kNoMemory);
  allow(kit.table->memory_bytes() + cursor_bytes);
  CHECK(commit(2) == E::kNone);
  CHECK(commit(2) == E::kNone);
  CHECK(commit(2, std::string(256, 'n')) == E::kNone);
  CHECK(commit(2, std::string(257, 'n')) == E::kNoMemory);

  CHECK(kit.got<JoinReply>(kit.join(Kit::joining())).error == E::kNoMemory);
  JoinRequest elsewhere = Kit::joining();
  elsewhere.group = "h";
  CHECK(kit.got<JoinReply>(kit.join(elsewhere)).error == E::kNoMemory);
  const ReplyTo to = kit.ask();
  kit.table->commit(to, {"h", "", {}, -1, {}, {{{"s", 0}, 5, -1, ""}}}, kit.now, kit.wall);
  CHECK(kit.got<CommitReply>(to).entries.at(0).error == E::kNoMemory);
  CHECK(kit.table->size() == 1);
  CHECK(kit.beat(member.member_id, member.generation) == E::kNone);
  CHECK(kit.got<JoinReply>(kit.join(Kit::joining(member.member_id))).error == E::kNone);
  kit.leave({{member.member_id, {}}});
  CHECK(kit.got<JoinReply>(kit.join(elsewhere)).error == E::kNone);
}

TEST_CASE("who is refused for want of memory with an id that was kept for it holds up nobody") {
  Kit kit;
  const JoinReply member = kit.settle_one();
  JoinRequest newcomer = Kit::joining();
  newcomer.can_retry_with_id = true;
  const auto kept = kit.got<JoinReply>(kit.join(newcomer));
  CHECK(kept.error == E::kMemberIdRequired);
  kit.config.memory_bytes_max = kit.table->memory_bytes();
  kit.table->configure(kit.config, kit.now);
  const ReplyTo again = kit.join(Kit::joining(member.member_id, "m"));
  CHECK_FALSE(kit.answered(again));  // the newcomer is waited for
  CHECK(kit.got<JoinReply>(kit.join(Kit::joining(kept.member_id))).error == E::kNoMemory);
  REQUIRE(kit.answered(again));
  CHECK(kit.got<JoinReply>(again).error == E::kNone);
}

TEST_CASE("what groups take is the same after a restart and nothing when all are gone") {
  Kit kit;
  const auto [leader, follower] = kit.settle_two();
  for (uint32_t i = 0; i < 5; ++i) kit.commit(leader.member_id, leader.generation, {{"s", i}, 5, -1, "note"});
  const size_t bytes = kit.table->memory_bytes();
  CHECK(bytes > 0);
  kit.open();
  CHECK(kit.table->memory_bytes() == bytes);
  kit.leave({{leader.member_id, {}}, {follower.member_id, {}}});
  const ReplyTo to = kit.ask();
  kit.table->remove(to, {{"g"}});
  CHECK(kit.got<DeleteGroupsReply>(to).groups.at(0).error == E::kNone);
  CHECK(kit.table->memory_bytes() == 0);
}

TEST_CASE("what members say of themselves fits a mutation or they are refused") {
  Kit kit;
  constexpr size_t kOtherBytes = 1069;  // of what joining() says, and kept for ids and numbers
  const size_t metadata_bytes = (kit.config.mutation_bytes_max - kOtherBytes) / 2;
  const auto join = [&](size_t bytes) {
    return kit.got<JoinReply>(kit.join(Kit::joining({}, std::string(bytes, 'm'))));
  };
  CHECK(join(metadata_bytes + 1).error == E::kGroupFull);
  const JoinReply joined = join(metadata_bytes);
  CHECK(joined.error == E::kNone);
  CHECK(kit.got<SyncReply>(kit.sync(joined, {{joined.member_id, "all"}})).error == E::kNone);
}

TEST_CASE("cursors expire when nobody uses them") {
  Kit kit;
  kit.commit("", -1, {{"s", 0}, 5, -1, ""});
  kit.commit("", -1, {{"short", 0}, 5, -1, ""}, 1'000);
  kit.pass_ms(700'000);
  CHECK(kit.cursor("short") == -1);
  kit.pass_ms(7 * kDayMs - 800'000);
  CHECK(kit.cursor("s") == 5);
  kit.pass_ms(1'000'000);
  CHECK(kit.cursor("s") == -1);
  CHECK(kit.table->size() == 0);
  CHECK(kit.view().error == E::kGroupNotFound);
}

// Of one stream, each of a partition of its own.
void commit_many(Kit& kit, const std::string& group, size_t count) {
  CommitRequest request{group, "", {}, -1, {}, {}};
  for (size_t i = 0; i < count; ++i) request.entries.push_back({{"s", static_cast<uint32_t>(i)}, 5, -1, ""});
  const ReplyTo to = kit.ask();
  kit.table->commit(to, request, kit.now, kit.wall);
  REQUIRE(kit.got<CommitReply>(to).entries.size() == count);
}

TEST_CASE("many cursors expire a share in a turn, those of one group or of several") {
  constexpr size_t kShare = GroupTable::kCursorsPerTurn;
  Kit kit;
  commit_many(kit, "a", kShare / 2);
  commit_many(kit, "b", 2 * kShare);
  commit_many(kit, "c", kShare / 2);
  const auto left = [&] {
    size_t count = 0;
    for (const char* name : {"a", "b", "c"}) {
      const Group* group = std::as_const(*kit.table).find(name);
      if (group != nullptr) count += group->state().cursors.size();
    }
    return count;
  };
  kit.wall.ms += 8 * kDayMs;
  kit.now = *kit.table->next_deadline();
  for (size_t share = 3; share > 0; --share) {
    CHECK(left() == share * kShare);
    kit.table->on_time(kit.now, kit.wall);
  }
  CHECK(left() == 0);
  kit.table->on_time(kit.now, kit.wall);  // who comes behind them is looked at, too
  CHECK(kit.table->size() == 0);
  CHECK_FALSE(kit.table->next_deadline());
}

TEST_CASE("what a group with many cursors held is let go beside the core") {
  for (const size_t more : {0, 1}) {
    Kit kit;
    commit_many(kit, "g", GroupTable::kCursorsPerTurn + more);
    const ReplyTo to = kit.ask();
    kit.table->remove(to, {{"g"}});
    CHECK(kit.got<DeleteGroupsReply>(to).groups.at(0).error == E::kNone);
    CHECK(kit.table->size() == 0);
    CHECK(kit.cursor("s") == -1);
    CHECK(kit.output.run_job() == (more == 1));
  }
}

TEST_CASE("cursors that follow no group, one of another moment, or are cut are refused") {
  Kit kit;
  GroupState state;
  state.name = "g";
  for (uint32_t i = 0; i < 3; ++i) state.cursors.put({"s", i}, {.offset = i});
  const SavedGroup head = save_group(state, 1);
  REQUIRE(head.next);
  const SavedGroup part = save_cursors(state, *head.next, 1), last = save_cursors(state, *part.next, 1);
  CHECK_FALSE(last.next);
  const auto table = kit.make(kit.output);
  CHECK(table->restore_cursors(part.bytes, base::Lsn{7}).error().code == base::ErrorCode::kCorrupt);
  REQUIRE(table->restore(head.bytes, base::Lsn{7}));
  CHECK(table->restore_cursors(part.bytes, base::Lsn{8}).error().code == base::ErrorCode::kCorrupt);
  for (size_t size = 0; size < part.bytes.size(); ++size)
    CHECK_FALSE(table->restore_cursors(base::View(part.bytes).first(size), base::Lsn{7}));
  REQUIRE(table->restore_cursors(part.bytes, base::Lsn{7}));
  REQUIRE(table->restore_cursors(last.bytes, base::Lsn{7}));
  CHECK(table->snapshot("g") == encode_snapshot(state));
}

TEST_CASE("a stable group loses cursors of streams it no longer reads") {
  Kit kit;
  kit.commit("", -1, {{"s", 0}, 5, -1, ""});
  kit.commit("", -1, {{"other", 0}, 5, -1, ""});
  JoinRequest r = Kit::joining();
  r.session_timeout_ms = 1'800'000;
  const JoinReply joined = kit.settle_one(r);
  for (int64_t passed = 0; passed < 8 * kDayMs; passed += 1'000'000) {
    kit.pass_ms(1'000'000);
    REQUIRE(kit.beat(joined.member_id, 1) == E::kNone);
  }
  CHECK(kit.cursor("s") == 5);
  CHECK(kit.cursor("other") == -1);
}

TEST_CASE("deletes respect members and subscriptions") {
  Kit kit;
  kit.commit("", -1, {{"s", 0}, 5, -1, ""});
  kit.commit("", -1, {{"other", 0}, 5, -1, ""});
  const JoinReply joined = kit.settle_one();
  ReplyTo to = kit.ask();
  kit.table->delete_cursors(to, {"g", {{"s", 0}, {"other", 0}}});
  CHECK(kit.got<DeleteCursorsReply>(to).entries[0].error == E::kSubscribed);
  CHECK(kit.got<DeleteCursorsReply>(to).entries[1].error == E::kNone);
  CHECK(kit.cursor("other") == -1);
  const auto remove = [&] {
    to = kit.ask();
    kit.table->remove(to, {{"g", "absent"}});
    return kit.got<DeleteGroupsReply>(to).groups;
  };
  CHECK(remove()[0].error == E::kNotEmpty);
  kit.leave({{joined.member_id, {}}});
  CHECK(remove()[0].error == E::kNone);
  CHECK(remove()[0].error == E::kGroupNotFound);
  CHECK(remove()[1].error == E::kGroupNotFound);
  CHECK(kit.after(to) == base::Lsn{kit.output.mutations.size()});  // "not found" waits for the removal
  to = kit.ask();
  kit.table->delete_cursors(to, {"g", {}});
  CHECK(kit.got<DeleteCursorsReply>(to).error == E::kGroupNotFound);
}

TEST_CASE("a dropped stream takes its cursors along, in every group") {
  Kit kit;
  kit.commit("", -1, {{"s", 0}, 5, -1, ""});
  kit.commit("", -1, {{"s", 9}, 5, -1, ""});
  kit.commit("", -1, {{"s2", 0}, 5, -1, ""});
  kit.table->drop_stream("s");
  CHECK(kit.cursor("s", 9) == -1);
  CHECK(kit.cursor("s2") == 5);
}

TEST_CASE("list filters by phase") {
  Kit kit;
  kit.settle_one();
  ReplyTo to = kit.ask();
  kit.table->commit(to, {"simple", "", {}, -1, {}, {{{"s", 0}, 1, -1, ""}}}, kit.now, kit.wall);
  to = kit.ask();
  kit.table->list(to, {});
  CHECK(kit.got<ListGroupsReply>(to).groups.size() == 2);
  to = kit.ask();
  kit.table->list(to, {{GroupPhase::kEmpty}});
  CHECK(kit.got<ListGroupsReply>(to).groups.at(0).name == "simple");
}

TEST_CASE("after a restart members carry on with a fresh session") {
  Kit kit;
  const auto [leader, follower] = kit.settle_two();
  kit.commit(leader.member_id, 2, {{"s", 0}, 5, 1, "x"});
  kit.pass_ms(9'000);
  kit.open();
  kit.pass_ms(9'000);
  CHECK(kit.beat(follower.member_id, 2) == E::kNone);
  CHECK(kit.beat(leader.member_id, 2) == E::kNone);
  CHECK(kit.got<SyncReply>(kit.sync(follower)).assignment == "B");
  CHECK(kit.cursor("s") == 5);
  kit.join(Kit::joining(leader.member_id));
  const ReplyTo b = kit.join(Kit::joining(follower.member_id));
  CHECK(kit.got<JoinReply>(b).generation == 3);
  kit.open();  // generation 3 was told but never settled
  CHECK(kit.beat(leader.member_id, 2) == E::kNone);
  kit.join(Kit::joining(leader.member_id));
  CHECK(kit.got<JoinReply>(kit.join(Kit::joining(follower.member_id, "n"))).generation == 4);
}

TEST_CASE("damaged mutations and snapshots are refused") {
  Kit kit;
  kit.settle_one();
  FakeOutput unused;
  for (const auto& mutation : kit.output.mutations) {
    for (size_t cut = 0; cut < mutation.size(); ++cut) {
      CHECK_FALSE(decode_group_mutation(base::View(mutation).first(cut)).has_value());
    }
    auto unknown = mutation;
    unknown[0] = 99;
    CHECK_FALSE(kit.make(unused)->apply(unknown, base::Lsn{1}).has_value());
    CHECK(encode(*decode_group_mutation(mutation)) == mutation);
  }
  const auto snapshot = *kit.table->snapshot("g");
  for (size_t cut = 0; cut < snapshot.size(); ++cut) {
    CHECK_FALSE(decode_snapshot(base::View(snapshot).first(cut)).has_value());
  }
}

TEST_CASE("a roster that does not fit a mutation is refused") {
  Kit kit;
  const auto joined = kit.got<JoinReply>(kit.join(Kit::joining()));
  const std::string huge(kit.config.mutation_bytes_max, 'x');
  CHECK(kit.got<SyncReply>(kit.sync(joined, {{joined.member_id, huge}})).error == E::kGroupTooLarge);
}

// Random clients that obey the rules or not; checks what must hold whatever they do.
struct Chaos {
  explicit Chaos(uint32_t seed) : random(seed), kit({.initial_rebalance_delay_ms = seed % 2 == 0 ? 0 : 3'000}) {}

  int pick(int n) { return static_cast<int>(random() % static_cast<uint32_t>(n)); }

  void step() {
    const int who = pick(5);
    Client& client = clients[who];
    if (client.join && kit.answered(*client.join)) learn(client);
    if (client.sync && kit.answered(*client.sync)) check_sync(client);
    switch (pick(12)) {
      case 0:
      case 1:
      case 2: {
        JoinRequest r = Kit::joining(client.id, pick(4) == 0 ? "other" : "m", who < 2 ? "i" + std::to_string(who) : "");
        if (who < 2 && pick(2) == 0) r.member_id.clear();
        r.can_retry_with_id = pick(2) == 0;
        client.join = kit.join(std::move(r), static_cast<uint64_t>(who));
        break;
      }
      case 3:
      case 4:
      case 5: {
        if (client.joined.generation < 0) break;
        std::vector<SyncRequest::Assignment> given;
        for (const auto& m : client.joined.members) given.push_back({m.member_id, std::to_string(random())});
        client.sync = kit.sync(client.joined, given, static_cast<uint64_t>(who));
        client.sync_generation = client.joined.generation;
        break;
      }
      case 6: kit.beat(client.id, client.joined.generation); break;
      case 7:
        kit.commit(client.id, client.joined.generation, {{"s", static_cast<uint32_t>(pick(3))}, pick(99), 0, "m"});
        break;
      case 8: kit.pass_ms(pick(8'000)); break;
      case 9:
        if (pick(4) == 0) kit.leave({{client.id, {}}});
        break;
      case 10:
        if (pick(3) == 0) kit.table->session_closed({base::CoreId{0}, static_cast<uint64_t>(who)}, kit.now, kit.wall);
        break;
      case 11:
        if (pick(10) == 0)
          kit.open();
        else if (pick(10) == 0)
          kit.table->drop_stream("s");
        break;
    }
    check_generation();
  }

  struct Client {
    std::string id;
    JoinReply joined;
    std::optional<ReplyTo> join, sync;
    int32_t sync_generation = -1;
  };

  void learn(Client& client) {
    const auto reply = kit.got<JoinReply>(*client.join);
    client.join.reset();
    if (reply.error == E::kUnknownMember || reply.error == E::kFencedInstance) client.id.clear();
    if (!reply.member_id.empty() && client.id.empty()) client.id = reply.member_id;
    if (reply.error != E::kNone) return;
    client.id = reply.member_id;
    client.joined = reply;
    told = std::max(told, reply.generation);
  }
  void check_sync(Client& client) {
    const auto reply = kit.got<SyncReply>(*client.sync);
    client.sync.reset();
    if (reply.error != E::kNone) return;
    ++synced;
    const auto [it, is_new] =
        assignments.try_emplace({client.sync_generation, client.joined.member_id}, reply.assignment);
    CHECK(it->second == reply.assignment);  // one generation, one assignment
  }
  void check_generation() {
    const auto bytes = kit.table->snapshot("g");
    if (!bytes) return;
    const GroupState state = *decode_snapshot(*bytes);
    CHECK(state.roster.generation >= settled);
    settled = state.roster.generation;
    CHECK(state.generation_started >= told);
  }
  void check_rebuilt() {
    FakeOutput unused;
    const auto names = std::vector<std::string>{"g"};
    const auto live = snapshots(*kit.table, names);
    const auto replayed = kit.make(unused);
    const auto resumed = kit.make(unused);
    const size_t half = kit.output.mutations.size() / 2;
    const auto early = kit.make(unused);
    for (size_t i = 0; i < kit.output.mutations.size(); ++i) {
      const base::Lsn lsn{i + 1};
      REQUIRE(replayed->apply(kit.output.mutations[i], lsn).has_value());
      if (i < half) REQUIRE(early->apply(kit.output.mutations[i], lsn).has_value());
    }
    if (const auto checkpoint = early->snapshot("g")) {
      REQUIRE(resumed->restore(*checkpoint, early->stamp("g")).has_value());
      for (size_t i = half / 2; i < kit.output.mutations.size(); ++i) {
        REQUIRE(resumed->apply(kit.output.mutations[i], base::Lsn{i + 1}).has_value());
      }
      CHECK(snapshots(*resumed, names) == live);
    }
    CHECK(snapshots(*replayed, names) == live);
    check_same_when_settled(*replayed, unused);
    CHECK_FALSE(kit.output.answered_twice);
    CHECK_FALSE(kit.replay_failed);
  }

  void check_same_when_settled(GroupTable& rebuilt, FakeOutput& answers) {
    const auto live = kit.view();
    if (live.phase != GroupPhase::kStable) return;
    rebuilt.start(kit.now, kit.wall);
    const ReplyTo to = kit.ask();
    rebuilt.describe(to, {{"g"}});
    const auto again = std::get<DescribeGroupsReply>(answers.replies.at(to.token.value).first).groups.at(0);
    CHECK(again.generation == live.generation);
    REQUIRE(again.members.size() == live.members.size());
    for (size_t i = 0; i < live.members.size(); ++i) {
      CHECK(again.members[i].member_id == live.members[i].member_id);
      CHECK(again.members[i].assignment == live.members[i].assignment);
      CHECK(again.members[i].metadata == live.members[i].metadata);
    }
    ++settled_rebuilds;
  }

  std::mt19937 random;
  Kit kit;
  std::map<int, Client> clients;
  std::map<std::pair<int32_t, std::string>, std::string> assignments;
  int32_t told = 0;
  int32_t settled = 0;
  int synced = 0;
  int settled_rebuilds = 0;
};

TEST_CASE("whatever clients do, generations rise, assignments hold, and replay equals live state") {
  int synced = 0;
  int settled_rebuilds = 0;
  for (uint32_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    Chaos chaos(seed);
    for (int i = 0; i < 1'500; ++i) chaos.step();
    chaos.check_rebuilt();
    synced += chaos.synced;
    settled_rebuilds += chaos.settled_rebuilds;
  }
  CHECK(settled_rebuilds > 0);
  CHECK(synced > 1'000);  // the clients got somewhere
}

}  // namespace
}  // namespace polylog::broker
