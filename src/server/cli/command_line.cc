#include "server/cli/command_line.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <map>

#include "server/cli/generate.h"
#include "server/config_file.h"
#include "server/settings.h"
#include "server/version.h"

namespace polylog::server {

namespace {

// The parser's commands, each with the row that it was made from.
struct Parser {
  CLI::App app{"polylog: one durable log that Kafka and AMQP clients share", "polylog"};
  std::map<std::string_view, CLI::App*> groups;
  std::map<const CommandRow*, CLI::App*> rows;
};

void add_option(CLI::App& command, const OptionRow& option, Arguments& arguments) {
  auto& slot = arguments.slot(option.name);
  const std::string name(option.name), help(option.help);
  if (option.type.empty()) {
    command.add_flag_callback(name, [&slot] { slot.assign(1, "true"); }, help);
    return;
  }
  CLI::Option* added = command.add_option(name, slot, help);
  added->type_name(std::string(option.type))->expected(1)->required(option.required);
  if (option.repeated) added->take_all();
}

void add_commands(Parser& parser, Arguments& arguments) {
  for (const GroupRow& group : command_groups()) {
    CLI::App* added = parser.app.add_subcommand(std::string(group.name), std::string(group.help));
    added->require_subcommand(1);
    parser.groups[group.name] = added;
  }
  for (const CommandRow& row : commands()) {
    CLI::App& parent = row.group.empty() ? parser.app : *parser.groups.at(row.group);
    CLI::App* command = parent.add_subcommand(std::string(row.verb), std::string(row.help));
    for (const OptionRow& option : row.positionals) add_option(*command, option, arguments);
    for (const OptionRow& option : row.options) add_option(*command, option, arguments);
    if (row.asks_broker()) {
      for (const OptionRow& option : common_options()) add_option(*command, option, arguments);
    }
    parser.rows[&row] = command;
  }
}

std::string joined(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ",") + value;
  return text;
}

base::Result<Config> build_config(const Arguments& arguments) {
  Config config;
  if (const auto file = arguments.text("--config")) TRY(load_file(config, *file));
  for (const std::string& assignment : arguments.all("--set")) {
    TRY(apply_assignment(config, assignment));
    config.sources[assignment.substr(0, assignment.find('='))] = "--set";
  }
  constexpr std::pair<const char*, const char*> kFlags[] = {{"--data-dir", "data_dir"},
                                                            {"--listen", "listen"},
                                                            {"--advertise", "advertise"},
                                                            {"--cores", "cores"},
                                                            {"--durability", "durability"}};
  for (const auto& [flag, key] : kFlags) {
    if (!arguments.has(flag)) continue;
    TRY(apply(config, key, joined(arguments.all(flag))));
    config.sources[key] = flag;
  }
  return config;
}

Command usage_error(std::string text) { return {.error = std::move(text), .exit_code = kExitUsage}; }

Command printed(base::Result<std::string> text) {
  if (!text) return usage_error(std::move(text.error().text));
  return {.out = std::move(*text)};
}

// "polylog stream create", as far as it was understood.
std::string name_reached(const Parser& parser) {
  std::string name = "polylog";
  for (const auto& [group, app] : parser.groups) {
    if (app->parsed()) name += ' ' + std::string(group);
  }
  for (const auto& [row, app] : parser.rows) {
    if (app->parsed()) name += ' ' + std::string(row->verb);
  }
  return name;
}

Command carry_out(const CommandRow& row, Arguments&& arguments) {
  if (row.run != nullptr) return {.row = &row, .arguments = std::move(arguments)};
  const bool lists = row.verb == "settings";
  if (lists && !arguments.has("--toml")) return {.out = list_settings()};
  if (row.verb == "completion") return printed(completion_script(*arguments.text("SHELL")));
  if (row.verb == "man") return printed(man_page(arguments.text("GROUP").value_or("")));
  auto config = build_config(arguments);
  if (!config) return usage_error(std::move(config.error().text));
  if (lists) return {.out = settings_toml(*config)};
  return {.serve = true, .config = std::move(*config)};
}

}  // namespace

Command parse_command_line(int argc, const char* const* argv) {
  Arguments arguments;
  Parser parser;
  parser.app.set_version_flag("--version", "polylog " + std::string(kVersion));
  parser.app.require_subcommand(0, 1);
  add_commands(parser, arguments);
  try {
    parser.app.parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {
    return {.out = std::string(version.what()) + '\n'};
  } catch (const CLI::CallForHelp&) {
    // help() shows the subcommand that was reached.
    return {.out = parser.app.help()};
  } catch (const CLI::CallForAllHelp&) {
    return {.out = parser.app.help("", CLI::AppFormatMode::All)};
  } catch (const CLI::ParseError& error) {
    return usage_error(std::string(error.what()) + "; see `" + name_reached(parser) + " --help`");
  }
  for (const auto& [row, app] : parser.rows) {
    if (app->parsed()) return carry_out(*row, std::move(arguments));
  }
  return usage_error("name a command, for example serve, status or stream list; see `polylog --help`");
}

}  // namespace polylog::server
