// Two clocks, two types. MonoTime (nanoseconds since some start) drives timers and deadlines; WallTime (milliseconds
// since 1970) is what is stored and shown. Neither is read here: ask io::Loop, so that the simulator rules both.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace polylog::base {

using Duration = std::chrono::nanoseconds;

struct MonoTime {
  int64_t ns = 0;
  friend constexpr auto operator<=>(const MonoTime&, const MonoTime&) = default;
  friend constexpr MonoTime operator+(MonoTime t, Duration d) { return {t.ns + d.count()}; }
  friend constexpr Duration operator-(MonoTime a, MonoTime b) { return Duration(a.ns - b.ns); }
};

struct WallTime {
  int64_t ms = 0;
  friend constexpr auto operator<=>(const WallTime&, const WallTime&) = default;
};

}  // namespace polylog::base
