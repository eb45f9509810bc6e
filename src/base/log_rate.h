// Keeps lines that a peer can bring about from flooding the log: few a second are written, the next line tells how many
// were left out. Not shared between cores: each has its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/time.h"

namespace polylog::base {

class LogRate {
 public:
  static constexpr int64_t kLinesPerSecond = 10;

  // How many lines were left out since the last that was written; none: this one is left out too.
  std::optional<int64_t> admit(MonoTime now) {
    if (now - second_began_ >= std::chrono::seconds(1)) {
      second_began_ = now;
      lines_ = 0;
    }
    if (lines_ == kLinesPerSecond) {
      ++left_out_;
      return std::nullopt;
    }
    ++lines_;
    return std::exchange(left_out_, 0);
  }

 private:
  MonoTime second_began_{};
  int64_t lines_ = 0;
  int64_t left_out_ = 0;
};

}  // namespace polylog::base
