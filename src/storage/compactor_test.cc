#include "storage/compactor.h"

#include <map>

#include "storage/cell_test_kit.h"

namespace polylog::storage {
namespace {

using base::ErrorCode;
using base::limits::kKiB;

const base::PartitionKey kLog = test_key(1), kOther = test_key(3);

// A record of a test batch; the batch: base offset i64 | { delta u32 | key u16 | value u32, 0: deletes the key }... | filler
struct Record {
  int64_t offset = 0;
  uint16_t key = 0;
  uint32_t value = 0;
  friend bool operator==(const Record&, const Record&) = default;
};
constexpr size_t kFillerBytes = 500;

std::vector<uint8_t> encode(int64_t base, const std::vector<Record>& records) {
  base::Writer out;
  out.i64le(base);
  for (const Record& record : records) {
    out.u32le(static_cast<uint32_t>(record.offset - base));
    out.u16le(record.key);
    out.u32le(record.value);
  }
  out.zeros(kFillerBytes);
  return std::move(out.buffer());
}
std::vector<Record> decode(View bytes) {
  base::Reader in(bytes);
  const int64_t base = in.i64le();
  std::vector<Record> records;
  while (in.remaining() > kFillerBytes) {
    const int64_t offset = base + in.u32le();
    const uint16_t key = in.u16le();
    records.push_back({offset, key, in.u32le()});
  }
  return records;
}
View key_of(const Record& record) { return {reinterpret_cast<const uint8_t*>(&record.key), sizeof record.key}; }

class TestFormat final : public CompactFormat {
 public:
  void each_key(View batch, const VisitKey& visit) const override {
    for (const Record& record : decode(batch)) visit(Offset(record.offset), key_of(record));
  }
  // Marks that delete are dated by what the outcome says, and go in the first pass in which they may not be dated.
  Outcome rewrite(View batch, const Rules& rules) const override {
    std::vector<Record> records = decode(batch);
    const size_t before = records.size();
    std::erase_if(records, [&](const Record& record) {
      return !rules.is_latest(Offset(record.offset), key_of(record)) ||
             (record.value == 0 && !rules.may_date_deletes && rules.may_remove_deletes);
    });
    Outcome outcome{.max_ts = {5}, .records_removed = static_cast<uint32_t>(before - records.size())};
    for (const Record& record : records)
      if (record.value == 0) outcome.deletes_until = base::WallTime{rules.now.ms + rules.delete_retention_ms};
    if (records.empty() && !rules.keep_empty) {
      outcome.what = What::kGone;
    } else if (records.size() < before) {
      outcome.what = What::kRewritten;
      base::Reader in(batch);
      outcome.bytes = encode(in.i64le(), records);
    }
    return outcome;
  }
};
const TestFormat kFormat;

struct CompactKit : CellKit {
  CompactKit() { tail_bytes_max = 64 * kKiB; }

