#include "server/cli/terminal/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "server/cli/terminal/output.h"

namespace polylog::server {
namespace {

constexpr auto kFirstAfter = std::chrono::milliseconds(500);
constexpr const char* kFirstAfterVariable =
    "POLYLOG_PROGRESS_AFTER_MS";  // for tests, which cannot wait for a moment; 0: shows each step
constexpr auto kEvery = std::chrono::milliseconds(200);
constexpr size_t kBarCells = 30;
constexpr size_t kLineWidth = 79;

std::chrono::milliseconds first_after() {
  const char* set = std::getenv(kFirstAfterVariable);
  return set != nullptr ? std::chrono::milliseconds(std::atoi(set)) : kFirstAfter;
}

std::string bar(double part) {
  const auto full = static_cast<size_t>(std::clamp(part, 0.0, 1.0) * kBarCells);
  return fmt::format("[{}{}] {:3.0f}%  ", std::string(full, '#'), std::string(kBarCells - full, ' '),
                     std::clamp(part, 0.0, 1.0) * 100);
}

}  // namespace

Progress::Progress(std::string what)
    : what_(std::move(what)),
      shown_(isatty(STDERR_FILENO) != 0),
      began_(std::chrono::steady_clock::now()),
      every_(std::min(kEvery, first_after())),
      next_(began_ + first_after()) {}

void Progress::set(int64_t records, int64_t bytes, std::optional<double> part) {
  const auto now = std::chrono::steady_clock::now();
  if (!shown_ || now < next_) return;
  next_ = now + every_;
  const double seconds = std::chrono::duration<double>(now - began_).count();
  std::fprintf(stderr, "\r\x1b[K%s", line(what_, records, bytes, part, seconds, kLineWidth).c_str());
  std::fflush(stderr);
  on_screen_ = true;
}

void Progress::clear() {
  if (!std::exchange(on_screen_, false)) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

std::string Progress::line(const std::string& what, int64_t records, int64_t bytes, std::optional<double> part,
                           double seconds, size_t width) {
  std::string text = part ? bar(*part) : std::string();
  text += fmt::format("{} {} records, {}", what, records, human_bytes(bytes));
  if (seconds > 0) text += fmt::format(", {:.0f}/s", static_cast<double>(records) / seconds);
  return text.substr(0, width);
}

}  // namespace polylog::server
