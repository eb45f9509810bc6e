#include "server/cli.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <optional>

#include "server/config_file.h"
#include "server/settings.h"
#include "server/version.h"

namespace polylog::server {

namespace {

struct Flags {
  std::optional<std::string> config_file, data_dir, cores, durability;
  std::vector<std::string> listen, advertise, set;
  bool toml = false;  // of `settings`
};

void add_serve_flags(CLI::App& serve, Flags& flags) {
  const auto repeated = [&serve](const char* name, std::vector<std::string>& values, const char* type,
                                 const char* help) {
    serve.add_option(name, values, help)->type_name(type)->expected(1)->take_all();
  };
  serve.add_option("--config", flags.config_file, "settings, as `polylog settings` lists them")->type_name("FILE.toml");
  serve.add_option("--data-dir", flags.data_dir, "directory of all stored data; default ./polylog-data")
      ->type_name("DIR");
  repeated("--listen", flags.listen, "PROTOCOL=HOST:PORT",
           "a listener; any replaces the defaults kafka=127.0.0.1:9092, amqp=127.0.0.1:5672, admin=127.0.0.1:7400");
  repeated("--advertise", flags.advertise, "PROTOCOL=HOST:PORT", "the address that clients are told to connect to");
  repeated("--set", flags.set, "KEY=VALUE", "a setting, as `polylog settings` lists them");
  serve.add_option("--cores", flags.cores, "threads that serve; default: the CPUs it may run on")->type_name("N");
  serve.add_option("--durability", flags.durability, "commit (default): synced before it is acknowledged; interval")
      ->type_name("commit|interval");
}

std::string joined(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += (text.empty() ? "" : ",") + value;
  return text;
}

base::Result<Config> build_config(const Flags& flags) {
  Config config;
  if (flags.config_file) TRY(load_file(config, *flags.config_file));
  for (const std::string& assignment : flags.set) TRY(apply_assignment(config, assignment));
  if (flags.data_dir) TRY(apply(config, "data_dir", *flags.data_dir));
  if (!flags.listen.empty()) TRY(apply(config, "listen", joined(flags.listen)));
  if (!flags.advertise.empty()) TRY(apply(config, "advertise", joined(flags.advertise)));
  if (flags.cores) TRY(apply(config, "cores", *flags.cores));
  if (flags.durability) TRY(apply(config, "durability", *flags.durability));
  return config;
}

Command usage_error(std::string text) { return {.error = std::move(text), .exit_code = kExitUsage}; }

}  // namespace

Command parse_command_line(int argc, const char* const* argv) {
  Flags flags;
  CLI::App app("polylog: one durable log that Kafka and AMQP clients share", "polylog");
  app.set_version_flag("--version", "polylog " + std::string(kVersion));
  CLI::App* serve = app.add_subcommand("serve", "run the broker; SIGTERM stops it");
  add_serve_flags(*serve, flags);
  CLI::App* settings = app.add_subcommand("settings", "list every setting with its default");
  settings->add_flag("--toml", flags.toml, "as a configuration file, each commented out at its default");
  settings->add_option("--set", flags.set, "with --toml: a setting that the file sets")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForVersion& version) {
    return {.out = std::string(version.what()) + '\n'};
  } catch (const CLI::CallForHelp&) {
    // help() shows the subcommand that was reached.
    return {.out = app.help()};
  } catch (const CLI::CallForAllHelp&) {
    return {.out = app.help("", CLI::AppFormatMode::All)};
  } catch (const CLI::ParseError& error) {
    return usage_error(std::string(error.what()) + "; see `polylog " + (serve->parsed() ? "serve " : "") + "--help`");
  }
  if (app.get_subcommands().empty()) return usage_error("name a command, serve or settings; see `polylog --help`");
  if (settings->parsed() && !flags.toml) return {.out = list_settings()};
  auto config = build_config(flags);
  if (!config) return usage_error(std::move(config.error().text));
  if (settings->parsed()) return {.out = settings_toml(*config)};
  return {.serve = true, .config = std::move(*config)};
}

}  // namespace polylog::server