  RecoveryReport open() {
    auto report = CellKit::open();
    cell->find_or_make(kLog, false).set_moves_to_segments(true);
    return report;
  }
  void put(std::vector<std::pair<uint16_t, uint32_t>> pairs, std::optional<WriterStamp> writer = {}) {
    std::vector<Record> records;
    for (const auto& [key, value] : pairs) records.push_back({static_cast<int64_t>(records.size()), key, value});
    const Cell::BatchInfo info{.count = static_cast<uint32_t>(records.size()),
                               .encoding = encoding,
                               .max_ts = {5},
                               .writer = writer,
                               .place = [](base::MutView head, Offset base, base::Epoch) {
                                 std::memcpy(head.data(), &base.value, sizeof base.value);
                               }};
    const auto appended = cell->append(cell->find_or_make(kLog, false), info, encode(0, records));
    REQUIRE(appended);
    cell->end_turn();
    for (Record& record : records) {
      record.offset += appended->base_offset.value;
      all.push_back(record);
    }
  }
  // `batches` of four records of `keys` keys each.
  void fill(size_t batches, uint32_t keys) {
    for (size_t i = 0; i < batches; ++i) {
      std::vector<std::pair<uint16_t, uint32_t>> pairs;
      for (int n = 0; n < 4; ++n) pairs.emplace_back(static_cast<uint16_t>(random.below(keys)), ++next_value);
      put(pairs);
      if (i % 50 == 0) settle();
    }
    settle();
  }
  Compactor::Plan plan(Offset dirty = Offset(0)) {
    return {.partition = kLog,
            .dirty = dirty,
            .end = cell->find(kLog)->committed(),
            .now = {1'000'000},
            .delete_retention_ms = 77,
            .format_of = [](uint8_t tag) -> const CompactFormat* { return tag == 7 ? &kFormat : nullptr; }};
  }
  base::Result<Compactor::Outcome> compact(Compactor::Plan wanted) {
    base::Result<Compactor::Outcome> result = base::fail(ErrorCode::kTimeout, "no answer");
    cell->compactor().run(std::move(wanted), [&](base::Result<Compactor::Outcome> r) { result = std::move(r); });
    while (cell->compactor().busy()) settle();
    settle();
    return result;
  }
  std::vector<Record> stored() {
    const auto texts = contents(kLog);
    REQUIRE_MESSAGE(texts.has_value(), (texts ? "" : texts.error().text));
    std::vector<Record> records;
    for (const std::string& text : *texts)
      for (const Record& record : decode(base::as_view(text))) records.push_back(record);
    return records;
  }
  // Of all that was put before `end`, the last of each key; behind it, all.
  std::vector<Record> wanted(int64_t end = INT64_MAX) const {
    std::map<uint16_t, int64_t> last;
    for (const Record& record : all)
      if (record.offset < end) last[record.key] = record.offset;
    std::vector<Record> left;
    for (const Record& record : all)
      if (record.offset >= end || last[record.key] == record.offset) left.push_back(record);
    return left;
  }
  // In order, as they were, and the last of each key among them.
  void check_sound() {
    const std::vector<Record> found = stored();
    std::map<uint16_t, Record> newest;
    int64_t previous = -1;
    for (const Record& record : found) {
      CHECK(record.offset > previous);
      previous = record.offset;
      REQUIRE(static_cast<size_t>(record.offset) < all.size());
      CHECK(record == all[static_cast<size_t>(record.offset)]);
      newest[record.key] = record;
    }
    for (const Record& record : wanted()) CHECK(newest[record.key] == record);
  }
  size_t files(std::string_view prefix) {
    size_t count = 0;
    const auto names = disk.list("/cell");
    for (const std::string& name : *names) count += name.starts_with(prefix);
    return count;
  }

