#include "server/cli/command_line.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace polylog::server {
namespace {

Command run(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "polylog");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

TEST_CASE("cli: serve without flags has the documented defaults") {
  const Command command = run({"serve"});
  REQUIRE(command.serve);
  CHECK(command.config.data_dir == "./polylog-data");
  CHECK(command.config.listen.size() == 3);
  CHECK(command.config.durability == Durability::kCommit);
}

TEST_CASE("cli: flags reach the configuration, and beat --set") {
  const Command command = run({"serve", "--data-dir", "/d", "--listen", "kafka=[::1]:0", "--listen=admin=127.0.0.1:0",
                               "--advertise", "kafka=h:1", "--set", "kafka.num_partitions=3", "--set", "cores=7",
                               "--set=memory_bytes_max=400MiB", "--cores", "2", "--durability", "interval"});
  INFO(command.error);
  REQUIRE(command.serve);
  CHECK(command.config.data_dir == "/d");
  REQUIRE(command.config.listen.size() == 2);
  CHECK(command.config.listen[0].endpoint.host == "::1");
  CHECK(command.config.advertise.size() == 1);
  CHECK(command.config.kafka.num_partitions == 3);
  CHECK(command.config.memory_bytes_max == 400 * base::limits::kMiB);
  CHECK(command.config.cores == 2);
  CHECK(command.config.durability == Durability::kInterval);
}

TEST_CASE("cli: --version, --help and settings print and do not serve") {
  CHECK(run({"--version"}).out.starts_with("polylog "));
  CHECK(run({"--help"}).out.find("serve") != std::string::npos);
  CHECK(run({"serve", "--help"}).out.find("--listen") != std::string::npos);
  CHECK(run({"settings"}).out.find("kafka.num_partitions = 1\n") != std::string::npos);
  CHECK(run({"settings", "--toml"}).out.find("\n#cores = 0\n") != std::string::npos);
  CHECK(run({"settings", "--toml", "--set", "cores=3"}).out.find("\ncores = 3\n") != std::string::npos);
  for (const char* verb : {"--version", "--help", "settings"}) {
    CHECK(run({verb}).exit_code == 0);
    CHECK_FALSE(run({verb}).serve);
  }
}

TEST_CASE("cli: where a setting came from is kept") {
  const Command command = run({"serve", "--cores", "2", "--set", "kafka.num_partitions=3"});
  REQUIRE(command.serve);
  CHECK(command.config.sources.at("cores") == "--cores");
  CHECK(command.config.sources.at("kafka.num_partitions") == "--set");
  CHECK_FALSE(command.config.sources.contains("data_dir"));
}

TEST_CASE("cli: a command for a broker carries its arguments, also those that look like options") {
  const Command command = run({"stream", "consume", "orders", "--from", "-5", "--partition", "0", "--partition", "2",
                               "--follow", "--admin", "h:1", "--json"});
  INFO(command.error);
  REQUIRE(command.row != nullptr);
  CHECK(command.row->verb == "consume");
  CHECK(command.arguments.text("NAME") == "orders");
  CHECK(command.arguments.text("--from") == "-5");
  CHECK(command.arguments.all("--partition") == std::vector<std::string>{"0", "2"});
  CHECK(command.arguments.has("--follow"));
  CHECK(command.arguments.has("--json"));
  CHECK(command.arguments.text("--admin") == "h:1");
  CHECK_FALSE(command.arguments.has("--max"));
}

TEST_CASE("cli: --help of every command names its options") {
  for (const CommandRow& row : commands()) {
    std::vector<std::string> words;
    if (!row.group.empty()) words.emplace_back(row.group);
    words.emplace_back(row.verb);
    words.emplace_back("--help");
    std::vector<const char*> arguments;
    for (const std::string& word : words) arguments.push_back(word.c_str());
    const Command command = run(arguments);
    CHECK(command.exit_code == 0);
    for (const OptionRow& option : row.options) CHECK(command.out.find(option.name) != std::string::npos);
  }
}

TEST_CASE("cli: arguments are read as numbers and pairs within limits") {
  Arguments arguments;
  arguments.slot("--max") = {"5"};
  arguments.slot("--set") = {"a=1", "b=x=y"};
  CHECK(*arguments.number("--max", 5, 5) == 5);
  CHECK_FALSE(arguments.number("--max", 6, 9));
  CHECK_FALSE(arguments.number("--max", 0, 4));
  CHECK(*arguments.number("--other", 0, 4) == std::nullopt);
  CHECK(arguments.pairs("--set")->at(1) == std::pair<std::string, std::string>("b", "x=y"));
  arguments.slot("--max") = {"5x"};
  CHECK_FALSE(arguments.number("--max", 0, 9));
  for (const char* bad : {"a", "=1", ""}) {
    arguments.slot("--set") = {bad};
    CHECK(arguments.pairs("--set").error().code == base::ErrorCode::kInvalid);
  }
}

TEST_CASE("cli: a wrong argument is one line and exit code 2") {
  for (const std::vector<const char*>& arguments : std::vector<std::vector<const char*>>{
           {},
           {"sevre"},
           {"serve", "--nope"},
           {"serve", "extra"},
           {"serve", "--set"},
           {"serve", "--set", "cores"},
           {"serve", "--set", "nope=1"},
           {"serve", "--listen", "kafka"},
           {"serve", "--cores", "many"},
           {"serve", "--data-dir", ""},
           {"serve", "--durability", "never"},
           {"serve", "--config", "/nonexistent.toml"},
           {"stream"},
           {"stream", "nope"},
           {"stream", "create"},
           {"stream", "create", "a", "b"},
           {"stream", "list", "--nope"},
           {"group", "reset", "g", "--stream", "s"},
           {"completion", "tcsh"},
           {"man", "nope"},
       }) {
    const Command command = run(arguments);
    CAPTURE(command.error);
    CHECK_FALSE(command.serve);
    CHECK(command.exit_code == kExitUsage);
    CHECK_FALSE(command.error.empty());
    CHECK(std::ranges::count(command.error, '\n') == 0);
  }
}

}  // namespace
}  // namespace polylog::server
