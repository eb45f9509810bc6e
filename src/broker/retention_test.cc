#include "broker/retention.h"

#include "broker/engine_test_kit.h"

namespace polylog::broker {
namespace {

using base::Offset;

// Ten batches of ten entries and 100 bytes, a second apart, from time 1000.
struct Filled {
  Filled() {
    for (int64_t i = 0; i < 10; ++i) {
      storage::AppendMutation m{.base_offset = p.appended(), .count = 10, .max_ts = {1000 * (i + 1)}};
      m.pieces = {{{1, static_cast<uint64_t>(i) * 100}, 100}};
      p.apply_append(m, base::Lsn(static_cast<uint64_t>(i + 1)), {});
    }
    p.commit_to(Offset(100));
  }
  storage::Partition p{{{}, 0}, false};
};

TEST_CASE("age_counts_from_the_youngest_record_and_one_millisecond_decides") {
  Filled f;
  CHECK(retained_from(f.p, {.age_ms_max = 5000}, {6000}) == Offset(0));
  CHECK(retained_from(f.p, {.age_ms_max = 5000}, {6001}) == Offset(10));
  CHECK(retained_from(f.p, {.age_ms_max = 0}, {1'000'000}) == Offset(100));
  CHECK(retained_from(f.p, {}, {1'000'000}) == Offset(0));
}

TEST_CASE("what_was_appended_with_a_time_long_past_stays_as_long_as_anything_else") {
  storage::Partition p{{{}, 0}, false};
  storage::AppendMutation m{.base_offset = Offset(0), .count = 1, .append_ts = {100'000}, .max_ts = {1}};
  m.pieces = {{{1, 0}, 100}};
  p.apply_append(m, base::Lsn(1), {});
  p.commit_to(Offset(1));
  CHECK(retained_from(p, {.age_ms_max = 5000}, {105'000}) == Offset(0));
  CHECK(retained_from(p, {.age_ms_max = 5000}, {105'001}) == Offset(1));
  p.apply_segment({.extent = 1,
                   .base_offset = Offset(0),
                   .end_offset = Offset(1),
                   .data_bytes = 100,
                   .batch_count = 1,
                   .max_ts = {1},
                   .append_ts = {100'000}},
                  base::Lsn(2));
  CHECK(retained_from(p, {.age_ms_max = 5000}, {105'000}) == Offset(0));
  CHECK(retained_from(p, {.age_ms_max = 5000}, {105'001}) == Offset(1));
}

TEST_CASE("at_least_so_many_bytes_stay") {
  Filled f;
  CHECK(retained_from(f.p, {.bytes_max = 1000}, {0}) == Offset(0));
  CHECK(retained_from(f.p, {.bytes_max = 901}, {0}) == Offset(0));
  CHECK(retained_from(f.p, {.bytes_max = 900}, {0}) == Offset(10));
  CHECK(retained_from(f.p, {.bytes_max = 0}, {0}) == Offset(100));
}

TEST_CASE("whole_segments_go_first_and_count_with_their_bytes") {
  Filled f;
  f.p.apply_segment({.extent = 1,
                     .base_offset = Offset(0),
                     .end_offset = Offset(50),
                     .data_bytes = 500,
                     .batch_count = 5,
                     .max_ts = {5000}},
                    base::Lsn(20));
  CHECK(retained_from(f.p, {.age_ms_max = 1000}, {6000}) == Offset(0));
  CHECK(retained_from(f.p, {.age_ms_max = 1000}, {6001}) == Offset(50));
  CHECK(retained_from(f.p, {.bytes_max = 501}, {0}) == Offset(0));
  CHECK(retained_from(f.p, {.bytes_max = 500}, {0}) == Offset(50));
}

TEST_CASE("what_is_not_committed_stays") {
  storage::Partition p{{{}, 0}, false};
  storage::AppendMutation m{.base_offset = Offset(0), .count = 1, .max_ts = {1}};
  m.pieces = {{{1, 0}, 100}};
  p.apply_append(m, base::Lsn(1), {});
  CHECK(retained_from(p, {.age_ms_max = 0}, {1000}) == Offset(0));
}

TEST_CASE("a_stream_is_trimmed_within_seconds_of_being_due_and_a_queue_is_not") {
  EngineKit kit;
  kit.retention = [](const StreamRecord&) { return RetentionPolicy{.age_ms_max = 60'000}; };
  kit.crash();
  const auto stream = kit.create("s").record->key(), queue = kit.create("q", 1, StreamKind::kQueue).record->key();
  for (const auto& key : {stream, queue}) {
    auto batch = kit.batch(key, "old", 5);
    batch.max_ts = kit.world.loop(0).wall_now();
    REQUIRE(kit.ask<AppendDone>(key, std::move(batch)).base_offset);
  }
  const auto start = [&](const base::PartitionKey& key) {
    return kit.ask<FindOffsetDone>(key, FindOffsetRequest{.partition = key, .what = FindOffsetRequest::What::kStart})
        .offset;
  };
  kit.world.run_for(std::chrono::seconds(55));
  CHECK(start(stream) == Offset(0));
  kit.world.run_for(std::chrono::seconds(15));
  CHECK(start(stream) == Offset(5));
  CHECK(start(queue) == Offset(0));
  kit.crash();
  CHECK(start(stream) == Offset(5));
}

}  // namespace
}  // namespace polylog::broker
