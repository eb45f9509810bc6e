#include "server/cli.h"

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
