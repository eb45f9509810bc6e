// The command line: turns arguments into what main() has to do. It prints nothing and touches no file but --config's.
//
//   polylog serve [--config FILE.toml] [--data-dir DIR] [--listen PROTOCOL=HOST:PORT]... [--advertise ...]...
//                 [--set key=value]... [--cores N] [--durability commit|interval]
//   polylog stream|group|queue VERB ... [--admin HOST:PORT] [--json]
//   polylog settings [--toml [--set key=value]...]
//   polylog status | config | completion SHELL | man [GROUP] | --version | --help
//
// The commands are rows of commands.cc. Of serve's settings later beats earlier: defaults, the file, --set in order, the
// other flags.
#pragma once

#include <string>

#include "server/cli/arguments.h"
#include "server/cli/commands.h"
#include "server/config.h"

namespace polylog::server {

inline constexpr int kExitFailure = 1;  // it did not work out
inline constexpr int kExitUsage = 2;    // wrong arguments or settings

struct Command {
  bool serve = false;  // with `config`; else print and exit
  Config config = {};
  const CommandRow* row = nullptr;  // asks a broker, with `arguments`: run_command()
  Arguments arguments = {};
  std::string out = {};    // for stdout
  std::string error = {};  // for stderr: one line
  int exit_code = 0;
};

Command parse_command_line(int argc, const char* const* argv);

// Runs a command that asks a broker: writes its output, an error as one line on stderr; returns the exit code.
[[nodiscard]] int run_command(const Command& command);

}  // namespace polylog::server
