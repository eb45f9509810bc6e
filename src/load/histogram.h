// Latencies in buckets of 1.6 % relative width: constant memory, and adding one costs a few instructions. Nanoseconds.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace polylog::load {

class Histogram {
 public:
  void add(uint64_t ns) {
    buckets_[bucket_of(ns)]++;
    count_++;
    max_ns_ = std::max(max_ns_, ns);
  }

  uint64_t count() const { return count_; }
  uint64_t max_ns() const { return max_ns_; }

  // Calls visit(lowest value in ns, count) for each bucket that holds something, in rising order.
  template <typename Visit>
  void for_each_bucket(Visit visit) const {
    for (size_t bucket = 0; bucket < buckets_.size(); bucket++) {
      if (buckets_[bucket] > 0) visit(lowest_of(bucket), buckets_[bucket]);
    }
  }

  // The value below which the given part of all values lies; 0 when empty.
  uint64_t percentile_ns(double part) const {
    const auto rank = static_cast<uint64_t>(static_cast<double>(count_) * part);
    uint64_t seen = 0;
    for (size_t bucket = 0; bucket < buckets_.size(); bucket++) {
      seen += buckets_[bucket];
      if (seen > rank) return std::min(lowest_of(bucket), max_ns_);
    }
    return max_ns_;
  }

 private:
  // Values below 64 have their own bucket; above, each power of two is cut into 64.
  static constexpr size_t steps = 64;

  static size_t bucket_of(uint64_t ns) {
    if (ns < steps) return ns;
    const auto exponent = static_cast<size_t>(std::bit_width(ns)) - 1;
    return (exponent - 5) * steps + ((ns >> (exponent - 6)) & (steps - 1));
  }
  static uint64_t lowest_of(size_t bucket) {
    if (bucket < steps) return bucket;
    const size_t exponent = bucket / steps + 5;
    return (steps + bucket % steps) << (exponent - 6);
  }

  std::array<uint64_t, 64 * steps> buckets_{};
  uint64_t count_ = 0;
  uint64_t max_ns_ = 0;
};

}  // namespace polylog::load
