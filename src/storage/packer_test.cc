#include "storage/packer.h"

#include "storage/cell_test_kit.h"

namespace polylog::storage {
namespace {

using base::ErrorCode;
using base::limits::kKiB;

const base::PartitionKey kLog = test_key(1), kQueue = test_key(2), kOther = test_key(3);

struct PackKit : CellKit {
  PackKit() { tail_bytes_max = 64 * kKiB; }

  RecoveryReport open() {
    auto report = CellKit::open();
    cell->find_or_make(kLog, false).set_moves_to_segments(true);
    cell->find_or_make(kOther, false).set_moves_to_segments(true);
    return report;
  }
  void put(const base::PartitionKey& key, size_t bytes) {
    const std::string text = test_batch(next++, bytes);
    REQUIRE(append(key, text));
    wanted[key].push_back(text);
    if (next % 4 == 0) settle();
  }
  // So much of a stream that WAL files fill up; it is what kQueue's entries lie between.
  void fill(const base::PartitionKey& key, size_t bytes) {
    for (size_t done = 0; done < bytes; done += 60 * kKiB) put(key, 60 * kKiB);
    settle();
  }
  void trim(const base::PartitionKey& key, size_t batches) {
    cell->trim(*cell->find(key), cell->find(key)->start() + OffsetCount(static_cast<int64_t>(batches)));
    cell->end_turn();
    auto& texts = wanted[key];
    texts.erase(texts.begin(), texts.begin() + static_cast<ptrdiff_t>(batches));
  }
  void check_contents() {
    for (const auto& [key, texts] : wanted) CHECK(contents(key) == texts);
  }
  // Live state, and what a start rebuilds, hold the same.
  void check_restart(bool by_crash) {
    std::map<base::PartitionKey, std::string> images;
    for (const auto& [key, texts] : wanted) images[key] = image(key);
    by_crash ? crash() : close();
    open();
    for (const auto& [key, image_before] : images) CHECK(image(key) == image_before);
    check_contents();
  }
  size_t files(std::string_view prefix) {
    size_t count = 0;
    const auto names = disk.list("/cell");
    for (const std::string& name : *names) count += name.starts_with(prefix);
    return count;
  }
  void pack() { world.run_for(std::chrono::seconds(30)); }

