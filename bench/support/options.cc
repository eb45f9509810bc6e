#include "bench/support/options.h"

#include <cstdio>
#include <cstdlib>

namespace polylog::bench {

Options::Options(int argc, char** argv) {
  for (int i = 1; i < argc; i++) {
    const std::string_view word = argv[i];
    const size_t equals = word.find('=');
    if (equals == std::string_view::npos) {
      std::fprintf(stderr, "%s: expected key=value, got %s\n", argv[0], argv[i]);
      std::exit(2);
    }
    values_.emplace(word.substr(0, equals), word.substr(equals + 1));
  }
}

std::string Options::text(std::string_view key, std::string_view fallback) const {
  const auto found = values_.find(key);
  return found == values_.end() ? std::string(fallback) : found->second;
}

double Options::number(std::string_view key, double fallback) const {
  const auto found = values_.find(key);
  return found == values_.end() ? fallback : std::strtod(found->second.c_str(), nullptr);
}

uint64_t Options::count(std::string_view key, uint64_t fallback) const {
  const auto found = values_.find(key);
  return found == values_.end() ? fallback : std::strtoull(found->second.c_str(), nullptr, 10);
}

std::vector<std::pair<std::string, std::string>> Options::with_prefix(std::string_view prefix) const {
  std::vector<std::pair<std::string, std::string>> found;
  for (const auto& [key, value] : values_) {
    if (key.starts_with(prefix)) found.emplace_back(key.substr(prefix.size()), value);
  }
  return found;
}

}  // namespace polylog::bench
