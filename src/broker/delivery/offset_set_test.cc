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

TEST_CASE("parts_that_touch_are_one") {
  OffsetSet set;
  set.add(Offset(0), Offset(9));
  using Ranges = std::vector<OffsetRange>;
  const Ranges asked{{Offset(2), Offset(2)}, {Offset(3), Offset(5)}, {Offset(7), Offset(7)}, {Offset(8), Offset(20)}};
  CHECK(set.within(asked) == Ranges{{Offset(2), Offset(5)}, {Offset(7), Offset(9)}});
}

TEST_CASE("a_range_that_ends_before_it_begins_does_not_load") {
  base::Writer out;
  out.u32le(1);
  out.i64le(5);
  out.i64le(4);
  base::Reader in(out.view());
  OffsetSet set;
  CHECK(!set.load(in));
}

}  // namespace
}  // namespace polylog::broker
