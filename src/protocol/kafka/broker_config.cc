#include "protocol/kafka/broker_config.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "broker/groups/config.h"

namespace polylog::kafka {
namespace {

using enum ConfigType;

constexpr BrokerConfigRow topics(std::string_view name, ConfigType type, std::string_view topic_config) {
  return {name, type, {}, nullptr, topic_config};
}

std::string listeners(const Config& config) {
  return fmt::format("PLAINTEXT://{}:{}", config.advertised.host, config.advertised.port);
}

template <auto kMember>
std::string setting(const Config& config) {
  return fmt::to_string(config.*kMember);
}

template <auto kMember>
std::string group_setting(const Config&) {
  return fmt::to_string(broker::GroupConfig{}.*kMember);
}

std::string frame_bytes_max(const Config&) { return fmt::to_string(limits::kFrameBytesMax); }

constexpr BrokerConfigRow kRows[] = {
    {"advertised.listeners", kString, {}, listeners},
    {"auto.create.topics.enable", kBoolean, {}, setting<&Config::auto_create_topics>},
    {"broker.id", kInt, {}, setting<&Config::node_id>},
    {"broker.rack", kString, {}, setting<&Config::rack>},
    topics("compression.type", kString, "compression.type"),
    {"default.replication.factor", kInt, "1"},
    {"delete.topic.enable", kBoolean, "true"},
    {"fetch.max.bytes", kInt, {}, setting<&Config::fetch_bytes_max>},
    {"group.max.session.timeout.ms", kInt, {}, group_setting<&broker::GroupConfig::session_timeout_ms_max>},
    {"group.max.size", kInt, {}, group_setting<&broker::GroupConfig::members_max>},
    {"group.min.session.timeout.ms", kInt, {}, group_setting<&broker::GroupConfig::session_timeout_ms_min>},
    {"inter.broker.protocol.version", kString, "3.9-IV0"},  // tools show it as the broker's version
    {"listeners", kString, {}, listeners},
    topics("log.cleaner.delete.retention.ms", kLong, "delete.retention.ms"),
    topics("log.cleaner.max.compaction.lag.ms", kLong, "max.compaction.lag.ms"),
    topics("log.cleaner.min.cleanable.ratio", kDouble, "min.cleanable.dirty.ratio"),
    topics("log.cleaner.min.compaction.lag.ms", kLong, "min.compaction.lag.ms"),
    topics("log.cleanup.policy", kList, "cleanup.policy"),
    topics("log.flush.interval.messages", kLong, "flush.messages"),
    topics("log.flush.interval.ms", kLong, "flush.ms"),
    topics("log.index.interval.bytes", kInt, "index.interval.bytes"),
    topics("log.index.size.max.bytes", kInt, "segment.index.bytes"),
    topics("log.message.timestamp.after.max.ms", kLong, "message.timestamp.after.max.ms"),
    topics("log.message.timestamp.before.max.ms", kLong, "message.timestamp.before.max.ms"),
    topics("log.message.timestamp.type", kString, "message.timestamp.type"),
    topics("log.preallocate", kBoolean, "preallocate"),
    topics("log.retention.bytes", kLong, "retention.bytes"),
    topics("log.retention.ms", kLong, "retention.ms"),
    topics("log.roll.jitter.ms", kLong, "segment.jitter.ms"),
    topics("log.roll.ms", kLong, "segment.ms"),
    topics("log.segment.bytes", kInt, "segment.bytes"),
    topics("log.segment.delete.delay.ms", kLong, "file.delete.delay.ms"),
    topics("message.max.bytes", kInt, "max.message.bytes"),
    topics("min.insync.replicas", kInt, "min.insync.replicas"),
    {"node.id", kInt, {}, setting<&Config::node_id>},
    {"num.partitions", kInt, {}, setting<&Config::num_partitions>},
    {"offset.metadata.max.bytes", kInt, {}, group_setting<&broker::GroupConfig::metadata_bytes_max>},
    {"sasl.enabled.mechanisms", kList, ""},
    {"security.inter.broker.protocol", kString, "PLAINTEXT"},
    {"socket.request.max.bytes", kInt, {}, frame_bytes_max},
    {"super.users", kString, ""},
    topics("unclean.leader.election.enable", kBoolean, "unclean.leader.election.enable"),
};
static_assert(std::ranges::is_sorted(kRows, {}, &BrokerConfigRow::name));

}  // namespace

std::span<const BrokerConfigRow> broker_configs() { return kRows; }

const BrokerConfigRow* find_broker_config(std::string_view name) {
  const auto found = std::ranges::lower_bound(kRows, name, {}, &BrokerConfigRow::name);
  return found != std::end(kRows) && found->name == name ? found : nullptr;
}

const BrokerConfigRow* broker_config_behind(std::string_view topic_config) {
  const auto found = std::ranges::find(kRows, topic_config, &BrokerConfigRow::topic_config);
  return found == std::end(kRows) ? nullptr : found;
}

std::string value_of(const BrokerConfigRow& row, const Config& config) {
  if (row.value_of != nullptr) return row.value_of(config);
  if (row.topic_config.empty()) return std::string(row.value);
  const TopicConfigRow* topic_row = find_topic_config(row.topic_config);
  CHECK(topic_row != nullptr, std::string(row.topic_config) + " is a topic's config");
  return default_of(*topic_row, config);
}

}  // namespace polylog::kafka
