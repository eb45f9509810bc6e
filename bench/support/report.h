// One measurement as one line of JSON on stdout, numbers only: what bench/run reads.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>

#include "load/histogram.h"

namespace polylog::bench {

using load::Histogram;

class Report {
 public:
  void add(std::string_view key, double value) {
    char number[64];
    std::snprintf(number, sizeof number, "%.6g", value);
    text_ += (text_.empty() ? "{\"" : ", \"") + std::string(key) + "\": " + number;
  }
  void add_percentiles_us(const Histogram& latencies) {
    if (latencies.count() == 0) return;
    add("p50_us", static_cast<double>(latencies.percentile_ns(0.5)) / 1e3);
    add("p99_us", static_cast<double>(latencies.percentile_ns(0.99)) / 1e3);
    add("p999_us", static_cast<double>(latencies.percentile_ns(0.999)) / 1e3);
    add("max_us", static_cast<double>(latencies.max_ns()) / 1e3);
  }
  void print() const {
    std::printf("%s}\n", text_.c_str());
    std::fflush(stdout);
  }

 private:
  std::string text_;
};

}  // namespace polylog::bench
