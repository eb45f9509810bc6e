// A partition that changes while it is saved in parts: whatever happens between the parts, what they hold and the replay of
// the log from the first part on come to the same state.
#include <doctest/doctest.h>

#include <algorithm>

#include "storage/cell_test_kit.h"
#include "storage/replay.h"

namespace polylog::storage {
namespace {

using base::limits::kKiB;

// Does to a partition what a cell may, and keeps the log of it.
struct Changed {
  explicit Changed(uint64_t seed) : random(seed) {}

  template <typename M>
  void apply(MutationType type, const M& m) {
    base::Writer payload;
    encode(payload, m);
    log.emplace_back(type, std::move(payload.buffer()));
    REQUIRE(replay_mutation(partitions, {type, 1, log.back().second}, lsn()));
  }
  Lsn lsn() const { return Lsn(log.size()); }
  Partition& partition() { return find_or_make(partitions, key, false); }
  int64_t below(int64_t end) { return static_cast<int64_t>(random.below(static_cast<uint64_t>(end))); }

  void append() {
    const uint32_t count = 1 + static_cast<uint32_t>(below(3));
    AppendMutation m{.partition = key, .base_offset = partition().appended(), .count = count, .crc = count};
    m.pieces = {{{1 + log.size() / 50, log.size() * 10}, 10}};
    if (below(10) == 0) m.pieces.push_back({{9, log.size()}, 7});
    apply(MutationType::kAppend, m);
  }
  void trim() {
    const int64_t start = partition().start().value;
    apply(MutationType::kTrim, TrimMutation{key, Offset(start + below(partition().appended().value - start + 1) / 4)});
  }
  void move() {
    const auto& batches = partition().batches();
    if (batches.empty()) return;
    const auto first = static_cast<size_t>(below(static_cast<int64_t>(batches.size())));
    const auto count = static_cast<uint32_t>(1 + below(static_cast<int64_t>(batches.size() - first)));
    apply(MutationType::kMove, MoveMutation{++pack, {{key, batches[first].base_offset, count, 100}}});
  }
  void segment() {
    const auto& batches = partition().batches();
    if (batches.size() < 3) return;
    const auto last = batches.begin() + below(static_cast<int64_t>(batches.size()) / 3);
    apply(MutationType::kSegment, SegmentMutation{key,
                                                  {.extent = ++pack,
                                                   .base_offset = batches.front().base_offset,
                                                   .end_offset = last->end_offset(),
                                                   .data_bytes = 77,
                                                   .batch_count = 1}});
  }
  void change(bool may_move = true) {
    switch (random.below(8)) {
      case 0: return trim();
      case 1: return segment();
      case 2:
      case 3:
      case 4: return may_move ? move() : append();
      default: return append();
    }
  }
  static std::string image(Partition& partition) {
    base::Writer out;
    partition.save(out);
    return std::string(base::as_text(out.view()));
  }

