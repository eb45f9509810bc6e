#include "broker/compaction.h"

#include <doctest/doctest.h>

#include "broker/mutations.h"

namespace polylog::broker {
namespace {

using base::Offset;
using base::WallTime;

constexpr storage::WalPosition kAllDurable{1, 1'000'000};

// Ten batches of ten entries and 100 bytes, a second apart, the first appended at 1000.
struct Filled {
  Filled() {
    for (int64_t i = 0; i < 10; ++i) {
      storage::AppendMutation m{.base_offset = p.appended(), .count = 10, .append_ts = {1000 * (i + 1)}};
      m.pieces = {{{1, static_cast<uint64_t>(i) * 100}, 100}};
      p.apply_append(m, base::Lsn(static_cast<uint64_t>(i + 1)), {});
    }
    p.commit_to(Offset(100));
  }
  Cleanable part(const CompactionPolicy& policy, int64_t now, CompactedTo to = {},
                 storage::WalPosition durable = kAllDurable) const {
    return cleanable_part(p, policy, to, durable, {now});
  }
  storage::Partition p{{{}, 0}, false};
};

constexpr CompactedTo kNever;
constexpr std::optional<WallTime> kUnknown;
bool is_due(const auto&... what) { return urgency(what...).has_value(); }

constexpr CompactionPolicy kNothingActive{.active_age_ms_max = 0};

TEST_CASE("what_is_young_and_near_the_end_is_active") {
  const Filled f;
  CHECK(f.part({}, 100'000).end == Offset(0));
  // By age: one millisecond decides.
  CHECK(f.part({.active_age_ms_max = 5000}, 8000).end == Offset(20));
  CHECK(f.part({.active_age_ms_max = 5000}, 8001).end == Offset(30));
  // By what lies behind: one byte decides.
  CHECK(f.part({.active_bytes_max = 300}, 10'000).end == Offset(70));
  CHECK(f.part({.active_bytes_max = 301}, 10'000).end == Offset(60));
  CHECK(f.part(kNothingActive, 100'000).end == Offset(100));
}

TEST_CASE("nothing_is_compacted_before_its_least_lag") {
  const Filled f;
  CompactionPolicy policy = kNothingActive;
  policy.min_lag_ms = 4000;
  CHECK(f.part(policy, 6999).end == Offset(20));
  CHECK(f.part(policy, 7000).end == Offset(30));
}

TEST_CASE("what_is_not_durable_or_not_committed_is_left_alone") {
  Filled f;
  CHECK(f.part(kNothingActive, 100'000, {}, {1, 500}).end == Offset(50));
  CHECK(f.part(kNothingActive, 100'000, {}, {1, 499}).end == Offset(40));
  CHECK(f.part(kNothingActive, 100'000, {}, {0, 0}).end == Offset(0));
}

TEST_CASE("clean_and_dirty_bytes_make_the_ratio_and_it_must_be_passed") {
  const Filled f;
  const Cleanable part = f.part(kNothingActive, 100'000, {.clean_end = Offset(60)});
  CHECK(part.dirty == Offset(60));
  CHECK(part.clean_bytes == 600);
  CHECK(part.dirty_bytes == 400);
  CHECK(part.ratio() == doctest::Approx(0.4));
  CHECK(part.oldest_dirty == WallTime{7000});
  const auto due = [&](double ratio) {
    return is_due(part, CompactionPolicy{.dirty_ratio_min = ratio}, kNever, kUnknown, WallTime{100'000});
  };
  CHECK(due(0.39));
  CHECK(!due(0.4));
  CHECK(!due(0.5));
}

TEST_CASE("old_dirty_records_make_it_due_whatever_the_ratio") {
  const Filled f;
  const Cleanable part = f.part(kNothingActive, 100'000, {.clean_end = Offset(60)});
  const CompactionPolicy policy{.max_lag_ms = 5000, .dirty_ratio_min = 1};
  CHECK(!is_due(part, policy, kNever, part.oldest_dirty, WallTime{12'000}));
  CHECK(is_due(part, policy, kNever, part.oldest_dirty, WallTime{12'001}));
  CHECK(is_due(part, policy, kNever, kUnknown, WallTime{0}));  // nobody knows since when
  CHECK(!is_due(part, CompactionPolicy{.dirty_ratio_min = 1}, kNever, kUnknown, WallTime{1'000'000}));
}

TEST_CASE("deletes_whose_time_is_over_make_a_clean_log_due") {
  const Filled f;
  const CompactedTo to{.clean_end = Offset(100), .deletes_until = {50'000}};
  const Cleanable part = f.part(kNothingActive, 100'000, to);
  CHECK(part.dirty == part.end);
  CHECK(!is_due(part, CompactionPolicy{}, to, kUnknown, WallTime{50'000}));
  CHECK(is_due(part, CompactionPolicy{}, to, kUnknown, WallTime{50'001}));
  CHECK(!is_due(part, CompactionPolicy{}, CompactedTo{.clean_end = Offset(100)}, kUnknown, WallTime{50'001}));
}

TEST_CASE("what_is_overdue_is_more_urgent_than_what_is_dirty_and_the_more_the_older") {
  const Filled f;
  const Cleanable part = f.part(kNothingActive, 100'000, {.clean_end = Offset(60)});
  const CompactionPolicy policy{.max_lag_ms = 5000, .dirty_ratio_min = 0.1};
  const auto how = [&](WallTime now, CompactedTo to = {}) {
    return *urgency(part, policy, to, part.oldest_dirty, now);
  };
  CHECK(how({12'000}) == doctest::Approx(0.4));
  CHECK(how({12'000}, {.deletes_until = {11'000}}) == 1);
  CHECK(how({12'001}) > 2);
  CHECK(how({12'001}, {.deletes_until = {11'000}}) > 2);
  CHECK(how({20'000}) > how({15'000}));
}

TEST_CASE("a_segment_that_is_clean_in_part_counts_by_its_share") {
  Filled f;
  f.p.apply_segment({.extent = 1,
                     .base_offset = Offset(0),
                     .end_offset = Offset(80),
                     .data_bytes = 800,
                     .batch_count = 8,
                     .append_ts = {8000}},
                    base::Lsn(20));
  const Cleanable part = f.part(kNothingActive, 100'000, {.clean_end = Offset(20)});
  CHECK(part.clean_bytes == 200);
  CHECK(part.dirty_bytes == 800);
  CHECK(part.end == Offset(100));
  CHECK(!part.oldest_dirty);
  CHECK(f.part({.active_age_ms_max = 5000}, 12'000).end == Offset(0));  // a segment is as young as its youngest batch
}

TEST_CASE("what_was_trimmed_is_not_dirty") {
  Filled f;
  f.p.apply_trim(Offset(50), base::Lsn(20));
  const Cleanable part = f.part(kNothingActive, 100'000, {.clean_end = Offset(20)});
  CHECK(part.dirty == Offset(50));
  CHECK(part.dirty_bytes == 500);
  CHECK(part.clean_bytes == 0);
}

TEST_CASE("how_far_a_partition_was_compacted_round_trips_and_a_cut_one_is_refused") {
  base::Writer out;
  encode(out, CompactedMutation{{{}, 7}, {.clean_end = Offset(12), .deletes_until = {34}}});
  const auto m = decode_compacted(out.view());
  REQUIRE(m);
  CHECK(m->partition.index == 7);
  CHECK(m->to.clean_end == Offset(12));
  CHECK(m->to.deletes_until == WallTime{34});
  CHECK(!decode_compacted(out.view().first(out.size() - 1)));
}

}  // namespace
}  // namespace polylog::broker
