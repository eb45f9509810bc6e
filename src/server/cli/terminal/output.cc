#include "server/cli/terminal/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/utf8.h"

namespace polylog::server {
namespace {

// In characters; good enough for tables.
size_t width_of(std::string_view text) {
  size_t width = 0;
  for (; !text.empty(); ++width) text.remove_prefix(std::max<size_t>(1, base::utf8_char_bytes(text)));
  return width;
}

bool is_number(std::string_view text) {
  return text == "-" || (!text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; }));
}

}  // namespace

std::string TextTable::text() const {
  std::vector<std::vector<std::string>> lines{headings_};
  for (const auto& row : rows_) {
    auto& line = lines.emplace_back();
    for (const std::string& cell : row) line.push_back(printable(cell));
  }
  std::vector<size_t> widths(headings_.size());
  std::vector<bool> right(headings_.size(), !rows_.empty());
  for (size_t row = 0; row < lines.size(); ++row) {
    for (size_t i = 0; i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(lines[row][i]));
      if (row > 0 && !is_number(lines[row][i])) right[i] = false;
    }
  }
  std::string text;
  for (const auto& line : lines) {
    std::string shown;
    for (size_t i = 0; i < widths.size(); ++i) {
      const std::string padding(widths[i] - width_of(line[i]), ' ');
      shown += (i > 0 ? "  " : "") + (right[i] ? padding + line[i] : line[i] + padding);
    }
    shown.erase(shown.find_last_not_of(' ') + 1);
    text += shown + '\n';
  }
  return text;
}

std::string printable(std::string_view text) {
  std::string shown;
  while (!text.empty()) {
    const size_t bytes = base::utf8_char_bytes(text);
    const auto first = static_cast<unsigned char>(text[0]);
    const bool c1_control = bytes == 2 && first == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    const size_t taken = std::max<size_t>(1, bytes);
    if (bytes == 0 || first < 0x20 || first == 0x7F || c1_control) {
      for (const char c : text.substr(0, taken)) shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      shown += text.substr(0, taken);
    }
    text.remove_prefix(taken);
  }
  return shown;
}

std::string human_bytes(int64_t bytes) {
  constexpr std::string_view kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto amount = static_cast<double>(bytes);
  size_t unit = 0;
  for (; amount >= 1024 && unit + 1 < std::size(kUnits); ++unit) amount /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", amount, kUnits[unit]);
}

std::string human_time(int64_t seconds) {
  if (seconds >= 86'400) return fmt::format("{}d {}h", seconds / 86'400, seconds % 86'400 / 3600);
  if (seconds >= 3600) return fmt::format("{}h {}m", seconds / 3600, seconds % 3600 / 60);
  if (seconds >= 60) return fmt::format("{}m {}s", seconds / 60, seconds % 60);
  return fmt::format("{}s", seconds);
}

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace polylog::server
