// Progress: one line on standard error that says how far a long command is, rewritten a few times a second. Only when
// standard error is a terminal; otherwise, and until half a second has passed, it writes nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace polylog::server {

class Progress {
 public:
  explicit Progress(std::string what);  // "produced", as in "produced 12 records"
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `part`: how much of the work is done, 0..1; none: nobody knows.
  void set(int64_t records, int64_t bytes, std::optional<double> part);
  void clear();  // takes the line away: before anything else is written

  // The line for these numbers, at most `width` wide.
  static std::string line(const std::string& what, int64_t records, int64_t bytes, std::optional<double> part,
                          double seconds, size_t width);

 private:
  const std::string what_;
  const bool shown_;  // standard error is a terminal
  const std::chrono::steady_clock::time_point began_;
  const std::chrono::milliseconds every_;
  std::chrono::steady_clock::time_point next_;
  bool on_screen_ = false;
};

}  // namespace polylog::server
