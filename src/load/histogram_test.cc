#include "load/histogram.h"

#include <doctest/doctest.h>

namespace polylog::load {
namespace {

bool close_to(uint64_t value, uint64_t expected) { return value <= expected && value >= expected - expected / 50; }

TEST_CASE("histogram: percentiles of known values, up to p99.99") {
  Histogram latencies;
  for (uint64_t i = 1; i <= 100'000; ++i) latencies.add(i * 1000);
  CHECK(latencies.count() == 100'000);
  CHECK(close_to(latencies.percentile_ns(0.5), 50'001'000));
  CHECK(close_to(latencies.percentile_ns(0.9), 90'001'000));
  CHECK(close_to(latencies.percentile_ns(0.99), 99'001'000));
  CHECK(close_to(latencies.percentile_ns(0.999), 99'901'000));
  CHECK(close_to(latencies.percentile_ns(0.9999), 99'991'000));
  CHECK(latencies.max_ns() == 100'000'000);
}

TEST_CASE("histogram: one slow message in ten thousand is p99.99, not p99.9") {
  Histogram latencies;
  for (int i = 0; i < 9999; ++i) latencies.add(10);
  latencies.add(5'000'000);
  CHECK(latencies.percentile_ns(0.999) == 10);
  CHECK(close_to(latencies.percentile_ns(0.9999), 5'000'000));
}

TEST_CASE("histogram: empty is zero, and a value beyond all buckets' middle counts") {
  Histogram latencies;
  CHECK(latencies.percentile_ns(0.9999) == 0);
  latencies.add(UINT64_MAX);
  CHECK(latencies.max_ns() == UINT64_MAX);
  CHECK(latencies.percentile_ns(0.5) > UINT64_MAX / 64 * 62);
}

TEST_CASE("histogram: the buckets add up, in rising order") {
  Histogram latencies;
  for (const uint64_t ns : {5u, 5u, 70u, 1'000'000u}) latencies.add(ns);
  uint64_t sum = 0, last = 0;
  latencies.for_each_bucket([&](uint64_t ns, uint64_t count) {
    CHECK(ns > last);
    last = ns;
    sum += count;
  });
  CHECK(sum == 4);
}

}  // namespace
}  // namespace polylog::load
