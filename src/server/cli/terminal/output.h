// What commands write for people: tables, and text that is safe to show.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace polylog::server {

// Columns as wide as they need to be, two spaces apart. A column that has numbers (and "-") only is flush right.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> headings) : headings_(std::move(headings)) {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<std::string>> rows_;
};

// Control characters and bytes that are no text as \xNN, so that stored bytes cannot drive a terminal.
std::string printable(std::string_view text);
std::string human_bytes(int64_t bytes);   // "1.5 GiB"
std::string human_time(int64_t seconds);  // "3d 4h", "5m 6s"

void print(std::string_view text);  // to standard output, flushed

}  // namespace polylog::server
