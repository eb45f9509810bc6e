// When which partition is compacted, on a whole engine.
#include "broker/compaction_schedule.h"

#include <algorithm>
#include <array>

#include "broker/engine_test_kit.h"
#include "storage/compact_format.h"

namespace polylog::broker {
namespace {

using base::limits::kKiB;
using std::chrono::seconds;

// A batch: base offset i64 | filler. Its one record has the same key as all others.
class OneKeyFormat final : public storage::CompactFormat {
 public:
  void each_key(base::View batch, const VisitKey& visit) const override { visit(offset_of(batch), {}); }
  Outcome rewrite(base::View batch, const Rules& rules) const override {
    if (rules.keep_empty || rules.is_latest(offset_of(batch), {})) return {};
    return {.what = What::kGone, .records_removed = 1};
  }

 private:
  static base::Offset offset_of(base::View batch) { return base::Offset(base::Reader(batch).i64le()); }
};

class OneKeyEncoding final : public Encoding {
 public:
  void place(base::MutView head, base::Offset base, base::Epoch) const override {
    std::memcpy(head.data(), &base.value, sizeof base.value);
  }
  base::Result<> to_hub(base::View, base::Offset, const Visit&) const override { return {}; }
  Built from_hub(std::span<const HubMessage>, base::WallTime) const override { return {}; }
  const storage::CompactFormat* compact_format() const override { return &format_; }

 private:
  OneKeyFormat format_;
};

constexpr uint8_t kTag = 5;

struct ScheduleKit : EngineKit {
  ScheduleKit() {
    close();
    encodings.add(kTag, std::make_unique<OneKeyEncoding>());
    compaction.policy = [this](const StreamRecord&) { return policy; };
    tail_bytes_max = 16 * kKiB;  // what is older is read from the disk
    open();
  }
  base::PartitionKey make(const std::string& name) { return create(name).record->key(); }
  void put(const base::PartitionKey& key, size_t batches, size_t bytes = 1'000) {
    for (size_t i = 0; i < batches; ++i) {
      auto request = batch(key, std::string(bytes, 'x'));
      request.encoding = kTag;
      send(key, std::move(request));
      if (i % 20 == 0) world.run_for(std::chrono::milliseconds(20));
    }
    settle();
  }
  storage::Cell& cell() { return brokers[0]->cell(base::CellId(0))->cell(); }
  uint64_t batches(const base::PartitionKey& key) { return cell().find(key)->batch_count(); }
  uint64_t count(const std::string& what) {
    return metrics.counter("polylog_compaction_" + what + "_total", "", "cell=\"0\"").value();
  }
  int64_t failing() { return metrics.gauge("polylog_compaction_failing_partitions", "", "cell=\"0\"").value(); }
  void damage(const base::PartitionKey& key, base::Offset offset) {
    const auto at = cell().find(key)->find(offset)->at;
    REQUIRE(disk.flip_bit("/cell0/" + storage::WalFiles::name_of(at.file_seq), at.offset + 500, 3));
  }

  // Due from now on, and damaged at offset 10.
  base::PartitionKey make_damaged() {
    const auto key = make("damaged");
    policy.reset();
    put(key, 100);
    damage(key, base::Offset(10));
    policy = CompactionPolicy{.active_age_ms_max = 0};
    return key;
  }

