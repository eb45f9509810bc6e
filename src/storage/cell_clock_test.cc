#include "storage/cell_clock.h"

#include <doctest/doctest.h>

namespace polylog::storage {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST_CASE("the_clock_begins_at_its_floor_never_goes_back_and_slews_one_part_in_sixteen") {
  CellClock clock;
  clock.start({0}, {1000}, {5000});
  CHECK(clock.read({0}, {1000}).ms == 5000);
  CHECK(clock.read({16 * kSecond}, {17'000}).ms == 20'000);  // ahead: 15 s pass in 16
  int64_t before = 20'000;
  for (int64_t s = 17; s < 200; ++s) {
    const int64_t now = clock.read({s * kSecond}, {s % 2 == 0 ? 0 : 1'000'000'000}).ms;  // a clock gone mad
    CHECK(now >= before + 937);
    CHECK(now <= before + 1063);
    before = now;
  }
}

}  // namespace
}  // namespace polylog::storage
