#include "base/log.h"

#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <string>

namespace polylog::base {

void log(LogLevel level, std::string_view component, std::string_view message) {
  static constexpr const char* kNames[] = {"debug", "info", "warn", "error"};
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  ::gmtime_r(&now.tv_sec, &utc);
  char stamp[40];
  const size_t length = std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(stamp + length, sizeof stamp - length, ".%03ldZ ", now.tv_nsec / 1'000'000);
  std::string line = stamp;
  line += kNames[static_cast<int>(level)];
  line += ' ';
  line += component;
  line += ": ";
  line += message;
  line += '\n';
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace polylog::base
