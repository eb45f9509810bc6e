#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

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
Counter& Registry::seconds_counter(std::string_view name, std::string_view help, std::string_view labels) {
  return find_or_add(Kind::kSecondsCounter, name, help, labels).counter;
}
Gauge& Registry::gauge(std::string_view name, std::string_view help, std::string_view labels) {
  return find_or_add(Kind::kGauge, name, help, labels).gauge;
}
Histogram& Registry::histogram(std::string_view name, std::string_view help, std::string_view labels) {
  return find_or_add(Kind::kHistogram, name, help, labels).histogram;
}

void Registry::replace(std::string_view name, std::string_view help, Values values, Merge merge) {
  std::lock_guard lock(mutex_);
  lists_.insert_or_assign(std::string(name), List{std::string(help), std::move(values), merge});
}

std::string label(std::string_view name, std::string_view value) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string text(name);
  text += "=\"";
  for (const char c : value) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') text += '\\';
    if (byte >= 0x20 && byte < 0x7F) {
      text += c;
    } else {
      text += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  text += '"';
  return text;
}

namespace {

struct Sum {
  int64_t value = 0;
  std::array<uint64_t, Histogram::kBuckets> buckets{};
  uint64_t sum_us = 0;
};

std::string seconds_text(double seconds) { return fmt::format("{:.6f}", seconds); }

void render_histogram(std::string& out, const std::string& name, const std::string& labels, const Sum& sum) {
  const std::string prefix = labels.empty() ? "" : labels + ",";
  const std::string braces = labels.empty() ? "" : "{" + labels + "}";
  uint64_t running = 0;
  for (size_t i = 0; i < Histogram::kBuckets; ++i) {
    running += sum.buckets[i];
    const bool last = i + 1 == Histogram::kBuckets;
    const std::string bound = last ? "+Inf" : seconds_text(static_cast<double>(uint64_t{1} << i) / 1e6);
    out += name + "_bucket{" + prefix + "le=\"" + bound + "\"} " + std::to_string(running) + "\n";
  }
  out += name + "_sum" + braces + " " + seconds_text(static_cast<double>(sum.sum_us) / 1e6) + "\n";
  out += name + "_count" + braces + " " + std::to_string(running) + "\n";
}

}  // namespace

struct Registry::Page {
  struct Family {
    Kind kind{};
    std::string help;
    std::map<std::string, Sum> by_labels;
  };
  std::map<std::string, Family> families;

  void add(const Cell& cell) {
    Family& family = families[cell.name];
    family.kind = cell.kind;
    family.help = cell.help;
    Sum& sum = family.by_labels[cell.labels];
    sum.value += cell.kind == Kind::kGauge ? cell.gauge.value() : static_cast<int64_t>(cell.counter.value());
    for (size_t i = 0; i < Histogram::kBuckets; ++i) sum.buckets[i] += cell.histogram.bucket(i);
    sum.sum_us += cell.histogram.sum_us();
  }
  void add(const std::string& name, const List& list) {
    Family& family = families[name];
    family.kind = Kind::kGauge;
    family.help = list.help;
    for (const auto& [labels, value] : list.values) {
      int64_t& sum = family.by_labels[labels].value;
      sum = list.merge == Merge::kMax ? std::max(sum, value) : sum + value;
    }
  }
  static void render(std::string& out, const std::string& name, const Family& family) {
    static constexpr const char* kTypes[] = {"counter", "counter", "gauge", "histogram"};
    out +=
        "# HELP " + name + " " + family.help + "\n# TYPE " + name + " " + kTypes[static_cast<int>(family.kind)] + "\n";
    for (const auto& [labels, sum] : family.by_labels) {
      if (family.kind == Kind::kHistogram) {
        render_histogram(out, name, labels, sum);
        continue;
      }
      const bool seconds = family.kind == Kind::kSecondsCounter;
      out += name + (labels.empty() ? "" : "{" + labels + "}") + " " +
             (seconds ? seconds_text(static_cast<double>(sum.value) / 1e9) : std::to_string(sum.value)) + "\n";
    }
  }
};

std::string Registry::render(std::span<Registry* const> registries) {
  Page page;
  for (Registry* registry : registries) {
    std::lock_guard lock(registry->mutex_);
    for (const Cell& cell : registry->cells_) page.add(cell);
    for (const auto& [name, list] : registry->lists_) page.add(name, list);
  }
  std::string out;
  for (const auto& [name, family] : page.families) Page::render(out, name, family);
  return out;
}

}  // namespace polylog::base
