// Structured log lines on stderr: `2026-01-02T03:04:05.678Z level component: message key=value`.
// A line is one write(2), so lines of different cores never mix. Format with fmt in the .cc file that logs.
#pragma once

#include <string_view>

namespace polylog::base {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

void log(LogLevel level, std::string_view component, std::string_view message);

inline void log_info(std::string_view component, std::string_view message) { log(LogLevel::kInfo, component, message); }
inline void log_warn(std::string_view component, std::string_view message) { log(LogLevel::kWarn, component, message); }
inline void log_error(std::string_view component, std::string_view message) {
  log(LogLevel::kError, component, message);
}

}  // namespace polylog::base
