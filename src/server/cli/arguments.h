// Arguments: what a command was given, by the names of its rows in commands.cc. Errors are kInvalid and name the option.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace polylog::server {

class Arguments {
 public:
  std::vector<std::string>& slot(std::string_view name) { return values_[std::string(name)]; }

  bool has(std::string_view name) const { return !all(name).empty(); }
  std::optional<std::string> text(std::string_view name) const;
  const std::vector<std::string>& all(std::string_view name) const;
  base::Result<std::optional<int64_t>> number(std::string_view name, int64_t min, int64_t max) const;
  base::Result<std::vector<int64_t>> numbers(std::string_view name, int64_t min, int64_t max) const;
  // "NAME=VALUE", each of them.
  base::Result<std::vector<std::pair<std::string, std::string>>> pairs(std::string_view name) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
};

}  // namespace polylog::server
