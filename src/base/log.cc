#include "base/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <ctime>

namespace polylog::base {
namespace {

constexpr std::string_view kLevelNames[] = {"debug", "info", "warn", "error"};

std::atomic<LogLevel> least_level{LogLevel::kInfo};
std::atomic<LogFormat> line_format{LogFormat::kText};

std::string time_text() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  tm utc{};
  ::gmtime_r(&now.tv_sec, &utc);
  char stamp[32];
  const size_t length = std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
  return fmt::format("{}.{:03}Z", std::string_view(stamp, length), now.tv_nsec / 1'000'000);
}

// What a JSON string and a quoted value of the text form have in common. UTF-8 stays as it is.
void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\u{:04x}", static_cast<uint8_t>(c));
    } else {
      out += c;
    }
  }
}

// Where a sequence that is not UTF-8 begins, or the end. JSON has no way to hold other bytes.
size_t valid_utf8_bytes(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const auto first = static_cast<uint8_t>(text[at]);
    const size_t length = first < 0x80                    ? 1
                          : first >= 0xC2 && first < 0xE0 ? 2
                          : first >= 0xE0 && first < 0xF0 ? 3
                          : first >= 0xF0 && first < 0xF5 ? 4
                                                          : 0;
    if (length == 0 || at + length > text.size()) return at;
    for (size_t i = 1; i < length; ++i) {
      if ((static_cast<uint8_t>(text[at + i]) & 0xC0) != 0x80) return at;
    }
    at += length;
  }
  return at;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const size_t good = valid_utf8_bytes(text);
    append_escaped(out, text.substr(0, good));
    text.remove_prefix(good);
    if (text.empty()) break;
    out += "\\ufffd";
    text.remove_prefix(1);
  }
  out += '"';
}

// Values that could not be told from their surroundings are quoted.
void append_text_value(std::string& out, std::string_view text) {
  const bool plain = !text.empty() && std::ranges::all_of(text, [](char c) {
    return static_cast<uint8_t>(c) > 0x20 && c != '"' && c != '=' && c != '\\' && c != 0x7F;
  });
  if (plain) {
    out += text;
    return;
  }
  out += '"';
  append_escaped(out, text);
  out += '"';
}

std::string text_line(std::string_view time, std::string_view level, std::string_view component,
                      std::string_view message, LogFields fields) {
  std::string line = fmt::format("{} {} {}: ", time, level, component);
  append_escaped(line, message);
  for (const LogField& field : fields) {
    line += fmt::format(" {}=", field.key);
    append_text_value(line, field.value);
  }
  return line;
}

std::string json_line(std::string_view time, std::string_view level, std::string_view component,
                      std::string_view message, LogFields fields) {
  std::string line = fmt::format(R"({{"time":"{}","level":"{}","component":"{}","message":)", time, level, component);
  append_json_string(line, message);
  for (const LogField& field : fields) {
    line += fmt::format(",\"{}\":", field.key);
    if (field.is_number) {
      line += field.value;
    } else {
      append_json_string(line, field.value);
    }
  }
  return line + '}';
}

}  // namespace

void configure_log(LogLevel least, LogFormat format) {
  least_level = least;
  line_format = format;
}

bool log_enabled(LogLevel level) { return level >= least_level.load(std::memory_order_relaxed); }

std::string log_line(LogFormat format, std::string_view time, LogLevel level, std::string_view component,
                     std::string_view message, LogFields fields) {
  const auto& write = format == LogFormat::kJson ? json_line : text_line;
  return write(time, kLevelNames[static_cast<size_t>(level)], component, message, fields);
}

void log(LogLevel level, std::string_view component, std::string_view message, LogFields fields) {
  if (!log_enabled(level)) return;
  std::string line =
      log_line(line_format.load(std::memory_order_relaxed), time_text(), level, component, message, fields);
  line += '\n';
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace polylog::base
