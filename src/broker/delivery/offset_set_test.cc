#include "broker/delivery/offset_set.h"

#include <doctest/doctest.h>

#include <set>

#include "io/sim/random.h"

namespace polylog::broker {
namespace {

TEST_CASE("random_changes_agree_with_a_set_of_integers_and_ranges_stay_merged") {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    io::Random random(seed);
    OffsetSet set;
    std::set<int64_t> model;
    for (int step = 0; step < 100; ++step) {
      const int64_t first = random.between(0, 60), last = first + random.between(0, 15);
      if (random.chance(0.55)) {
        set.add(Offset(first), Offset(last));
        for (int64_t at = first; at <= last; ++at) model.insert(at);
      } else if (random.chance(0.8)) {
        set.remove(Offset(first), Offset(last));
        for (int64_t at = first; at <= last; ++at) model.erase(at);
      } else {
        set.drop_below(Offset(first / 4));
        model.erase(model.begin(), model.lower_bound(first / 4));
      }
      REQUIRE(set.count() == model.size());
      REQUIRE(set.empty() == model.empty());
      size_t listed = 0;
      int64_t previous = -2;
      for (const auto& [low, high] : set.ranges()) {
        REQUIRE(low.value > previous + 1);  // neighbours are one range
        for (int64_t at = low.value; at <= high.value; ++at, ++listed) REQUIRE(model.contains(at));
        previous = high.value;
      }
      REQUIRE(listed == model.size());
      for (int64_t at = 0; at < 80; ++at) {
        REQUIRE(set.contains(Offset(at)) == model.contains(at));
        const auto range = set.at_or_after(Offset(at));
        const auto next = model.lower_bound(at);
        REQUIRE(range.has_value() == (next != model.end()));
        if (range) REQUIRE(std::max(range->first.value, at) == *next);
      }
      uint64_t inside = 0;
      for (const auto& [low, high] : set.within({{Offset(first), Offset(last)}}))
        inside += static_cast<uint64_t>((high - low).value) + 1;
      REQUIRE(inside == static_cast<uint64_t>(std::distance(model.lower_bound(first), model.upper_bound(last))));
    }
    base::Writer out;
    save(out, set.ranges());
    base::Reader in(out.view());
    OffsetSet again;
    REQUIRE(again.load(in));
    CHECK(again.ranges() == set.ranges());
    CHECK(again.count() == set.count());
  }
}

TEST_CASE("thousands_of_ranges_that_come_and_go_in_any_order_agree_with_a_bitmap") {
  constexpr int64_t kEnd = 20'000;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    io::Random random(seed);
    OffsetSet set;
    std::vector<bool> model(kEnd);
    const auto change = [&](bool adds, int64_t first, int64_t last) {
      adds ? set.add(Offset(first), Offset(last)) : set.remove(Offset(first), Offset(last));
      std::fill(model.begin() + first, model.begin() + last + 1, adds);
    };
    const auto check = [&] {
      std::vector<OffsetRange> wanted;
      uint64_t count = 0;
      for (int64_t at = 0; at < kEnd; ++at) {
        if (!model[static_cast<size_t>(at)]) continue;
        ++count;
        if (!wanted.empty() && wanted.back().second.value == at - 1) {
          wanted.back().second = Offset(at);
        } else {
          wanted.emplace_back(Offset(at), Offset(at));
        }
      }
      REQUIRE(set.ranges() == wanted);
      REQUIRE(set.count() == count);
      REQUIRE(set.end() == (wanted.empty() ? Offset(0) : wanted.back().second.next()));
      REQUIRE(set.ranges_in(Offset(0), Offset(kEnd), SIZE_MAX) == wanted);
    };
    if (seed % 2 == 0) {  // in order, as deliveries and acknowledgements come
      change(true, 0, kEnd - 1);
      for (int64_t at = 1; at < kEnd; at += 2) change(false, at, at);
    } else {
      for (int64_t i = 0; i < 15'000; ++i) {
        const int64_t at = random.between(0, kEnd - 1);
        change(true, at, at);
      }
    }
    check();
    for (int round = 0; round < 200; ++round) {
      for (int i = 0; i < 50; ++i) {
        const int64_t first = random.between(0, kEnd - 1);
        const int64_t span = random.chance(0.02) ? random.between(0, 2'000) : random.between(0, 2);
        change(random.chance(round < 100 ? 0.6 : 0.3), first, std::min(kEnd - 1, first + span));
      }
      if (round % 10 == 0) check();
    }
    change(false, 0, kEnd - 1);
    CHECK(set.empty());
  }
}

TEST_CASE("whole_sets_are_added_and_removed_like_their_ranges") {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    io::Random random(seed);
    OffsetSet other, together, apart;
    for (int i = 0; i < 30; ++i) {
      const int64_t first = random.between(0, 3'000), length = random.chance(0.3) ? random.between(0, 400) : 0;
      OffsetSet& set = random.chance(0.5) ? other : together;
      set.add(Offset(first), Offset(first + length));
    }
    apart.add(together);
    for (const bool adds : {true, false}) {
      for (const auto& [first, last] : other.ranges()) adds ? apart.add(first, last) : apart.remove(first, last);
      adds ? together.add(other) : together.remove(other);
      CHECK(together.ranges() == apart.ranges());
      CHECK(together.count() == apart.count());
    }
  }
}

TEST_CASE("a_set_ends_and_begins_at_the_edges_of_words_as_within_them") {
  for (const int64_t first : {0, 1, 62, 63, 64, 65, 127, 128}) {
    for (const int64_t last : {128, 129, 190, 191, 192, 193, 255, 256, 300}) {
      OffsetSet set;
      set.add(Offset(first), Offset(last));
      CHECK(set.ranges() == std::vector<OffsetRange>{{Offset(first), Offset(last)}});
      CHECK(set.count() == static_cast<uint64_t>(last - first + 1));
      CHECK(set.end() == Offset(last + 1));
      CHECK(!set.contains(Offset(last + 1)));
      set.remove(Offset(128), Offset(128));
      CHECK(!set.contains(Offset(128)));
      CHECK(set.at_or_after(Offset(128)).has_value() == (last > 128));
      set.add(Offset(128), Offset(128));
      CHECK(set.ranges() == std::vector<OffsetRange>{{Offset(first), Offset(last)}});
      set.remove(Offset(0), Offset(last));
      CHECK(set.empty());
      CHECK(set.count() == 0);
    }
  }
}

TEST_CASE("parts_that_touch_are_one") {
  OffsetSet set;
  set.add(Offset(0), Offset(9));
  using Ranges = std::vector<OffsetRange>;
  const Ranges asked{{Offset(2), Offset(2)}, {Offset(3), Offset(5)}, {Offset(7), Offset(7)}, {Offset(8), Offset(20)}};
  CHECK(set.within(asked) == Ranges{{Offset(2), Offset(5)}, {Offset(7), Offset(9)}});
}

TEST_CASE("a_range_that_ends_before_it_begins_or_that_no_partition_has_does_not_load") {
  using Limits = std::pair<int64_t, int64_t>;
  for (const auto& [first, last] : {Limits{5, 4}, Limits{-1, 4}, Limits{5, INT64_MAX}, Limits{5, INT64_MAX - 1}}) {
    base::Writer out;
    out.u32le(1);
    out.i64le(first);
    out.i64le(last);
    base::Reader in(out.view());
    OffsetSet set;
    CHECK(set.load(in) == (last == INT64_MAX - 1));
  }
}

}  // namespace
}  // namespace polylog::broker
