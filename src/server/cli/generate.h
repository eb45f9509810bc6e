// What is generated from the table of commands: shell completions and man pages. Errors are kInvalid and one line.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace polylog::server {

base::Result<std::string> completion_script(std::string_view shell);  // bash, zsh, fish
base::Result<std::string> man_page(std::string_view group);           // empty: polylog(1), else polylog-GROUP(1)

}  // namespace polylog::server
