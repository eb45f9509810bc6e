// The one table of commands: what the parser, the help, the shell completions and the man pages are made from. A row is
// "polylog GROUP VERB"; commands without a group have an empty one. Plain data: the parser's library stays in its .cc file.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"

namespace polylog::server {

struct Context;

// Runs a command. kInvalid: a wrong argument (exit code 2); any other error is a failure (exit code 1).
using RunCommand = base::Result<> (*)(Context& context);

struct OptionRow {
  std::string_view name;  // "--from", or "NAME" for a positional
  std::string_view type;  // shown behind the name; empty: a flag. "a|b|c" lists all values
  std::string_view help;
  bool repeated = false;
  bool required = false;
};

struct CommandRow {
  std::string_view group;
  std::string_view verb;
  std::string_view help;  // one line
  std::span<const OptionRow> positionals;
  std::span<const OptionRow> options;
  RunCommand run;              // null: main() does it, without a broker
  std::string_view more = {};  // what the man page says besides
  bool offline = false;        // looks at files: asks no broker, and takes only the options of its own

  bool asks_broker() const { return run != nullptr && !offline; }
};

struct GroupRow {
  std::string_view name;
  std::string_view help;
};

std::span<const CommandRow> commands();
std::span<const GroupRow> command_groups();
// Those that every command that asks a broker takes as well: --admin, --json.
std::span<const OptionRow> common_options();

// --- the commands, by file of verbs/
base::Result<> run_stream_list(Context& context);  // stream_commands.cc
base::Result<> run_stream_create(Context& context);
base::Result<> run_stream_describe(Context& context);
base::Result<> run_stream_alter(Context& context);
base::Result<> run_stream_delete(Context& context);
base::Result<> run_stream_produce(Context& context);  // produce_command.cc
base::Result<> run_stream_consume(Context& context);  // consume_command.cc
base::Result<> run_stream_tail(Context& context);
base::Result<> run_group_list(Context& context);  // group_commands.cc
base::Result<> run_group_describe(Context& context);
base::Result<> run_group_reset(Context& context);
base::Result<> run_group_delete(Context& context);
base::Result<> run_queue_list(Context& context);  // queue_commands.cc
base::Result<> run_queue_describe(Context& context);
base::Result<> run_queue_peek(Context& context);
base::Result<> run_queue_purge(Context& context);
base::Result<> run_queue_delete(Context& context);
base::Result<> run_status(Context& context);  // node_commands.cc
base::Result<> run_config(Context& context);
base::Result<> run_check(Context& context);  // check_command.cc
base::Result<> run_dump(Context& context);   // dump_command.cc
base::Result<> run_bench(Context& context);  // bench_command.cc

}  // namespace polylog::server
