// Metric cells: counters, gauges and latency histograms that one core writes and any thread may read.
//
// A Registry belongs to one core. Cells live as long as it does; their addresses are stable. Writing is a relaxed store by
// the owning core (no atomic read-modify-write); render() of several registries adds up cells of the same name and labels.
// What comes and goes (a label for each object of some kind) is a list that is replaced as a whole, from time to time.
// Text form: Prometheus 0.0.4. Names are documented in docs/metrics.md. Not for: deciding how often anything is measured.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

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

// `name="value"`, with the value escaped. Bytes outside printable ASCII become %XX: a page is UTF-8 whatever clients call
// their objects.
std::string label(std::string_view name, std::string_view value);

class Registry {
 public:
  // `labels` as in `kind="x",code="1"`, or empty. Same name and labels: the same cell.
  Counter& counter(std::string_view name, std::string_view help, std::string_view labels = {});
  Counter& seconds_counter(std::string_view name, std::string_view help, std::string_view labels = {});  // add() ns
  Gauge& gauge(std::string_view name, std::string_view help, std::string_view labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, std::string_view labels = {});

  // A gauge's values by labels, all of them; those of an earlier call are forgotten. Of several registries the sum counts,
  // or with kMax the largest.
  enum class Merge : uint8_t { kSum, kMax };
  using Values = std::vector<std::pair<std::string, int64_t>>;
  void replace(std::string_view name, std::string_view help, Values values, Merge merge = Merge::kSum);

  // One T a registry, made from it on first use: where a part of the code keeps the cells it writes to.
  template <typename T>
  T& part() {
    static char kKey;  // its address tells types apart
    auto& slot = parts_[&kKey];
    if (slot == nullptr) slot = std::make_shared<T>(*this);
    return *static_cast<T*>(slot.get());
  }

  static std::string render(std::span<Registry* const> registries);

 private:
  enum class Kind : uint8_t { kCounter, kSecondsCounter, kGauge, kHistogram };
  struct Cell {
    Kind kind;
    std::string name, help, labels;
    Counter counter;
    Gauge gauge;
    Histogram histogram;
  };
  Cell& find_or_add(Kind kind, std::string_view name, std::string_view help, std::string_view labels);
  struct List {
    std::string help;
    Values values;
    Merge merge;
  };
  struct Page;
  std::mutex mutex_;  // guards the lists, not the cells' values: taken on registration and on render only
  std::deque<Cell> cells_;
  std::map<std::string, List, std::less<>> lists_;
  std::map<const void*, std::shared_ptr<void>> parts_;  // the owning core's alone
};

}  // namespace polylog::base
