// The version that `polylog --version` and the protocols report.
#pragma once

#include <string_view>

namespace polylog::server {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace polylog::server
