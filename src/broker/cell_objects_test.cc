// Checkpoints of an engine's objects: in small steps, each once, in parts where one is large.
#include <map>

#include "broker/engine_test_kit.h"
#include "broker/mutations.h"

namespace polylog::broker {
namespace {

using base::limits::kKiB;
using Step = storage::ObjectWalk::Step;

// A queue of one batch, of which every other entry is settled, so that `ranges` of them cannot be one.
base::PartitionKey fragmented_queue(EngineKit& kit, const std::string& name, uint32_t ranges,
                                    Token* attached = nullptr) {
  const auto key = kit.create(name, 1, StreamKind::kQueue).record->key();
  const uint32_t entries = 2 * ranges + 1;
  kit.ask<AppendDone>(key, kit.batch(key, std::string(entries, 'x'), entries));
  const Token consumer = kit.send(key, AttachRequest{.queue = key, .credit = entries, .window_bytes = 1 << 30});
  if (attached != nullptr) *attached = consumer;
  kit.settle();
  SettleRequest request{.queue = key, .ranges = {}, .consumer = consumer};
  for (int64_t at = 1; at < entries; at += 2) request.ranges.emplace_back(Offset(at), Offset(at));
  kit.ask<SettleDone>(key, request);
  return key;
}

std::multimap<uint16_t, size_t> checkpoint(EngineKit& kit) {  // payload bytes by type
  bool done = false;
  storage::Cell& cell = kit.brokers[0]->cell(base::CellId(0))->cell();
  cell.checkpoint([&](base::Result<> result) { done = result.has_value(); });
  kit.settle();
  REQUIRE(done);
  std::multimap<uint16_t, size_t> objects;
  const auto name = storage::newest_checkpoint(kit.disk, "/cell0");
  REQUIRE(storage::read_checkpoint(kit.disk, "/cell0/" + *name,
                                   [&](const storage::CheckpointObject& object) -> base::Result<> {
                                     objects.emplace(object.type, object.payload.size());
                                     return {};
                                   }));
  return objects;
}

std::vector<OffsetRange> ready(EngineKit& kit, const base::PartitionKey& queue) {
  return kit.ask<PeekDone>(queue, PeekRequest{queue, 1'000'000}).ready;
}

TEST_CASE("a_subscription_is_one_object_up_to_its_limit_and_two_past_it_and_opens_as_it_was") {
  for (const uint32_t more : {0u, 1u}) {
    EngineKit kit;
    const auto queue =
        fragmented_queue(kit, "q", kSavedRangesMax + more - 1);  // delivered: one range more than settled
    const auto objects = checkpoint(kit);
    CHECK(objects.count(kSubscriptionObject) == 1);
    CHECK(objects.count(kSubscriptionPartObject) == more);
    for (const auto& [type, bytes] : objects) CHECK(bytes <= 65 * kKiB);
    kit.crash();
    CHECK(ready(kit, queue).size() == kSavedRangesMax + more);
    CHECK(kit.ask<QueueStatsDone>(queue, QueueStatsRequest{queue}).ready == kSavedRangesMax + more);
    CHECK(checkpoint(kit) == objects);
  }
}

TEST_CASE("a_queue_that_is_settled_and_dropped_while_its_parts_are_saved_is_what_it_was_after_a_crash") {
  for (const bool dropped : {false, true}) {
    EngineKit kit;
    kit.close();
    kit.saved_ranges_max = 50;
    kit.open();
    Token consumer;
    const auto queue = fragmented_queue(kit, "q", 20'000, &consumer);
    bool done = false;
    storage::Cell& cell = kit.brokers[0]->cell(base::CellId(0))->cell();
    cell.checkpoint([&](base::Result<> result) { done = result.has_value(); });
    if (dropped) kit.send_catalog(DeleteStream{queue.stream});
    uint32_t settled = 0;
    for (int i = 0; i < 100'000 && !done; ++i) {  // the floor rises meanwhile
      if (!dropped && i % 2 == 0 && settled < 15'000) {
        const Offset next(2 * int64_t{settled++});
        kit.send(queue, SettleRequest{.queue = queue, .ranges = {{next, next}}, .consumer = consumer});
      }
      kit.world.step();
    }
    REQUIRE(done);
    kit.settle();
    if (dropped) {
      CHECK(kit.brokers[0]->catalog().find("q") == nullptr);
      kit.crash();
      CHECK(kit.opened == std::vector<bool>{true});
      continue;
    }
    CHECK(settled > 20);
    for (int i = 0; i < 2; ++i) {
      kit.crash();
      CHECK(ready(kit, queue).size() == 20'001 - settled);
    }
  }
}

TEST_CASE("a_walk_saves_each_queue_once_though_their_table_grows_meanwhile") {
  EngineKit kit;
  std::vector<base::PartitionKey> queues;
  for (int i = 0; i < 40; ++i) queues.push_back(fragmented_queue(kit, "old" + std::to_string(i), 1));
  storage::Engine& engine = *kit.brokers[0]->cell(base::CellId(0));
  const auto walk = engine.walk_objects();
  base::Writer out;
  storage::CheckpointObject object;
  std::map<base::PartitionKey, int> seen;
  int steps = 0;
  for (Step step = walk->next(out, object); step != Step::kEnd; step = walk->next(out, object), ++steps) {
    if (step == Step::kObject) {
      base::Reader in(out.view());
      ++seen[storage::read_key(in)];
    }
    out.clear();
    if (steps % 4 == 0 && steps < 400) kit.create("new" + std::to_string(steps), 1, StreamKind::kQueue);
  }
  CHECK(seen.size() == queues.size());  // to the new ones nothing happened
  for (const auto& queue : queues) CHECK(seen[queue] == 1);
}

TEST_CASE("ranges_without_their_queue_or_of_another_moment_are_refused") {
  EngineKit kit;
  storage::Engine& engine = *kit.brokers[0]->cell(base::CellId(0));
  base::Writer payload;
  storage::write_key(payload, {});
  Subscription().save(payload);
  storage::CheckpointObject part{.type = kSubscriptionPartObject, .stamp = base::Lsn(7), .payload = payload.view()};
  CHECK(engine.restore(part).error().code == base::ErrorCode::kCorrupt);
  storage::CheckpointObject head = part;
  head.type = kSubscriptionObject;
  REQUIRE(engine.restore(head));
  REQUIRE(engine.restore(part));
  part.stamp = base::Lsn(8);
  CHECK(engine.restore(part).error().code == base::ErrorCode::kCorrupt);
}

// Of a stream, each of a partition of its own.
void commit(EngineKit& kit, uint32_t from, uint32_t end, int64_t offset) {
  CommitRequest request{.group = "g"};
  for (uint32_t i = from; i < end; ++i) request.entries.push_back({{"s", i}, offset, -1, "note"});
  kit.send({}, GroupRequest(std::move(request)));
}

std::map<uint32_t, int64_t> cursors(EngineKit& kit) {
  const auto reply = kit.ask<GroupReply>({}, GroupRequest(FetchCursorsRequest{.group = "g", .keys = {}}));
  std::map<uint32_t, int64_t> found;
  for (const auto& entry : std::get<FetchCursorsReply>(reply).entries) found[entry.key.partition] = entry.offset;
  return found;
}

TEST_CASE("a_group_is_one_object_up_to_its_limit_of_cursors_and_two_past_it_and_opens_as_it_was") {
  for (const uint32_t more : {0u, 1u}) {
    EngineKit kit;
    commit(kit, 0, kSavedCursorsMax + more, 5);
    kit.settle();
    const auto objects = checkpoint(kit);
    CHECK(objects.count(kGroupObject) == 1);
    CHECK(objects.count(kGroupCursorsObject) == more);
    const auto before = cursors(kit);
    kit.crash();
    REQUIRE(kit.opened.front());
    CHECK(cursors(kit) == before);
    CHECK(checkpoint(kit) == objects);
  }
}

TEST_CASE("a_group_that_changes_while_its_parts_are_saved_is_what_it_was_after_a_crash") {
  constexpr uint32_t kCursors = 10 * kSavedCursorsMax, kChanges = 2'000;
  for (const bool deleted : {false, true}) {
    EngineKit kit;
    commit(kit, 0, kCursors, 5);
    kit.settle();
    bool done = false;
    storage::Cell& cell = kit.brokers[0]->cell(base::CellId(0))->cell();
    cell.checkpoint([&](base::Result<> result) { done = result.has_value(); });
    for (uint32_t i = 0; i < 100'000 && !done; ++i) {
      const uint32_t first = i * 37 % kCursors;
      if (i < kChanges && i % 2 == 0)
        kit.send({}, GroupRequest(DeleteCursorsRequest{.group = "g", .keys = {{"s", first}}}));
      if (i < kChanges && i % 2 == 1) commit(kit, first, first + 1, 6 + i);
      if (deleted && i == 3) kit.send({}, GroupRequest(DeleteGroupsRequest{.groups = {"g"}}));
      kit.world.step();
    }
    REQUIRE(done);
    kit.settle();
    const auto before = cursors(kit);
    CHECK((before.size() < kCursors / 2) == deleted);
    for (int i = 0; i < 2; ++i) {
      kit.crash();
      REQUIRE(kit.opened.front());
      CHECK(cursors(kit) == before);
    }
  }
}

}  // namespace
}  // namespace polylog::broker