  io::Random random;
  const base::PartitionKey key = test_key(1);
  Partitions partitions;
  std::vector<std::pair<MutationType, std::vector<uint8_t>>> log;
  uint64_t pack = 0;
};

std::vector<uint8_t> with_key(const base::PartitionKey& key) {
  base::Writer out;
  write_key(out, key);
  return std::move(out.buffer());
}

TEST_CASE("a_partition_saved_in_parts_while_it_changes_is_the_same_after_replay") {
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    CAPTURE(seed);
    Changed live(seed);
    for (int i = 0; i < 60; ++i) live.append();
    for (int i = 0; i < 20; ++i) live.change();
    const Lsn stamp = live.lsn();
    Partitions loaded;
    const auto restore = [&](uint16_t type, uint8_t version, const std::vector<uint8_t>& bytes) {
      REQUIRE(restore_partition(loaded, {.type = type, .version = version, .stamp = stamp, .payload = bytes}));
    };
    const size_t part_batches = 1 + live.random.below(20);
    auto bytes = with_key(live.key);
    base::Writer head(bytes);
    auto saved = live.partition().save(head, part_batches);
    restore(kPartitionObject, Partition::kSavedVersion, bytes);
    while (!saved.is_last()) {
      for (uint64_t left = live.random.below(6); left > 0; --left) live.change(false);
      bytes = with_key(live.key);
      base::Writer part(bytes);
      saved = live.partition().save_more(part, saved, part_batches);
      restore(kPartitionBatchesObject, 1, bytes);
    }
    for (uint64_t left = live.random.below(20); left > 0; --left) live.change();
    for (size_t i = 0; i < live.log.size(); ++i)
      REQUIRE(replay_mutation(loaded, {live.log[i].first, 1, live.log[i].second}, Lsn(i + 1)));
    Partition& again = *loaded.at(live.key);
    CHECK(Changed::image(again) == Changed::image(live.partition()));
    CHECK(again.stored_bytes() == live.partition().stored_bytes());
  }
}

TEST_CASE("batches_that_do_not_follow_those_of_their_partition_are_refused") {
  Changed live(1);
  for (int i = 0; i < 20; ++i) live.append();
  auto head_bytes = with_key(live.key), part_bytes = with_key(live.key);
  base::Writer head(head_bytes), part(part_bytes);
  const auto saved = live.partition().save(head, 10);
  live.partition().save_more(part, saved, 10);
  const CheckpointObject first{.type = kPartitionObject, .version = 2, .stamp = Lsn(20), .payload = head_bytes};
  const CheckpointObject more{.type = kPartitionBatchesObject, .version = 1, .stamp = Lsn(20), .payload = part_bytes};
  Partitions loaded;
  CHECK(restore_partition(loaded, more).error().code == base::ErrorCode::kCorrupt);  // without a head
  REQUIRE(restore_partition(loaded, first));
  CHECK(restore_partition(loaded, {more.type, 2, more.stamp, more.payload}).error().code == base::ErrorCode::kCorrupt);
  REQUIRE(restore_partition(loaded, more));
  CHECK(restore_partition(loaded, more).error().code == base::ErrorCode::kCorrupt);  // twice
  CHECK(Changed::image(*loaded.at(live.key)) == Changed::image(live.partition()));
}

TEST_CASE("a_queue_of_many_messages_is_checkpointed_in_small_objects_while_it_goes_on") {
  constexpr int kMessages = 20'000;
  CellKit kit;
  kit.open();
  const base::PartitionKey queue = test_key(2);
  std::vector<std::string> wanted;
  const auto put = [&](int number) {
    wanted.push_back(test_batch(static_cast<uint64_t>(number), 20));
    REQUIRE(kit.append(queue, wanted.back()));
  };
  for (int i = 0; i < kMessages; ++i) put(i);
  kit.settle();
  bool done = false;
  kit.cell->checkpoint([&](base::Result<> result) { done = result.has_value(); });
  int trimmed = 0;
  for (int i = 0; !done && i < 1000; ++i) {
    put(kMessages + i);
    trimmed += 37;
    kit.cell->trim(*kit.cell->find(queue), Offset(trimmed));
    kit.cell->end_turn();
    kit.world.run_for(std::chrono::microseconds(200));
  }
  REQUIRE(done);
  size_t objects = 0;
  const auto name = newest_checkpoint(kit.disk, "/cell");
  REQUIRE(read_checkpoint(kit.disk, "/cell/" + *name, [&](const CheckpointObject& object) -> base::Result<> {
    ++objects;
    CHECK(object.payload.size() <= 256 * kKiB);
    return {};
  }));
  CHECK(objects >= 3);
  kit.settle();
  const std::string before = kit.image(queue);
  kit.crash();
  kit.open();
  CHECK(kit.image(queue) == before);
  wanted.erase(wanted.begin(), wanted.begin() + trimmed);
  CHECK(kit.contents(queue) == wanted);
}

}  // namespace
}  // namespace polylog::storage
