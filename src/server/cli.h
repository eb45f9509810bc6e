// The command line: turns arguments into what main() has to do. It prints nothing and touches no file but --config's.
//
//   polylog serve [--config FILE.toml] [--data-dir DIR] [--listen PROTOCOL=HOST:PORT]... [--advertise ...]...
//                 [--set key=value]... [--cores N] [--durability commit|interval]
//   polylog settings [--toml [--set key=value]...] | --version | --help
//
// Later beats earlier: defaults, the file, --set in order, the other flags.
#pragma once

#include <string>

#include "server/config.h"

namespace polylog::server {

inline constexpr int kExitUsage = 2;  // wrong arguments or settings; failures at run time are 1

struct Command {
  bool serve = false;  // with `config`; else print and exit
  Config config = {};
  std::string out = {};    // for stdout
  std::string error = {};  // for stderr: one line
  int exit_code = 0;
};

Command parse_command_line(int argc, const char* const* argv);

}  // namespace polylog::server
