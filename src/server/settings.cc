#include "server/settings.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <numeric>
#include <optional>

#include <fmt/core.h>

namespace polylog::server {

namespace {

using base::ErrorCode;
using namespace base::limits;

constexpr uint64_t kHundredYearsMs = uint64_t{100} * 365 * 24 * 3600 * 1000;

// clang-format off
constexpr Setting kSettings[] = {
    {"data_dir", Text([](Config& c) -> auto& { return c.data_dir; }), {},
     "directory of all stored data; created when missing"},
    {"listen", Addresses([](Config& c) -> auto& { return c.listen; }), {},
     "PROTOCOL=HOST:PORT of each listener, separated by commas; port 0 picks a free one"},
    {"advertise", Addresses([](Config& c) -> auto& { return c.advertise; }), {},
     "PROTOCOL=HOST:PORT that clients are told to connect to, when it is not the listener's own"},
    {"cores", Number32([](Config& c) -> auto& { return c.cores; }), {1, 256, true},
     "threads that serve; 0: one for each CPU of the process's affinity mask"},
    {"durability", DurabilityChoice([](Config& c) -> auto& { return c.durability; }), {},
     "commit: synced to disk before it is acknowledged; interval: acknowledged first, synced soon after"},
    {"durability.interval_ms", Number32([](Config& c) -> auto& { return c.durability_interval_ms; }), {1, 60'000},
     "with durability=interval, the longest time between an acknowledgement and its sync"},
    {"memory_bytes_max", Number64([](Config& c) -> auto& { return c.memory_bytes_max; }), {kMemoryBytesMin, 1024 * kGiB, true},
     "memory for requests, recent data, replies and state together; 0: a quarter of RAM"},

    {"storage.io", IoChoice([](Config& c) -> auto& { return c.storage.io; }), {},
     "how data files are written; posix: plain system calls through libc, which auto chooses too"},
    {"storage.wal_file_bytes", Number64([](Config& c) -> auto& { return c.storage.wal_file_bytes; }), {kWalFileBytesMin, 1 * kGiB, true, kBlockBytes},
     "size of one write-ahead log file; 0: 32MiB, less on a small file system"},
    {"storage.reserve_bytes", Number64([](Config& c) -> auto& { return c.storage.reserve_bytes; }), {1 * kMiB, 64 * kGiB},
     "disk space kept for acks, deletes and checkpoints on a full disk; less on a small file system"},
    {"storage.cells", Number32([](Config& c) -> auto& { return c.storage.cells; }), {1, kCellsMax, true},
     "parts that the data is divided into, fixed when the data directory is created; 0: one a core"},
    {"storage.wal_keep_files", Number32([](Config& c) -> auto& { return c.storage.wal_keep_files; }), {1, 1'000'000},
     "write-ahead log files of a cell whose contents stay; what is older and still kept moves to segments and packs"},
    {"storage.burst_bytes", Number64([](Config& c) -> auto& { return c.storage.burst_bytes; }), {0, 1024 * kGiB},
     "log files of a cell that may wait to be moved while more is written fast; less on a small file system"},
    {"storage.checkpoint_wal_bytes", Number64([](Config& c) -> auto& { return c.storage.checkpoint_wal_bytes; }), {1 * kMiB, 64 * kGiB},
     "bytes that a cell writes to its log between checkpoints: about what a start after a crash replays"},
    {"storage.pack_bytes_per_second", Number64([](Config& c) -> auto& { return c.storage.pack_bytes_per_second; }), {1 * kMiB, 64 * kGiB},
     "how fast a cell moves old data at most, unless it falls far behind"},
    {"storage.compact_memory_bytes", Number64([](Config& c) -> auto& { return c.storage.compact_memory_bytes; }), {1 * kMiB, 64 * kGiB, true},
     "memory for the keys that compaction knows at a time, of all cells together; 0: part of memory_bytes_max, 128MiB at most"},

    {"kafka.broker_id", Number32([](Config& c) -> auto& { return c.kafka.broker_id; }), {0, 2'147'483'647},
     "number of the broker, as Kafka clients see it"},
    {"kafka.auto_create_topics", Flag([](Config& c) -> auto& { return c.kafka.auto_create_topics; }), {},
     "create a topic that a client asks for, unless the request forbids it"},
    {"kafka.num_partitions", Number32([](Config& c) -> auto& { return c.kafka.num_partitions; }), {1, kPartitionsPerStreamMax},
     "partitions of a topic whose creator does not say"},
    {"kafka.message_max_bytes", Number32([](Config& c) -> auto& { return c.kafka.message_max_bytes; }), {1 * kKiB, kBatchBytesMax},
     "largest record batch of a topic without a max.message.bytes of its own"},
    {"kafka.initial_rebalance_delay_ms", Number32([](Config& c) -> auto& { return c.kafka.initial_rebalance_delay_ms; }), {0, 600'000},
     "time that an empty consumer group waits for more members before its first rebalance"},
    {"kafka.offsets_retention_ms", Number64([](Config& c) -> auto& { return c.kafka.offsets_retention_ms; }), {1, kHundredYearsMs},
     "time that committed offsets of a group without members are kept"},
    {"kafka.consumer_session_timeout_ms", Number32([](Config& c) -> auto& { return c.kafka.consumer_session_timeout_ms; }), {1'000, 1'800'000},
     "time after which a silent member of a group of the new protocol is out"},
    {"kafka.consumer_heartbeat_interval_ms", Number32([](Config& c) -> auto& { return c.kafka.consumer_heartbeat_interval_ms; }), {100, 60'000},
     "time between heartbeats that members of a group of the new protocol are told to keep"},

    {"amqp.heartbeat_s", Number16([](Config& c) -> auto& { return c.amqp.heartbeat_s; }), {0, 65'535},
     "heartbeat interval offered to clients; 0: none"},
    {"amqp.frame_bytes_max", Number32([](Config& c) -> auto& { return c.amqp.frame_bytes_max; }), {4 * kKiB, kBatchBytesMax},
     "largest frame offered to clients"},
    {"amqp.channel_max", Number16([](Config& c) -> auto& { return c.amqp.channel_max; }), {1, 65'535},
     "channels of one connection"},
    {"amqp.message_bytes_max", Number32([](Config& c) -> auto& { return c.amqp.message_bytes_max; }), {1 * kKiB, kBatchBytesMax},
     "largest message body"},

    {"log.level", LevelChoice([](Config& c) -> auto& { return c.log.level; }), {},
     "the least important lines that are written; debug: also each connection's begin and end"},
    {"log.format", FormatChoice([](Config& c) -> auto& { return c.log.format; }), {},
     "text: for people, with key=value fields; json: one object a line"},
    {"log.slow_operation_ms", Number32([](Config& c) -> auto& { return c.log.slow_operation_ms; }), {1, 3'600'000, true},
     "requests that take at least so long are logged with the time of each stage; 0: none"},
};
// clang-format on

constexpr std::array<std::string_view, 2> kDurabilityNames = {"commit", "interval"};
constexpr std::array<std::string_view, 2> kStorageIoNames = {"auto", "posix"};
constexpr std::array<std::string_view, 4> kLogLevelNames = {"debug", "info", "warn", "error"};
constexpr std::array<std::string_view, 2> kLogFormatNames = {"text", "json"};

struct Unit {
  std::string_view suffix;
  uint64_t bytes;
};
constexpr Unit kUnits[] = {{"GiB", kGiB}, {"MiB", kMiB}, {"KiB", kKiB}, {"B", 1}};

bool is_size(const Setting& setting) { return setting.key.find("bytes") != std::string_view::npos; }

std::optional<uint64_t> parse_number(std::string_view text, bool size) {
  uint64_t unit_bytes = 1;
  if (size) {
    for (const Unit& unit : kUnits) {
      if (!text.ends_with(unit.suffix)) continue;
      text.remove_suffix(unit.suffix.size());
      unit_bytes = unit.bytes;
      break;
    }
  }
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || at != end || number > std::numeric_limits<uint64_t>::max() / unit_bytes) return {};
  return number * unit_bytes;
}

std::string number_text(uint64_t number, bool size) {
  if (size && number != 0) {
    for (const Unit& unit : kUnits) {
      if (unit.bytes > 1 && number % unit.bytes == 0) return fmt::format("{}{}", number / unit.bytes, unit.suffix);
    }
  }
  return fmt::format("{}", number);
}

std::string join(std::span<const std::string_view> names) {
  std::string text;
  for (std::string_view name : names) {
    if (!text.empty()) text += '|';
    text += name;
  }
  return text;
}

std::string allowed_text(const Setting& setting) {
  if (std::holds_alternative<Flag>(setting.field)) return "true|false";
  if (std::holds_alternative<DurabilityChoice>(setting.field)) return join(kDurabilityNames);
  if (std::holds_alternative<IoChoice>(setting.field)) return join(kStorageIoNames);
  if (std::holds_alternative<LevelChoice>(setting.field)) return join(kLogLevelNames);
  if (std::holds_alternative<FormatChoice>(setting.field)) return join(kLogFormatNames);
  const Range& range = setting.range;
  if (range.max == 0) return {};
  std::string text = number_text(range.min, is_size(setting)) + ".." + number_text(range.max, is_size(setting));
  if (range.zero_is_auto) text = "0, " + text;
  if (range.multiple_of > 1) text += " in steps of " + number_text(range.multiple_of, is_size(setting));
  return text;
}

base::Result<> bad_value(const Setting& setting, std::string_view value) {
  return base::fail(ErrorCode::kInvalid,
                    fmt::format("{}: '{}' is not a value for it; use {}", setting.key, value, allowed_text(setting)));
}

// ---- one reader a kind of field

struct Reader {
  Config& config;
  const Setting& setting;
  std::string_view value;

  base::Result<> operator()(Flag field) const {
    if (value != "true" && value != "false") return bad_value(setting, value);
    field(config) = value == "true";
    return {};
  }
  base::Result<> operator()(Text field) const {
    if (value.empty()) return base::fail(ErrorCode::kInvalid, fmt::format("{}: write a value", setting.key));
    field(config) = value;
    return {};
  }
  base::Result<> operator()(Number16 field) const { return number(field(config)); }
  base::Result<> operator()(Number32 field) const { return number(field(config)); }
  base::Result<> operator()(Number64 field) const { return number(field(config)); }
  base::Result<> operator()(DurabilityChoice field) const { return choice(field(config), kDurabilityNames); }
  base::Result<> operator()(IoChoice field) const { return choice(field(config), kStorageIoNames); }
  base::Result<> operator()(LevelChoice field) const { return choice(field(config), kLogLevelNames); }
  base::Result<> operator()(FormatChoice field) const { return choice(field(config), kLogFormatNames); }
  base::Result<> operator()(Addresses field) const {
    std::vector<ProtocolAddress> addresses;
    for (size_t at = 0; at <= value.size();) {
      const size_t comma = std::min(value.find(',', at), value.size());
      auto address = parse_protocol_address(value.substr(at, comma - at));
      if (!address) {
        return base::fail(address.error().code, fmt::format("{}: {}", setting.key, address.error().text));
      }
      addresses.push_back(std::move(*address));
      at = comma + 1;
    }
    if (setting.key == "advertise") TRY(check_advertised(addresses));
    field(config) = std::move(addresses);
    return {};
  }

  template <typename T>
  base::Result<> number(T& field) const {
    const Range& range = setting.range;
    const auto parsed = parse_number(value, is_size(setting));
    if (!parsed) return bad_value(setting, value);
    const bool in_range = *parsed >= range.min && *parsed <= range.max && *parsed % range.multiple_of == 0;
    if (!in_range && !(range.zero_is_auto && *parsed == 0)) return bad_value(setting, value);
    field = static_cast<T>(*parsed);
    return {};
  }
  template <typename E, size_t N>
  base::Result<> choice(E& field, const std::array<std::string_view, N>& names) const {
    const auto name = std::ranges::find(names, value);
    if (name == names.end()) return bad_value(setting, value);
    field = static_cast<E>(name - names.begin());
    return {};
  }
  static base::Result<> check_advertised(const std::vector<ProtocolAddress>& addresses) {
    for (const ProtocolAddress& address : addresses) {
      const auto same = [&](const ProtocolAddress& other) { return other.protocol == address.protocol; };
      if (std::ranges::count_if(addresses, same) > 1) {
        return base::fail(ErrorCode::kInvalid, fmt::format("advertise: {} is there twice; give one address a protocol",
                                                           name_of(address.protocol)));
      }
      if (address.endpoint.port == 0) {
        return base::fail(ErrorCode::kInvalid, "advertise: a client cannot connect to port 0; write the real port");
      }
    }
    return {};
  }
};

struct Writer {
  Config& config;
  bool size;

  std::string operator()(Flag field) const { return field(config) ? "true" : "false"; }
  std::string operator()(Text field) const { return field(config); }
  std::string operator()(Number16 field) const { return number_text(field(config), size); }
  std::string operator()(Number32 field) const { return number_text(field(config), size); }
  std::string operator()(Number64 field) const { return number_text(field(config), size); }
  std::string operator()(DurabilityChoice field) const { return name(field(config), kDurabilityNames); }
  std::string operator()(IoChoice field) const { return name(field(config), kStorageIoNames); }
  std::string operator()(LevelChoice field) const { return name(field(config), kLogLevelNames); }
  std::string operator()(FormatChoice field) const { return name(field(config), kLogFormatNames); }
  std::string operator()(Addresses field) const {
    std::string text;
    for (const ProtocolAddress& address : field(config)) text += (text.empty() ? "" : ",") + to_text(address);
    return text;
  }
  template <typename E, size_t N>
  static std::string name(E value, const std::array<std::string_view, N>& names) {
    return std::string(names[static_cast<size_t>(value)]);
  }
};

// ---- unknown keys

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

// A shared beginning counts for more than what is missing at the end: "kafka.nump" means "kafka.num_partitions".
ptrdiff_t distance(std::string_view key, std::string_view name) {
  const auto shared = std::ranges::mismatch(key, name).in1 - key.begin();
  return static_cast<ptrdiff_t>(edit_distance(key, name)) - shared;
}

// "num_partitions" should find "kafka.num_partitions": the part behind the dot counts as well.
ptrdiff_t distance_to(const Setting& setting, std::string_view key) {
  const std::string_view last = setting.key.substr(setting.key.rfind('.') + 1);
  return std::min(distance(key, setting.key), distance(key, last) + 1);
}

base::Result<> unknown_key(std::string_view key) {
  constexpr size_t kKeyBytesShown = 64;
  key = key.substr(0, kKeyBytesShown);
  const auto nearest = std::ranges::min_element(kSettings, {}, [&](const Setting& s) { return distance_to(s, key); });
  return base::fail(ErrorCode::kNotFound, fmt::format("there is no setting '{}'; did you mean '{}'? `polylog settings` "
                                                      "lists them all",
                                                      key, nearest->key));
}

}  // namespace

std::span<const Setting> settings() { return kSettings; }

base::Result<> apply(Config& config, std::string_view key, std::string_view value) {
  const auto setting = std::ranges::find(kSettings, key, &Setting::key);
  if (setting == std::end(kSettings)) return unknown_key(key);
  return std::visit(Reader{config, *setting, value}, setting->field);
}

base::Result<> apply_assignment(Config& config, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    return base::fail(ErrorCode::kInvalid, fmt::format("'{}' is not KEY=VALUE", assignment));
  }
  return apply(config, assignment.substr(0, equals), assignment.substr(equals + 1));
}

std::string value_text(const Setting& setting, const Config& config) {
  Config copy = config;  // rows give mutable access
  return std::visit(Writer{copy, is_size(setting)}, setting.field);
}

namespace {

// A key that continues another one ("durability.interval_ms") cannot be that one's table member: it is quoted whole.
std::string toml_key(std::string_view key) {
  const bool continues = std::ranges::any_of(kSettings, [key](const Setting& other) {
    return key.size() > other.key.size() && key.starts_with(other.key) && key[other.key.size()] == '.';
  });
  return continues ? fmt::format("\"{}\"", key) : std::string(key);
}

std::string toml_string(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string toml_value(const Setting& setting, const std::string& value) {
  if (std::holds_alternative<Addresses>(setting.field)) {
    if (value.empty()) return "[\"PROTOCOL=HOST:PORT\"]";
    std::string list;
    for (size_t at = 0; at < value.size();) {
      const size_t comma = std::min(value.find(',', at), value.size());
      list += (list.empty() ? "" : ", ") + toml_string(value.substr(at, comma - at));
      at = comma + 1;
    }
    return "[" + list + "]";
  }
  const bool number = !value.empty() && value.find_first_not_of("0123456789") == std::string::npos;
  return number || std::holds_alternative<Flag>(setting.field) ? value : toml_string(value);
}

}  // namespace

std::string settings_toml(const Config& config) {
  std::string text = "# Settings of polylog. What is commented out is at its default.\n";
  for (const Setting& setting : kSettings) {
    const std::string allowed = allowed_text(setting);
    const std::string value = value_text(setting, config);
    const std::string_view mark = value == value_text(setting, Config{}) ? "#" : "";
    text += fmt::format("\n# {}\n", setting.help);
    if (!allowed.empty()) text += fmt::format("# allowed: {}\n", allowed);
    text += fmt::format("{}{} = {}\n", mark, toml_key(setting.key), toml_value(setting, value));
  }
  return text;
}

std::string list_settings() {
  std::string text;
  for (const Setting& setting : kSettings) {
    const std::string allowed = allowed_text(setting);
    const std::string value = value_text(setting, Config{});
    text += fmt::format("{} = {}\n    {}\n", setting.key, value.empty() ? "(none)" : value, setting.help);
    if (!allowed.empty()) text += fmt::format("    allowed: {}\n", allowed);
  }
  return text;
}

}  // namespace polylog::server
