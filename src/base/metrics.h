// Metric cells: counters, gauges and latency histograms that one core writes and any thread may read.
//
// A Registry belongs to one core. Cells live as long as it does; their addresses are stable. Writing is a relaxed store by
// the owning core (no atomic read-modify-write); render() of several registries adds up cells of the same name and labels.
// Text form: Prometheus 0.0.4. Names are documented in docs/metrics.md.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

namespace polylog::base {

class Counter {
 public:
  void add(uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void set(int64_t v) { value_.store(v, std::memory_order_relaxed); }
  void add(int64_t n) { set(value() + n); }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Log-linear buckets, powers of two of microseconds: 1 us .. ~17 min.
class Histogram {
 public:
  static constexpr size_t kBuckets = 31;
  void record_ns(int64_t ns);
  uint64_t bucket(size_t i) const { return buckets_[i].load(std::memory_order_relaxed); }
  uint64_t sum_us() const { return sum_us_.load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<uint64_t>, kBuckets> buckets_{};
  std::atomic<uint64_t> sum_us_{0};
};

class Registry {
 public:
  // `labels` as in `kind="x",code="1"`, or empty. Same name and labels: the same cell.
  Counter& counter(std::string_view name, std::string_view help, std::string_view labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, std::string_view labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, std::string_view labels = {});

  static std::string render(std::span<Registry* const> registries);

 private:
  enum class Kind : uint8_t { kCounter, kGauge, kHistogram };
  struct Cell {
    Kind kind;
    std::string name, help, labels;
    Counter counter;
    Gauge gauge;
    Histogram histogram;
  };
  Cell& find_or_add(Kind kind, std::string_view name, std::string_view help, std::string_view labels);
  std::mutex mutex_;  // guards the list, not the values: taken on registration and on render only
  std::deque<Cell> cells_;
};

}  // namespace polylog::base