  io::Random random{7};
  uint8_t encoding = 7;
  uint32_t next_value = 0;
  std::vector<Record> all;  // by offset
};

TEST_CASE("compaction_leaves_the_last_record_of_each_key_in_place_and_in_order") {
  CompactKit kit;
  kit.open();
  kit.fill(300, 40);
  const Offset end = kit.cell->find(kLog)->committed();
  const auto done = kit.compact(kit.plan());
  REQUIRE(done);
  CHECK(done->clean == end);
  CHECK(kit.stored() == kit.wanted());
  CHECK(done->counts.records_removed == kit.all.size() - kit.wanted().size());
  CHECK(kit.cell->find(kLog)->committed() == end);
  const std::string image = kit.image(kLog);
  kit.crash();
  kit.open();
  CHECK(kit.image(kLog) == image);
  CHECK(kit.stored() == kit.wanted());
}

TEST_CASE("segments_and_what_is_still_in_the_log_are_compacted_together_and_old_files_go") {
  CompactKit kit;
  kit.keep_files = 1;
  kit.open();
  kit.fill(8'000, 200);
  kit.world.run_for(std::chrono::seconds(30));  // the packer's
  const Partition& partition = *kit.cell->find(kLog);
  REQUIRE(!partition.segments().empty());
  REQUIRE(!partition.batches().empty());
  REQUIRE(kit.compact(kit.plan()));
  CHECK(partition.segments().size() == 1);
  CHECK(partition.batches().empty());
  CHECK(kit.stored() == kit.wanted());
  REQUIRE(kit.checkpoint());
  kit.settle();
  CHECK(kit.files("segment-") == 1);
  // New data on top: only that is dirty, and the clean part loses what it replaces.
  const Offset clean = partition.committed();
  kit.fill(100, 200);
  const auto again = kit.compact(kit.plan(clean));
  REQUIRE(again);
  CHECK(kit.stored() == kit.wanted());
  kit.crash();
  kit.open();
  CHECK(kit.stored() == kit.wanted());
}

TEST_CASE("a_crash_at_any_moment_of_a_compaction_loses_no_last_record") {
  for (uint64_t moment = 0; moment < 80; ++moment) {
    CompactKit kit;
    kit.open();
    kit.fill(400, 30);
    Compactor::Plan plan = kit.plan();
    plan.segment_bytes_max = 30 * kKiB;  // many groups
    bool ended = false;
    kit.cell->compactor().run(std::move(plan), [&](const auto&) { ended = true; });
    for (uint64_t i = 0; i < moment * 3 && !ended; ++i) kit.world.step();
    kit.crash();
    kit.open();
    kit.check_sound();
    REQUIRE(kit.compact(kit.plan()));
    CHECK(kit.stored() == kit.wanted());
  }
}

TEST_CASE("a_crash_between_the_parts_of_a_batch_loses_no_last_record") {
  for (uint64_t moment = 0; moment < 40; ++moment) {
    CompactKit kit;
    kit.compact_bytes_max = 24 * 40;  // 30 keys
    kit.open();
    std::vector<std::pair<uint16_t, uint32_t>> many;
    for (uint16_t i = 0; i < 250; ++i) many.emplace_back(i % 200, ++kit.next_value);
    kit.put(many);
    kit.put(many);
    kit.settle();
    bool ended = false;
    kit.cell->compactor().run(kit.plan(Offset(250)), [&](const auto&) { ended = true; });
    for (uint64_t i = 0; i < moment * 5 && !ended; ++i) kit.world.step();
    kit.crash();
    kit.open();
    kit.check_sound();
    REQUIRE(kit.compact(kit.plan(Offset(250))));
    CHECK(kit.stored() == kit.wanted());
  }
}

TEST_CASE("when_keys_do_not_fit_a_part_is_compacted_and_the_next_pass_goes_on") {
  CompactKit kit;
  kit.compact_bytes_max = 24 * 40;  // 30 keys
  kit.open();
  REQUIRE(KeyOffsets(kit.compact_bytes_max, 1'000, {}).keys_max() == 30);
  for (int turn = 0; turn < 2; ++turn)
    for (uint16_t key = 0; key < 30; ++key) kit.put({{key, ++kit.next_value}});
  kit.settle();
  auto done = kit.compact(kit.plan());
  REQUIRE(done);
  CHECK(done->clean == Offset(60));  // at the limit: all at once
  CHECK(kit.stored() == kit.wanted());

  kit.put({{100, 1}});  // one past it
  for (uint16_t key = 0; key < 30; ++key) kit.put({{key, ++kit.next_value}});
  kit.settle();
  done = kit.compact(kit.plan(Offset(60)));
  REQUIRE(done);
  CHECK(done->clean == Offset(90));
  kit.check_sound();
  CHECK(kit.stored().size() == kit.wanted().size() + 1);  // the key that was left has its old record, too
  done = kit.compact(kit.plan(done->clean));
  REQUIRE(done);
  CHECK(done->clean == Offset(91));
  CHECK(kit.stored() == kit.wanted());
}

TEST_CASE("a_batch_with_more_keys_than_ever_fit_is_compacted_a_part_of_them_at_a_time") {
  CompactKit kit;
  kit.compact_bytes_max = 24 * 4;  // 3 keys
  kit.open();
  kit.put({{1, 1}, {2, 2}, {3, 3}});
  kit.put({{1, 4}, {2, 5}, {3, 6}, {4, 7}});  // one too many
  kit.put({{1, 8}, {2, 9}, {3, 10}});
  kit.settle();
  for (Offset clean(0); const int64_t end : {3, 7, 10}) {
    const auto done = kit.compact(kit.plan(clean));
    REQUIRE(done);
    clean = done->clean;
    CHECK(clean == Offset(end));
    kit.check_sound();
  }
  CHECK(kit.stored() == kit.wanted());
}

TEST_CASE("a_batch_with_more_records_than_64_parts_take_is_left_as_it_is") {
  CompactKit kit;
  kit.compact_bytes_max = 24 * 4;  // 3 keys
  kit.open();
  std::vector<std::pair<uint16_t, uint32_t>> most(size_t{64} * 3, {1, 1});
  for (auto& [key, value] : most) value = ++kit.next_value;
  kit.put(most);
  most.emplace_back(1, ++kit.next_value);
  kit.put(most);
  kit.settle();
  const auto done = kit.compact(kit.plan());
  REQUIRE(done);
  CHECK(done->clean == Offset(64 * 3 + 64 * 3 + 1));
  CHECK(done->counts.records_removed == 64 * 3 - 1);  // within the first; what the second holds is not known
}

TEST_CASE("a_batch_with_many_times_the_keys_that_fit_replaces_what_is_older_and_in_itself") {
  CompactKit kit;
  kit.compact_bytes_max = 24 * 40;  // 30 keys
  kit.open();
  constexpr uint16_t kKeys = 500;
  std::vector<std::pair<uint16_t, uint32_t>> twice;
  for (int turn = 0; turn < 2; ++turn)
    for (uint16_t key = 0; key < kKeys; ++key) twice.emplace_back(key, ++kit.next_value);
  for (uint16_t key = 0; key < kKeys + 10; ++key) kit.put({{key, ++kit.next_value}});
  kit.put(twice);
  kit.settle();
  const auto done = kit.compact(kit.plan(Offset(kKeys + 10)));
  REQUIRE(done);
  CHECK(done->clean == Offset(3 * kKeys + 10));
  CHECK(done->counts.records_removed == 2 * kKeys);
  CHECK(kit.stored() == kit.wanted());
}

// A mark may go only when nothing of its key is below it, which is known after the last part.
TEST_CASE("marks_in_a_batch_that_is_taken_in_parts_are_dated_once_and_outlive_what_they_delete") {
  CompactKit kit;
  kit.compact_bytes_max = 24 * 4;  // 3 keys
  kit.open();
  kit.put({{1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}, {1, 0}, {2, 0}, {3, 0}, {4, 0}});
  kit.settle();
  const auto first = kit.compact(kit.plan());
  REQUIRE(first);
  CHECK(first->clean == Offset(9));
  CHECK(first->deletes_until == base::WallTime{1'000'077});
  CHECK(kit.stored() == kit.wanted());
  REQUIRE(kit.compact(kit.plan(first->clean)));
  CHECK(kit.stored() == std::vector<Record>{kit.all[4]});
}

TEST_CASE("the_end_of_a_segment_and_the_last_batch_of_a_writer_stay_if_need_be_empty") {
  CompactKit kit;
  kit.open();
  kit.put({{1, 1}});
  kit.put({{1, 2}}, WriterStamp{.id = 9, .epoch = 0, .first_sequence = 0, .last_sequence = 0});
  kit.put({{1, 3}});
  kit.put({{2, 4}});
  kit.put({{1, 5}});
  kit.settle();
  Compactor::Plan plan = kit.plan();
  plan.end = Offset(3);
  REQUIRE(kit.compact(plan));
  CHECK(kit.stored() == std::vector<Record>{kit.all[2], kit.all[3], kit.all[4]});
  plan.dirty = Offset(3);
  plan.end = Offset(5);
  plan.segment_bytes_max = 1;  // the segment by itself, then each batch behind it
  REQUIRE(kit.compact(plan));
  CHECK(kit.stored() == std::vector<Record>{kit.all[3], kit.all[4]});
  CHECK(kit.cell->find(kLog)->segments().size() == 3);
  const auto texts = kit.contents(kLog);
  REQUIRE(texts);
  CHECK(texts->size() == 4);  // the writer's last one and the end of the first segment are there, and empty
}

TEST_CASE("marks_that_delete_are_dated_only_behind_what_was_clean_before") {
  CompactKit kit;
  kit.open();
  kit.put({{1, 1}});
  kit.put({{1, 0}});
  kit.put({{2, 1}});
  kit.settle();
  const auto first = kit.compact(kit.plan());
  REQUIRE(first);
  CHECK(first->deletes_until == base::WallTime{1'000'077});
  CHECK(kit.stored() == std::vector<Record>{kit.all[1], kit.all[2]});
  const auto second = kit.compact(kit.plan(first->clean));  // nothing is dirty
  REQUIRE(second);
  CHECK(!second->deletes_until);
  CHECK(kit.stored() == std::vector<Record>{kit.all[2]});
}

TEST_CASE("a_mark_stays_while_a_batch_below_it_may_hold_an_older_record_of_its_key") {
  CompactKit kit;
  kit.open();
  kit.encoding = 8;  // nobody knows its keys
  kit.put({{1, 4}, {2, 5}});
  kit.encoding = 7;
  kit.put({{1, 0}});
  kit.put({{2, 1}});
  kit.settle();
  const auto first = kit.compact(kit.plan());
  REQUIRE(first);
  CHECK(!first->deletes_until);
  REQUIRE(kit.compact(kit.plan(first->clean)));
  CHECK(kit.stored() == kit.all);
}

TEST_CASE("a_pass_that_begins_within_a_batch_takes_the_whole_of_it") {
  CompactKit kit;
  kit.compact_bytes_max = 24 * 4;  // 3 keys
  kit.open();
  kit.put({{1, 1}, {2, 2}, {3, 3}});
  kit.put({{1, 4}});
  kit.settle();
  kit.cell->trim(*kit.cell->find(kLog), Offset(2));
  kit.cell->end_turn();
  kit.settle();
  const auto done = kit.compact(kit.plan(Offset(2)));  // two offsets: keys of what lies before them are not counted
  REQUIRE(done);
  CHECK(done->clean == Offset(4));
  REQUIRE(kit.cell->find(kLog)->segments().size() == 1);
  CHECK(kit.cell->find(kLog)->segments().front().base_offset == Offset(0));
}

TEST_CASE("a_partition_that_is_trimmed_or_dropped_meanwhile_ends_the_pass_well") {
  for (uint64_t moment = 0; moment < 60; ++moment) {
    CompactKit kit;
    kit.open();
    kit.fill(400, 30);
    Compactor::Plan plan = kit.plan();
    plan.segment_bytes_max = 30 * kKiB;
    bool ended = false;
    kit.cell->compactor().run(std::move(plan), [&](const auto&) { ended = true; });
    for (uint64_t i = 0; i < moment * 3 && !ended; ++i) kit.world.step();
    const bool drops = moment % 2 == 0;
    if (drops) {
      kit.cell->drop(kLog);
    } else {
      kit.cell->trim(*kit.cell->find(kLog), Offset(700));
    }
    kit.cell->end_turn();
    kit.world.run_for(std::chrono::seconds(3));
    CHECK(ended);
    if (!drops) {
      for (const Record& record : kit.stored())
        if (record.offset >= 700) CHECK(record == kit.all[static_cast<size_t>(record.offset)]);
    }
    kit.crash();
    kit.open();
    if (drops) CHECK(kit.contents(kLog)->empty());
  }
}

TEST_CASE("what_the_packer_moves_meanwhile_is_neither_lost_nor_there_twice") {
  for (uint64_t moment = 0; moment < 30; ++moment) {
    CompactKit kit;
    kit.keep_files = 1;
    kit.open();
    kit.fill(6'000, 200);
    kit.world.run_for(std::chrono::milliseconds(900 + 10 * moment));
    const auto done = kit.compact(kit.plan());
    CHECK((done.has_value() || done.error().code == ErrorCode::kConflict));
    kit.world.run_for(std::chrono::seconds(20));
    kit.check_sound();
    REQUIRE(kit.compact(kit.plan()));
    CHECK(kit.stored() == kit.wanted());
    kit.crash();
    kit.open();
    CHECK(kit.stored() == kit.wanted());
  }
}

TEST_CASE("a_short_pass_does_not_wait_for_a_long_one_and_both_come_out_right") {
  CompactKit kit;
  kit.pack_bytes_per_second = 1024 * kKiB;
  kit.open();
  kit.fill(4'000, 200);
  kit.cell->find_or_make(kOther, false).set_moves_to_segments(true);
  for (uint32_t i = 0; i < 40; ++i) REQUIRE(kit.append(kOther, base::as_text(encode(i, {{i, i % 4 == 0, i}}))));
  kit.settle();
  std::vector<std::string> ended;
  Compactor::Plan other = kit.plan();
  other.partition = kOther;
  other.end = kit.cell->find(kOther)->committed();
  kit.cell->compactor().run(kit.plan(), [&](const auto& outcome) {
    CHECK(outcome);
    ended.emplace_back("long");
  });
  kit.cell->compactor().run(other, [&](const auto& outcome) {
    CHECK(outcome);
    ended.emplace_back("short");
  });
  while (kit.cell->compactor().busy()) kit.settle();
  CHECK(ended == std::vector<std::string>{"short", "long"});
  CHECK(kit.stored() == kit.wanted());
  std::vector<int64_t> left;
  for (const std::string& text : *kit.contents(kOther))
    for (const Record& record : decode(base::as_view(text))) left.push_back(record.offset);
  CHECK(left == std::vector<int64_t>{36, 39});
}

TEST_CASE("what_is_written_during_a_pass_moves_to_segments_before_it_ends") {
  CompactKit kit;
  kit.keep_files = 1;
  kit.open();
  kit.fill(6'000, 6'000);
  kit.world.run_for(std::chrono::seconds(30));
  kit.close();
  kit.pack_bytes_per_second = 512 * kKiB;
  kit.open();
  Compactor::Plan plan = kit.plan();
  plan.segment_bytes_max = 1024 * kKiB;
  const Offset end = plan.end;
  bool ended = false, moved = false;
  kit.cell->compactor().run(std::move(plan), [&](const auto& outcome) {
    CHECK(outcome);
    ended = true;
  });
  const Partition& partition = *kit.cell->find(kLog);
  for (int i = 0; i < 3000 && !ended; ++i) {
    for (uint16_t n = 0; n < 20 && i < 400; ++n) kit.put({{static_cast<uint16_t>(20 * i + n), ++kit.next_value}});
    kit.world.run_for(std::chrono::milliseconds(20));
    moved = moved || (!ended && !partition.segments().empty() && partition.segments().back().end_offset > end);
  }
  REQUIRE(ended);
  CHECK(moved);
  kit.check_sound();
  REQUIRE(kit.compact(kit.plan()));
  CHECK(kit.stored() == kit.wanted());
  kit.crash();
  kit.open();
  CHECK(kit.stored() == kit.wanted());
}

TEST_CASE("damage_ends_the_pass_and_changes_nothing") {
  CompactKit kit;
  kit.open();
  kit.fill(100, 10);
  const auto at = kit.cell->find(kLog)->find(Offset(0))->at;
  kit.fill(300, 10);  // the first ones leave RAM
  REQUIRE(kit.disk.flip_bit("/cell/" + WalFiles::name_of(at.file_seq), at.offset + 100, 3));
  const auto done = kit.compact(kit.plan());
  REQUIRE(!done);
  CHECK(done.error().code == ErrorCode::kCorrupt);
  CHECK(kit.cell->find(kLog)->segments().empty());
  CHECK(kit.files("segment-") == 0);
}

}  // namespace
}  // namespace polylog::storage