  std::optional<CompactionPolicy> policy = CompactionPolicy{.active_age_ms_max = 0};
};

TEST_CASE("what_is_damaged_is_tried_again_less_and_less_often_up_to_an_hour") {
  ScheduleKit kit;
  const auto key = kit.make_damaged();
  kit.world.run_for(seconds(6));
  CHECK(kit.count("failures") == 1);
  CHECK(kit.failing() == 1);
  kit.world.run_for(seconds(35));
  CHECK(kit.count("failures") == 2);  // after 30 s; then after 60, 120, 240, 480, 960, 1920, 3600, 3600 ...
  kit.world.run_for(seconds(60 + 120 + 240 + 480 + 960 + 1920 + 60));
  CHECK(kit.count("failures") == 8);
  for (uint64_t more = 9; more < 12; ++more) {
    kit.world.run_for(seconds(3600));
    CHECK(kit.count("failures") == more);
  }
  CHECK(kit.count("passes") == 0);
  // What was damaged is gone: no hour passes until that is noticed.
  kit.cell().trim(*kit.cell().find(key), base::Offset(11));
  kit.cell().end_turn();
  kit.world.run_for(seconds(36));
  CHECK(kit.count("passes") == 1);
  CHECK(kit.count("failures") == 11);
  CHECK(kit.failing() == 0);
  CHECK(kit.batches(key) == 1);
}

TEST_CASE("a_start_that_moves_does_not_make_the_retries_more_frequent_than_half_a_minute") {
  ScheduleKit kit;
  const auto key = kit.make("damaged");
  kit.policy.reset();
  kit.put(key, 200);
  kit.damage(key, base::Offset(199 - 20));
  kit.policy = CompactionPolicy{.active_age_ms_max = 0};
  for (int64_t i = 1; i <= 30; ++i) {
    kit.cell().trim(*kit.cell().find(key), base::Offset(i));
    kit.cell().end_turn();
    kit.world.run_for(seconds(10));
  }
  CHECK(kit.count("failures") >= 8);
  CHECK(kit.count("failures") <= 11);
}

TEST_CASE("a_damaged_partition_that_need_not_be_compacted_any_more_is_not_counted") {
  ScheduleKit kit;
  kit.make_damaged();
  kit.world.run_for(seconds(6));
  CHECK(kit.failing() == 1);
  kit.policy.reset();
  kit.world.run_for(seconds(6));
  CHECK(kit.failing() == 0);
}

TEST_CASE("a_damaged_partition_that_is_deleted_is_not_counted_any_more") {
  ScheduleKit kit;
  const auto key = kit.make("damaged"), other = kit.make("sound");
  kit.policy.reset();
  kit.put(key, 100);
  kit.put(other, 100);
  kit.damage(key, base::Offset(10));
  kit.policy = CompactionPolicy{.active_age_ms_max = 0};
  kit.world.run_for(seconds(20));
  CHECK(kit.failing() == 1);
  CHECK(kit.batches(other) == 1);  // the other one is compacted all the same
  REQUIRE(kit.change(DeleteStream{key.stream}).result);
  CHECK(kit.failing() == 0);
}

// A long one that takes 40 s and more has begun.
struct BusyKit : ScheduleKit {
  explicit BusyKit(uint64_t short_bytes_max) {
    close();
    compaction.short_bytes_max = short_bytes_max;
    pack_bytes_per_second = 20 * kKiB;
    open();
    big = make("big");
    put(big, 400);
    world.run_for(seconds(5));
    REQUIRE(cell().compactor().busy());
  }
  base::PartitionKey big;
};

TEST_CASE("short_ones_do_not_wait_for_a_long_one_however_long_it_takes") {
  BusyKit kit(50'000);
  std::vector<base::PartitionKey> small;
  for (int i = 0; i < 3; ++i) small.push_back(kit.make("small" + std::to_string(i)));
  for (const auto& key : small) kit.put(key, 20);
  kit.world.run_for(seconds(25));
  for (const auto& key : small) CHECK(kit.batches(key) == 1);
  CHECK(kit.batches(kit.big) == 400);
  kit.world.run_for(seconds(60));
  CHECK(kit.batches(kit.big) == 1);
}

TEST_CASE("a_partition_of_the_limit_is_short_and_of_one_byte_more_long") {
  for (const uint64_t less : {0, 1}) {
    BusyKit kit(20'000 - less);
    const auto other = kit.make("other");
    kit.put(other, 20, 1'000);
    kit.world.run_for(seconds(15));
    CHECK(kit.batches(other) == (less == 0 ? 1 : 20));
    kit.world.run_for(seconds(60));
    CHECK(kit.batches(other) == 1);
  }
}

TEST_CASE("of_those_that_wait_the_dirtiest_is_next") {
  BusyKit kit(10);  // all are long
  std::vector<base::PartitionKey> waiting;
  for (int i = 0; i < 4; ++i) waiting.push_back(kit.make("waiting" + std::to_string(i)));
  kit.policy = CompactionPolicy{.dirty_ratio_min = 0.1, .active_age_ms_max = 0};
  kit.world.run_for(seconds(50));
  REQUIRE(!kit.cell().compactor().busy());
  for (const auto& key : waiting) kit.put(key, 20);
  kit.world.run_for(seconds(30));
  for (const auto& key : waiting) REQUIRE(kit.batches(key) == 1);
  kit.put(kit.big, 400);  // busy again
  kit.world.run_for(seconds(6));
  REQUIRE(kit.cell().compactor().busy());
  for (const size_t i : {2, 0, 3, 1}) kit.put(waiting[i], i + 1);  // the clean batch of each counts, too
  std::vector<size_t> order;
  for (int tick = 0; tick < 2000 && order.size() < waiting.size(); ++tick) {
    kit.world.run_for(std::chrono::milliseconds(50));
    for (size_t i = 0; i < waiting.size(); ++i)
      if (kit.batches(waiting[i]) == 1 && std::ranges::find(order, i) == order.end()) order.push_back(i);
  }
  CHECK(order == std::vector<size_t>{3, 2, 1, 0});
}

TEST_CASE("a_look_at_all_keeps_so_many_of_those_that_are_due_the_dirtiest") {
  ScheduleKit kit;
  kit.close();
  kit.compaction.due_max = 2;
  kit.open();
  std::vector<base::PartitionKey> keys;
  for (int i = 0; i < 3; ++i) keys.push_back(kit.make("due" + std::to_string(i)));
  const auto compacted = [&] {
    std::vector<bool> is_compacted;
    for (const auto& key : keys) is_compacted.push_back(kit.batches(key) == 1);
    return is_compacted;
  };
  for (const auto& key : keys) kit.put(key, 20);
  kit.world.run_for(seconds(15));
  REQUIRE(compacted() == std::vector{true, true, true});
  kit.policy.reset();
  for (const size_t i : {0, 1, 2}) kit.put(keys[i], std::array{3, 1, 2}[i]);
  kit.policy = CompactionPolicy{.dirty_ratio_min = 0.1, .active_age_ms_max = 0};
  const auto passes = kit.count("passes");
  while (kit.count("passes") == passes) kit.world.run_for(std::chrono::milliseconds(100));
  kit.world.run_for(kit.compaction.interval / 2);
  CHECK(compacted() == std::vector{true, false, true});
  kit.world.run_for(kit.compaction.interval);
  CHECK(compacted() == std::vector{true, true, true});
}

}  // namespace
}  // namespace polylog::broker
