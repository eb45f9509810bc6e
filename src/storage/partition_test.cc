#include "storage/partition.h"

#include <doctest/doctest.h>

namespace polylog::storage {
namespace {

TEST_CASE("batches_are_found_by_offset_and_time_trimmed_whole_and_saved_bytes_load_equal") {
  Partition p({{}, 1}, false);
  for (int i = 0; i < 10; ++i) {
    AppendMutation m{.base_offset = p.appended(),
                     .count = 3,
                     .epoch = base::Epoch(static_cast<uint32_t>(1 + i / 4)),
                     .max_ts = {i * 10}};
    m.pieces = {{{1, static_cast<uint64_t>(i)}, 5}};
    if (i == 4) m.pieces.push_back({{2, 0}, 7});
    p.apply_append(m, Lsn(static_cast<uint64_t>(i + 1)), base::Slice::copy_of(base::as_view("bytes")));
  }
  CHECK(p.find_by_time({0}) == nullptr);  // nothing is committed
  p.commit_to(Offset(30));
  CHECK(p.find(Offset(14))->base_offset == Offset(12));
  CHECK((p.find(Offset(30)) == nullptr && p.find(Offset(-1)) == nullptr));
  CHECK(p.find_by_time({41})->base_offset == Offset(15));
  CHECK(p.newest_by_time()->base_offset == Offset(27));
  for (const size_t batches_max : {0u, 1u, 6u, 7u}) {
    std::vector<StoredBatch> read;
    p.read(Offset(14), Offset(30), SIZE_MAX, read, batches_max);
    CHECK(read.size() == std::min<size_t>(batches_max, 6));
  }
  CHECK(p.pieces_of(*p.find(Offset(12))).size() == 2);
  CHECK(p.epochs().size() == 3);
  CHECK(p.apply_trim(Offset(14), Lsn(11)).pieces.size() == 4);  // batch 4 holds 14 and stays
  CHECK((p.find(Offset(12)) != nullptr && p.find(Offset(11)) == nullptr && p.start() == Offset(14)));
  base::Writer out, again;
  p.save(out);
  Partition loaded({{}, 1}, false);
  base::Reader in(out.view());
  REQUIRE(loaded.load(in, p.stamp(), Partition::kSavedVersion));
  loaded.save(again);
  CHECK(base::equal(out.view(), again.view()));
  CHECK(loaded.stored_bytes() == p.stored_bytes());
  for (size_t size = 0; size < out.size(); ++size) {
    Partition cut({{}, 1}, false);
    base::Reader part(out.view().first(size));
    CHECK(!cut.load(part, {}, Partition::kSavedVersion));
  }
}

SegmentRef segment_of(uint64_t extent, int64_t base, int64_t end) {
  return {.extent = extent,
          .base_offset = Offset(base),
          .end_offset = Offset(end),
          .data_bytes = 50,
          .batch_count = 5,
          .max_ts = {base},
          .fences_at = 100,
          .fence_count = 1,
          .fences_crc = 7};
}

struct Filled {
  Filled() {
    for (int i = 0; i < 10; ++i) {
      AppendMutation m{.base_offset = p.appended(), .count = 10, .max_ts = {i}};
      m.pieces = {{{1, static_cast<uint64_t>(i) * 10}, 10}};
      p.apply_append(m, lsn = lsn.next(), base::Slice::copy_of(base::as_view("ten bytes.")));
    }
    p.commit_to(Offset(100));
  }
  Partition p{{{}, 1}, false};
  Lsn lsn;
};

TEST_CASE("a_segment_takes_the_place_of_the_batches_in_its_range_and_is_trimmed_as_a_whole") {
  Filled f;
  const auto freed = f.p.apply_segment(segment_of(3, 0, 50), f.lsn = f.lsn.next());
  CHECK(freed.pieces.size() == 5);
  CHECK(freed.segments.empty());
  CHECK(f.p.resident_start() == Offset(50));
  CHECK(f.p.find(Offset(49)) == nullptr);
  CHECK(f.p.find(Offset(50))->base_offset == Offset(50));
  CHECK(f.p.stored_bytes() == 100);
  CHECK(f.p.batch_count() == 10);
  CHECK(f.p.segment_at(Offset(0)) == &f.p.segments().front());
  CHECK(f.p.segment_at(Offset(49)) == &f.p.segments().front());
  CHECK(f.p.segment_at(Offset(50)) == nullptr);
  CHECK(f.p.apply_trim(Offset(49), f.lsn = f.lsn.next()).segments.empty());
  CHECK(f.p.apply_trim(Offset(50), f.lsn = f.lsn.next()).segments == std::vector{segment_of(3, 0, 50)});
  CHECK(f.p.stored_bytes() == 50);
  CHECK(f.p.batch_count() == 5);
}

TEST_CASE("segments_are_replaced_by_one_that_covers_them_and_are_saved") {
  Filled f;
  f.p.apply_segment(segment_of(3, 0, 30), f.lsn = f.lsn.next());
  f.p.apply_segment(segment_of(4, 30, 50), f.lsn = f.lsn.next());
  f.p.apply_segment(segment_of(5, 50, 60), f.lsn = f.lsn.next());
  CHECK(f.p.apply_segment(segment_of(6, 0, 50), f.lsn = f.lsn.next()).segments.size() == 2);
  REQUIRE(f.p.segments().size() == 2);
  CHECK(f.p.segments()[0].extent == 6);
  base::Writer out, again;
  f.p.save(out);
  Partition loaded({{}, 1}, false);
  base::Reader in(out.view());
  REQUIRE(loaded.load(in, f.p.stamp(), Partition::kSavedVersion));
  loaded.save(again);
  CHECK(base::equal(out.view(), again.view()));
  CHECK(loaded.stored_bytes() == f.p.stored_bytes());
  CHECK(loaded.batch_count() == f.p.batch_count());
}

TEST_CASE("a_partition_saved_without_segments_still_loads") {
  Filled f;
  base::Writer out;
  f.p.save(out);
  Partition loaded({{}, 1}, false);
  base::Reader in(out.view().first(out.size() - 4));  // version 1 ended before the count of segments
  REQUIRE(loaded.load(in, f.p.stamp(), 1));
  CHECK(loaded.batch_count() == 10);
}

TEST_CASE("a_move_changes_where_batches_lie_and_nothing_else") {
  Filled f;
  const MoveMutation::Run run{.partition = f.p.key(), .base_offset = Offset(20), .batch_count = 3, .position = 1000};
  REQUIRE(f.p.has_run(run));
  CHECK(f.p.apply_move(9, run, f.lsn = f.lsn.next()).pieces.size() == 3);
  CHECK(f.p.find(Offset(20))->at == WalPosition{9 | kPackBit, 1000});
  CHECK(f.p.find(Offset(45))->at == WalPosition{9 | kPackBit, 1020});
  CHECK(f.p.find(Offset(50))->at == WalPosition{1, 50});
  CHECK(f.p.stored_bytes() == 100);
  CHECK(!f.p.has_run({.partition = f.p.key(), .base_offset = Offset(90), .batch_count = 2, .position = 0}));
  CHECK(!f.p.has_run({.partition = f.p.key(), .base_offset = Offset(21), .batch_count = 1, .position = 0}));
}

}  // namespace
}  // namespace polylog::storage
