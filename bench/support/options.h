// The arguments of a load program: `key=value` words. Reads them, nothing else; an unknown key is not noticed here.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace polylog::bench {

class Options {
 public:
  // Exits with a message on a word without '='.
  Options(int argc, char** argv);

  std::string text(std::string_view key, std::string_view fallback) const;
  double number(std::string_view key, double fallback) const;
  uint64_t count(std::string_view key, uint64_t fallback) const;
  bool flag(std::string_view key, bool fallback) const { return count(key, fallback ? 1 : 0) != 0; }

  // What follows `prefix` in a key, with the key's value: `conf.linger.ms=5` under prefix `conf.`.
  std::vector<std::pair<std::string, std::string>> with_prefix(std::string_view prefix) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace polylog::bench