  uint64_t next = 0;
  std::map<base::PartitionKey, std::vector<std::string>> wanted;
};

constexpr size_t kFile = CellKit::kFileBytes;

TEST_CASE("old_batches_of_a_stream_move_into_segments_and_are_read_from_there") {
  PackKit kit;
  kit.open();
  kit.fill(kLog, 20 * kFile);
  kit.pack();
  const Partition& partition = *kit.cell->find(kLog);
  REQUIRE(!partition.segments().empty());
  CHECK(partition.resident_start() < partition.committed());  // the newest stay
  CHECK(kit.files("segment-") == partition.segments().size());
  kit.check_contents();
  kit.check_restart(true);
  REQUIRE(kit.checkpoint());
  kit.check_restart(true);
  CHECK(kit.files("wal-") < 14);  // twenty were filled
}

TEST_CASE("a_burst_is_moved_when_it_is_over") {
  const auto segments_after_burst = [](uint64_t burst_files) {
    PackKit kit;
    kit.burst_bytes = burst_files * kFile;
    kit.pack_bytes_per_second = kFile;  // faster than a quarter of this is a burst
    kit.open();
    kit.fill(kLog, 20 * kFile);
    const size_t in_burst = kit.files("segment-");
    kit.pack();
    CHECK(kit.files("segment-") > in_burst);
    kit.check_contents();
    return in_burst;
  };
  CHECK(segments_after_burst(100) == 0);
  CHECK(segments_after_burst(8) > 0);  // too long to wait for its end
}

TEST_CASE("what_a_queue_holds_stays_out_of_segments") {
  PackKit kit;
  kit.open();
  kit.fill(kQueue, 20 * kFile);
  kit.pack();
  CHECK(kit.cell->find(kQueue)->segments().empty());
  CHECK(kit.files("segment-") == 0);
}

TEST_CASE("entries_that_stay_do_not_hold_whole_files") {
  PackKit kit;
  kit.open();
  for (int i = 0; i < 16; ++i) {
    kit.put(kQueue, 1000);  // one that stays in each file
    kit.fill(kOther, kFile);
    kit.trim(kOther, kit.wanted[kOther].size());
  }
  kit.pack();
  CHECK(kit.cell->packed().packs >= 1);
  CHECK(kit.files("pack-") <= 8);  // small ones are put together
  kit.check_contents();
  CHECK(kit.files("wal-") < 10);
  kit.check_restart(true);
  kit.trim(kQueue, 16);
  REQUIRE(kit.checkpoint());
  kit.pack();
  CHECK(kit.files("pack-") == 0);  // nothing lives in it
  kit.check_restart(true);
}

TEST_CASE("a_sparse_pack_is_packed_again") {
  PackKit kit;
  kit.open();
  for (int i = 0; i < 16; ++i) {
    kit.put(kQueue, 2000);
    kit.put(kOther, 2000);
    kit.fill(kLog, kFile);
    kit.trim(kLog, kit.wanted[kLog].size());
  }
  kit.pack();
  REQUIRE(kit.files("pack-") > 0);
  const uint64_t bytes_before = kit.cell->extents().bytes();
  kit.trim(kOther, 16);
  kit.trim(kQueue, 8);
  kit.pack();
  CHECK(kit.cell->extents().bytes() * 2 < bytes_before);
  kit.check_contents();
  kit.check_restart(true);
}

TEST_CASE("packs_are_put_together_where_many_fit_into_one_by_bytes_and_by_batches") {
  for (const auto& [bytes, batches, fits] : {std::tuple{1999, 99, true}, {2000, 99, false}, {1999, 100, false}}) {
    CellKit kit;
    kit.open();
    Extents extents({.loop = kit.world.loop(0), .disk = kit.disk, .directory = "/cell"});
    for (uint64_t id = 1; id <= 8; ++id) {
      auto file = kit.disk.open("/cell/any", io::OpenMode::kCreate);
      REQUIRE(file);
      extents.add_pack(id, std::move(*file), static_cast<uint64_t>(bytes));
      extents.add_live(id | kPackBit, bytes, batches);
      CHECK(extents.packs_to_empty(2000, 100).size() == (fits && id == 8 ? 8 : 0));
    }
  }
}

TEST_CASE("segments_go_when_their_partition_is_trimmed_or_dropped") {
  PackKit kit;
  kit.open();
  kit.fill(kLog, 16 * kFile);
  kit.fill(kOther, 16 * kFile);
  kit.pack();
  const size_t before = kit.files("segment-");
  REQUIRE(before >= 4);
  kit.trim(kLog, kit.wanted[kLog].size());
  REQUIRE(kit.checkpoint());
  kit.settle();
  CHECK(kit.files("segment-") < before);
  kit.cell->drop(kOther);
  kit.cell->end_turn();
  kit.wanted.erase(kOther);
  kit.pack();
  CHECK(kit.files("segment-") == 0);
  kit.check_restart(true);
}

TEST_CASE("a_crash_at_any_moment_of_a_move_loses_nothing_and_leaves_no_file_behind") {
  for (uint64_t moment = 0; moment < 60; ++moment) {
    PackKit kit;
    kit.open();
    for (int i = 0; i < 12; ++i) {
      kit.put(kQueue, 3000);
      kit.fill(kLog, kFile);
      if (i % 3 == 0) kit.trim(kLog, 4);
    }
    kit.world.run_for(std::chrono::milliseconds(900 + 37 * moment));
    kit.crash();
    kit.open();
    kit.check_contents();
    size_t named = 0;
    kit.cell->for_each_partition([&](Partition& partition) { named += partition.segments().size(); });
    kit.settle();
    CHECK(kit.files("segment-") == named);
    kit.pack();
    kit.check_contents();
  }
}

TEST_CASE("a_missing_segment_is_corruption_and_keeps_the_cell_closed") {
  PackKit kit;
  kit.open();
  kit.fill(kLog, 16 * kFile);
  kit.pack();
  REQUIRE(kit.files("segment-") > 0);
  kit.close();
  const auto names = kit.disk.list("/cell");
  for (const std::string& name : *names)
    if (name.starts_with("segment-")) REQUIRE(kit.disk.remove("/cell/" + name));
  const auto opened = kit.try_open();
  REQUIRE(!opened);
  CHECK(opened.error().code == ErrorCode::kCorrupt);
  CHECK(opened.error().text.find("segment-") != std::string::npos);
}

TEST_CASE("what_does_not_verify_is_not_moved") {
  PackKit kit;
  kit.open();
  kit.put(kLog, 60 * kKiB);
  kit.settle();
  const auto at = kit.cell->find(kLog)->find(Offset(0))->at;
  REQUIRE(kit.disk.flip_bit("/cell/" + WalFiles::name_of(at.file_seq), at.offset + 100, 3));
  kit.fill(kLog, 16 * kFile);
  kit.pack();
  CHECK(kit.cell->find(kLog)->segments().empty());
  CHECK(kit.contents(kLog).error().code == ErrorCode::kCorrupt);
  CHECK(kit.engine->failures.empty());
}

TEST_CASE("times_are_found_in_segments") {
  PackKit kit;
  kit.open();
  for (int64_t i = 0; i < 400; ++i) {
    const Cell::BatchInfo info{.count = 1, .encoding = 7, .max_ts = {i * 10}, .writer = {}, .place = {}};
    REQUIRE(kit.cell->append(*kit.cell->find(kLog), info, base::as_view(test_batch(1, 60 * kKiB))));
    kit.cell->end_turn();
    if (i % 4 == 0) kit.settle();
  }
  kit.pack();
  const Partition& partition = *kit.cell->find(kLog);
  REQUIRE(partition.resident_start() > Offset(100));
  const auto find = [&](int64_t ts) {
    Offset found(-2);
    kit.cell->find_by_time(partition, {ts}, [&](base::Result<std::optional<BatchRef>> batch) {
      found = *batch ? (*batch)->base_offset : Offset(-1);
    });
    kit.settle();
    return found;
  };
  CHECK(find(0) == Offset(0));
  CHECK(find(501) == Offset(51));
  CHECK(find(3990) == Offset(399));
  CHECK(find(3991) == Offset(-1));
}

TEST_CASE("a_cell_that_failed_moves_nothing_any_more") {
  PackKit kit;
  kit.open();
  kit.fill(kLog, 20 * kFile);
  kit.disk.faults.sync_error = 1;
  std::ignore = kit.append(kLog, "the last");
  kit.settle();
  REQUIRE(kit.cell->failed());
  kit.disk.faults.sync_error = 0;
  const size_t before = kit.files("segment-");
  kit.world.run_for(std::chrono::seconds(60));
  CHECK(kit.files("segment-") <= before + 1);  // one may have been on its way
}

TEST_CASE("a_partition_dropped_while_a_checkpoint_runs_does_not_keep_its_cell_from_opening") {
  for (uint64_t moment = 0; moment < 40; ++moment) {
    PackKit kit;
    kit.open();
    for (uint8_t other = 10; other < 30; ++other) REQUIRE(kit.append(test_key(other), "x"));
    kit.fill(kLog, 12 * kFile);
    kit.world.run_for(std::chrono::milliseconds(50 * moment));
    kit.cell->checkpoint([](base::Result<>) {});
    kit.put(kLog, 1000);
    kit.cell->drop(kLog);
    kit.cell->end_turn();
    kit.wanted.erase(kLog);
    kit.settle();
    kit.crash();
    kit.open();
    CHECK(kit.contents(test_key(10)) == std::vector<std::string>{"x"});
  }
}

TEST_CASE("more_segments_than_files_may_be_open_are_read_and_start_as_well") {
  PackKit kit;
  kit.open_files_max = 4;
  kit.open();
  kit.fill(kLog, 40 * kFile);
  kit.pack();
  REQUIRE(kit.files("segment-") > 4);
  CHECK(kit.cell->extents().files().counts().open <= 2);
  kit.check_contents();
  CHECK(kit.cell->extents().files().counts().open <= 2);
  kit.check_restart(true);
  CHECK(kit.cell->extents().files().counts().open <= 2);
}

TEST_CASE("a_start_opens_no_segment") {
  PackKit kit;
  kit.open();
  kit.fill(kLog, 20 * kFile);
  kit.pack();
  REQUIRE(kit.files("segment-") > 0);
  kit.close();
  kit.open();
  CHECK(kit.cell->extents().files().counts().open == 0);
}

TEST_CASE("what_is_being_read_or_sent_outlives_the_removal_of_its_segment_and_is_let_go_off_the_core") {
  PackKit kit;
  kit.open();
  kit.fill(kLog, 20 * kFile);
  kit.pack();
  const Partition& partition = *kit.cell->find(kLog);
  REQUIRE(!partition.segments().empty());
  const SegmentReader::Wish wish{
      .from = Offset(0), .end = partition.committed(), .bytes_max = 200 * kKiB, .span_encoding = 7};
  base::Result<std::vector<StoredBatch>> read = base::fail(ErrorCode::kTimeout, "no answer");
  kit.cell->read_segment(partition, wish, [&](auto loaded) { read = std::move(loaded); });
  kit.trim(kLog, kit.wanted[kLog].size());
  REQUIRE(kit.checkpoint());
  kit.pack();
  REQUIRE(read);
  REQUIRE(!read->empty());
  io::FileSpan span = read->front().span;
  read->clear();
  REQUIRE(span.bytes == 60 * kKiB);
  CHECK(kit.files("segment-") == 0);
  CHECK(kit.cell->extents().files().counts().leaving == 1);
  std::string text(span.bytes, 0);
  REQUIRE(span.file->read_at({reinterpret_cast<uint8_t*>(text.data()), text.size()}, span.offset));
  CHECK(text == test_batch(0, 60 * kKiB));
  span = {};
  CHECK(kit.cell->extents().files().counts().leaving == 1);  // not closed here
  kit.pack();
  CHECK(kit.cell->extents().files().counts().leaving == 0);
}

TEST_CASE("moves_of_many_partitions_take_several_turns_and_survive_a_crash_between_them") {
  constexpr uint32_t kPartitions = 3000;  // three mutations
  for (uint64_t moment = 0; moment < 40; ++moment) {
    PackKit kit;
    kit.open();
    for (uint32_t i = 0; i < kPartitions; ++i) REQUIRE(kit.append(test_key(9, i), test_batch(i, 30)));
    kit.fill(kLog, 3 * kFile);
    kit.trim(kLog, kit.wanted[kLog].size());
    kit.world.run_for(std::chrono::milliseconds(3900 + 40 * moment));
    if (moment % 2 == 0) kit.crash();
    if (moment % 2 == 0) kit.open();
    kit.pack();
    CHECK(kit.files("pack-") > 0);
    kit.crash();
    kit.open();
    for (uint32_t i = 0; i < kPartitions; i += 97)
      CHECK(kit.contents(test_key(9, i)) == std::vector<std::string>{test_batch(i, 30)});
  }
}

TEST_CASE("thousands_of_small_batches_of_one_queue_and_one_in_pieces_move_to_a_pack_in_several_turns") {
  constexpr size_t kBatches = 2500;
  PackKit kit;
  kit.open();
  for (size_t i = 0; i < kBatches; ++i) {
    kit.put(kQueue, 30);
    if (i == kBatches / 2) kit.put(kQueue, kit.cell->wal().part_bytes_max() + 10);
  }
  kit.fill(kLog, 8 * kFile);
  kit.trim(kLog, kit.wanted[kLog].size());
  kit.pack();
  const auto in_packs = [](const BatchRef& ref) { return in_pack(ref.at); };
  CHECK(std::ranges::all_of(kit.cell->find(kQueue)->batches(), in_packs));
  kit.check_contents();
  kit.check_restart(true);
}

TEST_CASE("a_read_that_waits_for_the_disk_follows_what_moved_meanwhile") {
  PackKit kit;
  kit.durability = Durability::kInterval;
  kit.open();
  kit.put(kQueue, 3000);
  kit.fill(kLog, kFile);
  const Partition& queue = *kit.cell->find(kQueue);
  std::vector<StoredBatch> batches;
  queue.read(Offset(0), queue.committed(), SIZE_MAX, batches);
  REQUIRE(batches.size() == 1);
  REQUIRE(batches.front().bytes.empty());
  kit.trim(kLog, kit.wanted[kLog].size());
  for (int i = 0; i < 12; ++i) {  // its file is written over
    kit.fill(kLog, kFile);
    kit.trim(kLog, kit.wanted[kLog].size());
    kit.pack();
  }
  REQUIRE(in_pack(queue.find(Offset(0))->at));
  kit.wanted[kQueue].push_back(test_batch(9999, 1000));
  REQUIRE(kit.append(kQueue, kit.wanted[kQueue].back()));
  queue.read(Offset(1), queue.committed(), SIZE_MAX, batches);
  REQUIRE(batches.size() == 2);
  batches.back().bytes = {};  // as if it were in RAM no more: the disk does not have it yet
  base::Result<std::vector<StoredBatch>> read = base::fail(ErrorCode::kTimeout, "no answer");
  kit.cell->load(queue, std::move(batches), [&](auto loaded) { read = std::move(loaded); });
  CHECK(read.error().code == ErrorCode::kTimeout);
  kit.settle();
  REQUIRE_MESSAGE(read, (read ? "" : read.error().text));
  REQUIRE(read->size() == 2);
  for (size_t i = 0; i < 2; ++i) CHECK(base::as_text((*read)[i].bytes.view()) == kit.wanted[kQueue][i]);
}

}  // namespace
}  // namespace polylog::storage
