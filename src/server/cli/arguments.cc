#include "server/cli/arguments.h"

#include <fmt/format.h>

#include <charconv>

namespace polylog::server {
namespace {

base::Result<int64_t> number_of(std::string_view name, std::string_view text, int64_t min, int64_t max) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < min || number > max) {
    return base::fail(base::ErrorCode::kInvalid,
                      fmt::format("{}: '{}' is not a whole number from {} to {}", name, text, min, max));
  }
  return number;
}

}  // namespace

std::optional<std::string> Arguments::text(std::string_view name) const {
  return has(name) ? std::optional(all(name).front()) : std::nullopt;
}

const std::vector<std::string>& Arguments::all(std::string_view name) const {
  static const std::vector<std::string> kNone;
  const auto found = values_.find(name);
  return found == values_.end() ? kNone : found->second;
}

base::Result<std::optional<int64_t>> Arguments::number(std::string_view name, int64_t min, int64_t max) const {
  if (!has(name)) return std::nullopt;
  return number_of(name, all(name).front(), min, max);
}

base::Result<std::vector<int64_t>> Arguments::numbers(std::string_view name, int64_t min, int64_t max) const {
  std::vector<int64_t> numbers;
  for (const std::string& text : all(name)) {
    TRY_ASSIGN(const int64_t number, number_of(name, text, min, max));
    numbers.push_back(number);
  }
  return numbers;
}

base::Result<std::vector<std::pair<std::string, std::string>>> Arguments::pairs(std::string_view name) const {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& text : all(name)) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return base::fail(base::ErrorCode::kInvalid, fmt::format("{}: '{}' is not NAME=VALUE", name, text));
    }
    pairs.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return pairs;
}

}  // namespace polylog::server
