// Clocks of a load client. Everything is nanoseconds.
#pragma once

#include <time.h>

#include <cstdint>

namespace polylog::load {

inline constexpr uint64_t kSecondNs = 1'000'000'000;

inline uint64_t now_ns(clockid_t clock = CLOCK_MONOTONIC) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * kSecondNs + static_cast<uint64_t>(time.tv_nsec);
}

inline timespec timespec_of(uint64_t ns) {
  return {static_cast<time_t>(ns / kSecondNs), static_cast<long>(ns % kSecondNs)};
}

inline void sleep_ns(uint64_t ns) {
  const timespec time = timespec_of(ns);
  nanosleep(&time, nullptr);
}

}  // namespace polylog::load
