#include "load/schedule.h"

#include <doctest/doctest.h>

namespace polylog::load {
namespace {

TEST_CASE("schedule: due times follow from the number alone") {
  const Schedule schedule(500, 1000, 2);
  CHECK(schedule.due_ns(0) == 500);
  CHECK(schedule.due_ns(1) == 500 + 1'000'000);
  CHECK(schedule.due_ns(1999) == 500 + 1'999'000'000);
  CHECK(schedule.end_ns() == 500 + 2 * kSecondNs);
}

TEST_CASE("schedule: a message is due at its time, not before, and none at the end") {
  const Schedule schedule(0, 1000, 2);
  CHECK_FALSE(schedule.is_due(1, 999'999));
  CHECK(schedule.is_due(1, 1'000'000));
  CHECK(schedule.is_due(1999, 10 * kSecondNs));
  CHECK_FALSE(schedule.is_due(2000, 10 * kSecondNs));
}

TEST_CASE("schedule: how many are due before a moment") {
  const Schedule schedule(100, 1000, 2);
  CHECK(schedule.due_before(100) == 0);
  CHECK(schedule.due_before(101) == 1);
  CHECK(schedule.due_before(100 + kSecondNs) == 1000);
  CHECK(schedule.due_before(101 + kSecondNs) == 1001);
  CHECK(schedule.due_before(100 * kSecondNs) == 2000);
}

TEST_CASE("schedule: a rate that does not divide a second drifts by no message") {
  const Schedule schedule(0, 30'000, 3600);
  CHECK(schedule.due_ns(30'000ull * 3599) == 3599 * kSecondNs);
  CHECK(schedule.due_before(UINT64_MAX) == 30'000ull * 3600);
  CHECK_FALSE(Schedule(0, 0, 1).paced());
}

}  // namespace
}  // namespace polylog::load
