#include <doctest/doctest.h>

#include <set>

#include "server/config_file.h"
#include "server/settings.h"

namespace polylog::server {
namespace {

const Setting& row(std::string_view key) {
  for (const Setting& setting : settings()) {
    if (setting.key == key) return setting;
  }
  FAIL("no such key");
  std::abort();
}

bool is_number(const Setting& setting) { return setting.range.max != 0; }

std::string error_of(std::string_view key, std::string_view value) {
  Config config;
  const auto result = apply(config, key, value);
  CHECK_FALSE(result);
  return result ? "" : result.error().text;
}

TEST_CASE("settings: keys are unique, have help, and defaults are values of their own kind") {
  std::set<std::string_view> keys;
  for (const Setting& setting : settings()) {
    CAPTURE(setting.key);
    CHECK(keys.insert(setting.key).second);
    CHECK_FALSE(setting.help.empty());
    CHECK(list_settings().find(std::string(setting.key) + " = ") != std::string::npos);
    Config config;
    const std::string text = value_text(setting, config);
    if (setting.key == "advertise") continue;  // none by default
    CHECK(apply(config, setting.key, text));
    CHECK(value_text(setting, config) == text);
  }
}

TEST_CASE("settings: every number is accepted at its limits and refused past them") {
  for (const Setting& setting : settings()) {
    if (!is_number(setting)) continue;
    CAPTURE(setting.key);
    const Range& range = setting.range;
    for (uint64_t value : {range.min, range.max}) {
      Config config;
      REQUIRE(apply(config, setting.key, std::to_string(value)));
      Config other;  // read back through text: nothing was cut off by a narrow field
      REQUIRE(apply(other, setting.key, value_text(setting, config)));
      CHECK(value_text(setting, other) == value_text(setting, config));
      uint64_t kept = std::visit(
          [&](auto field) -> uint64_t {
            if constexpr (std::is_integral_v<std::remove_reference_t<decltype(field(config))>>) return field(config);
            return 0;
          },
          setting.field);
      CHECK(kept == value);
    }
    Config config;
    CHECK_FALSE(apply(config, setting.key, std::to_string(range.max + 1)));
    if (range.min > 1) CHECK_FALSE(apply(config, setting.key, std::to_string(range.min - 1)));
    CHECK(apply(config, setting.key, "0").has_value() == (range.zero_is_auto || range.min == 0));
    for (const char* bad : {"", "-1", "x", "1x", "1.5", "99999999999999999999", " 1"}) {
      CHECK_FALSE(apply(config, setting.key, bad));
    }
  }
}

TEST_CASE("settings: sizes take units, other numbers do not") {
  Config config;
  REQUIRE(apply(config, "memory_bytes_max", "400MiB"));
  CHECK(config.memory_bytes_max == 400 * base::limits::kMiB);
  REQUIRE(apply(config, "amqp.frame_bytes_max", "8KiB"));
  CHECK(config.amqp.frame_bytes_max == 8192);
  REQUIRE(apply(config, "storage.reserve_bytes", "2GiB"));
  CHECK(config.storage.reserve_bytes == 2 * base::limits::kGiB);
  REQUIRE(apply(config, "kafka.message_max_bytes", "20000000"));
  CHECK(config.kafka.message_max_bytes == 20'000'000);
  CHECK_FALSE(apply(config, "memory_bytes_max", "MiB"));
  CHECK_FALSE(apply(config, "memory_bytes_max", "400MB"));
  CHECK_FALSE(apply(config, "memory_bytes_max", "99999999999GiB"));
  CHECK_FALSE(apply(config, "cores", "4KiB"));
  CHECK_FALSE(apply(config, "storage.wal_file_bytes", std::to_string(base::limits::kWalFileBytesMin + 1)));
  CHECK(value_text(row("memory_bytes_max"), config) == "400MiB");
}

TEST_CASE("settings: flags and choices") {
  Config config;
  REQUIRE(apply(config, "kafka.auto_create_topics", "false"));
  CHECK_FALSE(config.kafka.auto_create_topics);
  REQUIRE(apply(config, "kafka.auto_create_topics", "true"));
  CHECK(config.kafka.auto_create_topics);
  CHECK_FALSE(apply(config, "kafka.auto_create_topics", "yes"));
  REQUIRE(apply(config, "durability", "interval"));
  CHECK(config.durability == Durability::kInterval);
  REQUIRE(apply(config, "durability", "commit"));
  CHECK(config.durability == Durability::kCommit);
  REQUIRE(apply(config, "storage.io", "posix"));
  CHECK(config.storage.io == StorageIo::kPosix);
  REQUIRE(apply(config, "log.level", "debug"));
  CHECK(config.log.level == base::LogLevel::kDebug);
  CHECK(error_of("log.level", "loud") == "log.level: 'loud' is not a value for it; use debug|info|warn|error");
  REQUIRE(apply(config, "log.format", "json"));
  CHECK(config.log.format == base::LogFormat::kJson);
  CHECK(error_of("log.format", "xml") == "log.format: 'xml' is not a value for it; use text|json");
  CHECK(error_of("storage.io", "uring") == "storage.io: 'uring' is not a value for it; use auto|posix");
  CHECK_FALSE(apply(config, "data_dir", ""));
}

TEST_CASE("settings: listeners replace the defaults; addresses are checked") {
  Config config;
  CHECK(value_text(row("listen"), config) == "kafka=127.0.0.1:9092,amqp=127.0.0.1:5672,admin=127.0.0.1:7400");
  REQUIRE(apply(config, "listen", "kafka=[::1]:0,kafka=localhost:65535"));
  REQUIRE(config.listen.size() == 2);
  CHECK(config.listen[0].endpoint.host == "::1");
  CHECK(value_text(row("listen"), config) == "kafka=[::1]:0,kafka=localhost:65535");
  for (const char* bad :
       {"", "kafka", "mqtt=127.0.0.1:1", "kafka=127.0.0.1", "kafka=:1", "kafka=h:65536", "kafka=h:1,"}) {
    CHECK_FALSE(apply(config, "listen", bad));
  }
  CHECK(apply(config, "advertise", "kafka=broker.example:9092,amqp=broker.example:5672"));
  CHECK_FALSE(apply(config, "advertise", "kafka=a:1,kafka=b:1"));
  CHECK_FALSE(apply(config, "advertise", "kafka=a:0"));
}

TEST_CASE("settings: an unknown key names the nearest one") {
  CHECK(error_of("kafka.num_partition", "1") ==
        "there is no setting 'kafka.num_partition'; did you mean 'kafka.num_partitions'? `polylog settings` lists them "
        "all");
  CHECK(error_of("kafka.nump", "1").find("did you mean 'kafka.num_partitions'?") != std::string::npos);
  CHECK(error_of("memory", "1").find("did you mean 'memory_bytes_max'?") != std::string::npos);
  CHECK(error_of("num_partitions", "1").find("did you mean 'kafka.num_partitions'?") != std::string::npos);
  CHECK(error_of("amqp.heartbeats", "1").find("did you mean 'amqp.heartbeat_s'?") != std::string::npos);
  CHECK(error_of(std::string(10'000, 'k'), "1").size() < 300);
  Config config;
  CHECK_FALSE(apply_assignment(config, "cores"));
  CHECK_FALSE(apply_assignment(config, "=1"));
}

TEST_CASE("settings: a TOML file sets keys by table, dotted or quoted") {
  Config config;
  REQUIRE(load_toml(config, R"(
      data_dir = "/data"
      listen = ["kafka=0.0.0.0:9092", "admin=127.0.0.1:0"]
      durability = "interval"
      "durability.interval_ms" = 50
      memory_bytes_max = "400MiB"
      kafka.auto_create_topics = false
      [storage]
      reserve_bytes = 1048576
    )",
                    "test.toml"));
  CHECK(config.data_dir == "/data");
  CHECK(config.listen.size() == 2);
  CHECK(config.durability == Durability::kInterval);
  CHECK(config.durability_interval_ms == 50);
  CHECK(config.memory_bytes_max == 400 * base::limits::kMiB);
  CHECK_FALSE(config.kafka.auto_create_topics);
  CHECK(config.storage.reserve_bytes == base::limits::kMiB);
}

TEST_CASE("settings: the file that is generated holds each of them, and says what the defaults say") {
  Config wanted;
  REQUIRE(apply(wanted, "data_dir", "/var/lib/a \"b\""));
  REQUIRE(apply(wanted, "durability.interval_ms", "50"));
  const std::string text = settings_toml(wanted);
  Config read;
  REQUIRE(load_toml(read, text, "generated"));
  CHECK(read.data_dir == "/var/lib/a \"b\"");
  CHECK(read.durability_interval_ms == 50);
  std::string all;  // with the default values set as well
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const bool is_setting = text[at] == '#' && text[at + 1] != ' ';
    const std::string line = text.substr(at + (is_setting ? 1 : 0), end - at - (is_setting ? 1 : 0));
    // By default nothing is advertised, which only an absent key says.
    if (!line.starts_with("advertise")) all += line + '\n';
    at = end + 1;
  }
  Config reread;
  const auto loaded = load_toml(reread, all, "generated");
  INFO((loaded ? "" : loaded.error().text));
  REQUIRE(loaded);
  for (const Setting& setting : settings()) CHECK(value_text(setting, reread) == value_text(setting, wanted));
}

TEST_CASE("settings: errors of a TOML file are one line with file and line number") {
  const auto error = [](std::string_view text) {
    Config config;
    const auto result = load_toml(config, text, "f.toml");
    CHECK_FALSE(result);
    return result ? "" : result.error().text;
  };
  CHECK(error("\n[kafka]\nnum_partition = 1") ==
        "f.toml:3: there is no setting 'kafka.num_partition'; did you mean 'kafka.num_partitions'? `polylog settings` "
        "lists them all");
  CHECK(error("cores = 1.5") == "f.toml:1: cores: write a string, a whole number, true or false");
  CHECK(error("cores = -1").starts_with("f.toml:1: cores: '-1'"));
  CHECK(error("listen = [1]") == "f.toml:1: listen: a list holds strings");
  CHECK(error("cores = ").starts_with("f.toml:1: not valid TOML"));
  CHECK(error("cores = ").find('\n') == std::string::npos);
  Config config;
  CHECK_FALSE(load_file(config, "/nonexistent/polylog.toml"));
  CHECK_FALSE(load_file(config, "/tmp"));
  CHECK(load_file(config, "/dev/null"));
}

TEST_CASE("memory: a quarter of the machine by default, divided into its shares") {
  using base::limits::kMiB;
  CHECK(memory_bytes_max_of({}, 4096 * kMiB) == 1024 * kMiB);
  CHECK(memory_bytes_max_of({}, 100 * kMiB) == kMemoryBytesMin);
  CHECK(memory_bytes_max_of({.memory_bytes_max = 400 * kMiB}, 4096 * kMiB) == 400 * kMiB);
  CHECK(machine_memory_bytes() > 0);
  const MemoryShares shares = shares_of(400 * kMiB);
  CHECK(shares.ingress_bytes == 100 * kMiB);
  CHECK(shares.tail_bytes == 200 * kMiB);
  CHECK(shares.egress_bytes == 50 * kMiB);
  CHECK(shares.state_bytes == 50 * kMiB);
}

TEST_CASE("memory: compaction takes a part of the state's share, or what is set for it") {
  using base::limits::kMiB;
  CHECK(compact_memory_bytes_of({}, shares_of(400 * kMiB)) == 50 * kMiB / 4);
  CHECK(compact_memory_bytes_of({}, shares_of(65'536 * kMiB)) == 128 * kMiB);
  CHECK(compact_memory_bytes_of({.storage = {.compact_memory_bytes = 7 * kMiB}}, shares_of(400 * kMiB)) == 7 * kMiB);
}

}  // namespace
}  // namespace polylog::server
