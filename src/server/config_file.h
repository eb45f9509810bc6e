// Reads a TOML file into a Config, by the table in settings.h. Each error is one line that names file and line.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "server/config.h"

namespace polylog::server {

base::Result<> load_file(Config& config, const std::string& path);
base::Result<> load_toml(Config& config, std::string_view text, std::string_view name);  // `name` is for errors

}  // namespace polylog::server
