#include "base/metrics.h"

#include <bit>
#include <map>
#include <vector>

namespace polylog::base {

void Histogram::record_ns(int64_t ns) {
  const uint64_t us = ns <= 0 ? 0 : static_cast<uint64_t>(ns) / 1000;
  const size_t index = std::min<size_t>(std::bit_width(us), kBuckets - 1);
  auto& bucket = buckets_[index];
  bucket.store(bucket.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  sum_us_.store(sum_us_.load(std::memory_order_relaxed) + us, std::memory_order_relaxed);
}

Registry::Cell& Registry::find_or_add(Kind kind, std::string_view name, std::string_view help,
                                      std::string_view labels) {
  std::lock_guard lock(mutex_);
  for (Cell& cell : cells_)
    if (cell.name == name && cell.labels == labels) return cell;
  Cell& cell = cells_.emplace_back();
  cell.kind = kind;
  cell.name = name;
  cell.help = help;
  cell.labels = labels;
  return cell;
}

Counter& Registry::counter(std::string_view name, std::string_view help, std::string_view labels) {
  return find_or_add(Kind::kCounter, name, help, labels).counter;
}
Gauge& Registry::gauge(std::string_view name, std::string_view help, std::string_view labels) {
  return find_or_add(Kind::kGauge, name, help, labels).gauge;
}
Histogram& Registry::histogram(std::string_view name, std::string_view help, std::string_view labels) {
  return find_or_add(Kind::kHistogram, name, help, labels).histogram;
}

namespace {

struct Sum {
  int64_t value = 0;
  std::array<uint64_t, Histogram::kBuckets> buckets{};
  uint64_t sum_us = 0;
};

void render_histogram(std::string& out, const std::string& name, const std::string& labels, const Sum& sum) {
  const std::string prefix = labels.empty() ? "" : labels + ",";
  const std::string braces = labels.empty() ? "" : "{" + labels + "}";
  uint64_t running = 0;
  for (size_t i = 0; i < Histogram::kBuckets; ++i) {
    running += sum.buckets[i];
    const std::string bound =
        i + 1 == Histogram::kBuckets ? "+Inf" : std::to_string(static_cast<double>(uint64_t{1} << i) / 1e6);
    out += name + "_bucket{" + prefix + "le=\"" + bound + "\"} " + std::to_string(running) + "\n";
  }
  out += name + "_sum" + braces + " " + std::to_string(static_cast<double>(sum.sum_us) / 1e6) + "\n";
  out += name + "_count" + braces + " " + std::to_string(running) + "\n";
}

}  // namespace

std::string Registry::render(std::span<Registry* const> registries) {
  struct Family {
    Kind kind{};
    std::string help;
    std::map<std::string, Sum> by_labels;
  };
  std::map<std::string, Family> families;
  for (Registry* registry : registries) {
    std::lock_guard lock(registry->mutex_);
    for (const Cell& cell : registry->cells_) {
      Family& family = families[cell.name];
      family.kind = cell.kind;
      family.help = cell.help;
      Sum& sum = family.by_labels[cell.labels];
      sum.value += cell.kind == Kind::kGauge ? cell.gauge.value() : static_cast<int64_t>(cell.counter.value());
      for (size_t i = 0; i < Histogram::kBuckets; ++i) sum.buckets[i] += cell.histogram.bucket(i);
      sum.sum_us += cell.histogram.sum_us();
    }
  }
  std::string out;
  for (const auto& [name, family] : families) {
    static constexpr const char* kTypes[] = {"counter", "gauge", "histogram"};
    out += "# HELP " + name + " " + family.help + "\n# TYPE " + name + " " + kTypes[static_cast<int>(family.kind)] + "\n";
    for (const auto& [labels, sum] : family.by_labels) {
      if (family.kind == Kind::kHistogram) {
        render_histogram(out, name, labels, sum);
      } else {
        out += name + (labels.empty() ? "" : "{" + labels + "}") + " " + std::to_string(sum.value) + "\n";
      }
    }
  }
  return out;
}

}  // namespace polylog::base
