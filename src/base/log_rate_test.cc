#include "base/log_rate.h"

#include <doctest/doctest.h>

namespace polylog::base {
namespace {

TEST_CASE("log rate: a second has so many lines, and the first after them tells how many were left out") {
  LogRate rate;
  const MonoTime begin{1'000'000'000'000};
  for (int64_t i = 0; i < LogRate::kLinesPerSecond; ++i) CHECK(rate.admit(begin) == 0);
  CHECK_FALSE(rate.admit(begin));
  CHECK_FALSE(rate.admit(begin + std::chrono::milliseconds(999)));
  CHECK(rate.admit(begin + std::chrono::seconds(1)) == 2);
  CHECK(rate.admit(begin + std::chrono::seconds(1)) == 0);
}

}  // namespace
}  // namespace polylog::base
