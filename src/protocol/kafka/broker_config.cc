#include "protocol/kafka/broker_config.h"

#include <algorithm>
#include <charconv>
#include <type_traits>

#include <fmt/format.h>

#include "base/check.h"
#include "broker/groups/config.h"

namespace polylog::kafka {
namespace {

using enum ConfigType;

constexpr double kIntMax = INT32_MAX;
constexpr int64_t kMinuteMs = 60'000, kHourMs = 3'600'000;

constexpr Accepted between(double min, double max) { return {.number_min = min, .number_max = max}; }

constexpr BrokerConfigRow topics(std::string_view name, ConfigType type, std::string_view topic_config) {
  return {.name = name, .type = type, .value = {}, .topic_config = topic_config};
}

// The age of records, in one of three units.
constexpr BrokerConfigRow retention(std::string_view name, ConfigType type, int64_t unit_ms, std::string_view value) {
  return {.name = name,
          .type = type,
          .value = value,
          .is_unset = value.empty(),
          .topic_config = "retention.ms",
          .unit = unit_ms,
          .accepted = between(-1, type == kInt ? kIntMax : 9'223'372'036'854'775'807.0)};
}

std::string listeners(const Config& config) {
  return fmt::format("PLAINTEXT://{}:{}", config.advertised.host, config.advertised.port);
}

template <auto kMember>
std::string setting(const Config& config) {
  return fmt::to_string(config.*kMember);
}
template <auto kMember>
void set(Config& config, int64_t value) {
  config.*kMember = static_cast<std::remove_reference_t<decltype(config.*kMember)>>(value);
}

template <auto kMember>
std::string group_setting(const Config& config) {
  return fmt::to_string(config.groups.*kMember);
}
template <auto kMember>
void set_group(Config& config, int64_t value) {
  config.groups.*kMember = static_cast<std::remove_reference_t<decltype(config.groups.*kMember)>>(value);
}

// Group configs that the engine reads again whenever they change.
template <auto kMember>
constexpr BrokerConfigRow groups(std::string_view name, std::string_view engine_setting, Accepted accepted) {
  return {.name = name,
          .type = kInt,
          .value = {},
          .value_of = group_setting<kMember>,
          .accepted = accepted,
          .apply = set_group<kMember>,
          .engine_setting = engine_setting};
}

std::string offsets_retention_minutes(const Config& config) {
  return fmt::to_string(config.groups.cursor_retention_ms / kMinuteMs);
}

template <auto kLimit>
std::string limit(const Config&) {
  return fmt::to_string(kLimit);
}

constexpr BrokerConfigRow kRows[] = {
    {"advertised.listeners", kString, {}, false, listeners},
    {.name = "auto.create.topics.enable",
     .type = kBoolean,
     .value = {},
     .value_of = setting<&Config::auto_create_topics>,
     .apply = set<&Config::auto_create_topics>},
    {"broker.id", kInt, {}, false, setting<&Config::node_id>},
    {"broker.rack", kString, {}, false, setting<&Config::rack>},
    topics("compression.type", kString, "compression.type"),
    {"default.replication.factor", kInt, "1"},
    {"delete.topic.enable", kBoolean, "true"},
    {"fetch.max.bytes", kInt, {}, false, setting<&Config::fetch_bytes_max>},
    {"group.consumer.assignors", kList, "uniform,range"},
    groups<&broker::GroupConfig::managed_heartbeat_interval_ms>("group.consumer.heartbeat.interval.ms",
                                                                broker::kManagedHeartbeatSetting, between(100, 60'000)),
    {"group.consumer.max.size",
     kInt,
     {},
     false,
     group_setting<&broker::GroupConfig::members_max>},  // group.max.size is set
    {"group.consumer.migration.policy", kString, "bidirectional"},
    groups<&broker::GroupConfig::managed_session_timeout_ms>(
        "group.consumer.session.timeout.ms", broker::kManagedSessionTimeoutSetting, between(1'000, 1'800'000)),
    {"group.coordinator.rebalance.protocols", kList, "classic,consumer"},
    groups<&broker::GroupConfig::initial_rebalance_delay_ms>("group.initial.rebalance.delay.ms",
                                                             broker::kInitialDelaySetting, between(0, 600'000)),
    groups<&broker::GroupConfig::session_timeout_ms_max>("group.max.session.timeout.ms",
                                                         broker::kSessionTimeoutMaxSetting, between(1, kIntMax)),
    groups<&broker::GroupConfig::members_max>("group.max.size", broker::kMembersMaxSetting, between(1, kIntMax)),
    groups<&broker::GroupConfig::session_timeout_ms_min>("group.min.session.timeout.ms",
                                                         broker::kSessionTimeoutMinSetting, between(1, kIntMax)),
    {"inter.broker.protocol.version", kString, "3.9-IV0"},  // tools show it as the broker's version
    {"listeners", kString, {}, false, listeners},
    topics("log.cleaner.delete.retention.ms", kLong, "delete.retention.ms"),
    topics("log.cleaner.max.compaction.lag.ms", kLong, "max.compaction.lag.ms"),
    topics("log.cleaner.min.cleanable.ratio", kDouble, "min.cleanable.dirty.ratio"),
    topics("log.cleaner.min.compaction.lag.ms", kLong, "min.compaction.lag.ms"),
    topics("log.cleanup.policy", kList, "cleanup.policy"),
    {"log.dirs", kString, {}, false, setting<&Config::log_dir>},
    topics("log.flush.interval.messages", kLong, "flush.messages"),
    topics("log.flush.interval.ms", kLong, "flush.ms"),
    topics("log.index.interval.bytes", kInt, "index.interval.bytes"),
    topics("log.index.size.max.bytes", kInt, "segment.index.bytes"),
    topics("log.message.timestamp.after.max.ms", kLong, "message.timestamp.after.max.ms"),
    topics("log.message.timestamp.before.max.ms", kLong, "message.timestamp.before.max.ms"),
    topics("log.message.timestamp.type", kString, "message.timestamp.type"),
    topics("log.preallocate", kBoolean, "preallocate"),
    topics("log.retention.bytes", kLong, "retention.bytes"),
    retention("log.retention.hours", kInt, kHourMs, "168"),
    retention("log.retention.minutes", kInt, kMinuteMs, {}),
    retention("log.retention.ms", kLong, 1, {}),
    topics("log.roll.jitter.ms", kLong, "segment.jitter.ms"),
    topics("log.roll.ms", kLong, "segment.ms"),
    topics("log.segment.bytes", kInt, "segment.bytes"),
    topics("log.segment.delete.delay.ms", kLong, "file.delete.delay.ms"),
    {"max.incremental.fetch.session.cache.slots", kInt, {}, false, setting<&Config::fetch_sessions_max>},
    {"max.request.partition.size.limit", kInt, {}, false, limit<limits::kDescribedPartitionsMax>},
    topics("message.max.bytes", kInt, "max.message.bytes"),
    topics("min.insync.replicas", kInt, "min.insync.replicas"),
    {"node.id", kInt, {}, false, setting<&Config::node_id>},
    {.name = "num.partitions",
     .type = kInt,
     .value = {},
     .value_of = setting<&Config::num_partitions>,
     .accepted = between(1, base::limits::kPartitionsPerStreamMax),
     .apply = set<&Config::num_partitions>},
    {"offset.metadata.max.bytes", kInt, {}, false, group_setting<&broker::GroupConfig::metadata_bytes_max>},
    {.name = "offsets.retention.minutes",
     .type = kInt,
     .value = {},
     .value_of = offsets_retention_minutes,
     .unit = kMinuteMs,
     .accepted = between(1, kIntMax),
     .apply = set_group<&broker::GroupConfig::cursor_retention_ms>,
     .engine_setting = broker::kCursorRetentionSetting},
    {"offsets.topic.num.partitions", kInt, "1"},  // committed offsets are not in a topic
    {"offsets.topic.replication.factor", kShort, "1"},
    {"producer.id.expiration.ms", kInt, "86400000"},
    {"sasl.enabled.mechanisms", kList, ""},
    {"security.inter.broker.protocol", kString, "PLAINTEXT"},
    {"socket.request.max.bytes", kInt, {}, false, limit<limits::kFrameBytesMax>},
    {"super.users", kString, ""},
    {"transaction.max.timeout.ms", kInt, "900000"},
    {"transaction.state.log.min.isr", kInt, "1"},
    {"transaction.state.log.replication.factor", kShort, "1"},
    {"transactional.id.expiration.ms", kInt, "604800000"},
    topics("unclean.leader.election.enable", kBoolean, "unclean.leader.election.enable"),
};
static_assert(std::ranges::is_sorted(kRows, {}, &BrokerConfigRow::name));

}  // namespace

std::span<const BrokerConfigRow> broker_configs() { return kRows; }

const BrokerConfigRow* find_broker_config(std::string_view name) {
  const auto found = std::ranges::lower_bound(kRows, name, {}, &BrokerConfigRow::name);
  return found != std::end(kRows) && found->name == name ? found : nullptr;
}

std::vector<const BrokerConfigRow*> broker_configs_behind(std::string_view topic_config) {
  std::vector<const BrokerConfigRow*> rows;
  for (const BrokerConfigRow& row : kRows) {
    if (row.topic_config == topic_config) rows.push_back(&row);
  }
  std::ranges::sort(rows, {}, &BrokerConfigRow::unit);
  return rows;
}

bool is_accepted(const BrokerConfigRow& row, std::string_view value) {
  const bool is_topics_own = !row.topic_config.empty() && row.accepted.number_max == 0;
  if (is_topics_own) return check_topic_config(row.topic_config, value).has_value();
  return is_accepted(row.type, row.accepted, value);
}

int64_t scaled(const BrokerConfigRow& row, std::string_view value) {
  if (row.type == kBoolean) return value == "true" ? 1 : 0;
  int64_t number = 0;
  std::from_chars(value.data(), value.data() + value.size(), number);
  return number < 0 ? number : number * row.unit;
}

const std::string* set_value(const BrokerConfigRow& row, const Config& config) {
  for (const Config::Values* values : {&config.set_for_this_broker, &config.set_for_all_brokers}) {
    if (const auto found = values->find(row.name); found != values->end()) return &found->second;
  }
  return nullptr;
}

namespace {

std::optional<std::string> value_at_start(const BrokerConfigRow& row, const Config& base) {
  if (row.is_unset) return std::nullopt;
  if (row.value_of != nullptr) return row.value_of(base);
  if (!row.value.empty() || row.topic_config.empty()) return std::string(row.value);
  const TopicConfigRow* topic_row = find_topic_config(row.topic_config);
  CHECK(topic_row != nullptr, std::string(row.topic_config) + " is a topic's config");
  return default_of(*topic_row, base);
}

}  // namespace

std::optional<std::string> value_of(const BrokerConfigRow& row, const Config& config) {
  if (const std::string* set = set_value(row, config)) return *set;
  return value_at_start(row, config);
}

std::vector<ConfigSynonym> synonyms_of(const BrokerConfigRow& row, const Config& config, const Config& base) {
  std::vector<ConfigSynonym> synonyms;
  const auto add = [&](const Config::Values& values, ConfigSource source) {
    if (const auto set = values.find(row.name); set != values.end()) {
      synonyms.push_back({row.name, set->second, source});
    }
  };
  add(config.set_for_this_broker, ConfigSource::kThisBroker);
  add(config.set_for_all_brokers, ConfigSource::kAllBrokers);
  if (const auto at_start = value_at_start(row, base)) {
    const bool is_default = at_start == value_at_start(row, Config{});
    synonyms.push_back({row.name, *at_start, is_default ? ConfigSource::kDefault : ConfigSource::kStaticBroker});
  }
  return synonyms;
}

std::vector<ConfigSynonym> synonyms_behind(std::string_view topic_config, const Config& config, const Config& base) {
  std::vector<ConfigSynonym> synonyms;
  for (const BrokerConfigRow* row : broker_configs_behind(topic_config)) {
    const auto more = synonyms_of(*row, config, base);
    synonyms.insert(synonyms.end(), more.begin(), more.end());
  }
  return synonyms;
}

}  // namespace polylog::kafka
