// Structured log lines on stderr, one an event:
//
//   text   2026-01-02T03:04:05.678Z warn component: message key=value other="two words"
//   json   {"time":"2026-...","level":"warn","component":"...","message":"...","key":"value","count":3}
//
// A line is one write(2), so lines of different cores never mix. Bytes that would break a line are escaped, whatever a peer
// put into a name. Which lines are written and how is set once, before any other thread runs; it holds for the whole
// process, as stderr does. Not for: files, rotation, rates (who may log in a loop limits himself).
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

namespace polylog::base {

enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kText, kJson };

struct LogField {
  LogField(std::string_view field_key, std::string_view text) : key(field_key), value(text) {}
  LogField(std::string_view field_key, std::integral auto number)
      : key(field_key), value(std::to_string(number)), is_number(true) {}
  std::string_view key;
  std::string value;
  bool is_number = false;
};
using LogFields = std::initializer_list<LogField>;

void configure_log(LogLevel least, LogFormat format);
bool log_enabled(LogLevel level);  // for what costs something to put together
void log(LogLevel level, std::string_view component, std::string_view message, LogFields fields = {});

// The line without its end; `time` as it is to appear.
std::string log_line(LogFormat format, std::string_view time, LogLevel level, std::string_view component,
                     std::string_view message, LogFields fields);

inline void log_debug(std::string_view component, std::string_view message, LogFields fields = {}) {
  log(LogLevel::kDebug, component, message, fields);
}
inline void log_info(std::string_view component, std::string_view message, LogFields fields = {}) {
  log(LogLevel::kInfo, component, message, fields);
}
inline void log_warn(std::string_view component, std::string_view message, LogFields fields = {}) {
  log(LogLevel::kWarn, component, message, fields);
}
inline void log_error(std::string_view component, std::string_view message, LogFields fields = {}) {
  log(LogLevel::kError, component, message, fields);
}

}  // namespace polylog::base
