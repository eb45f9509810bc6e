#include "protocol/kafka/config_changes.h"

#include <doctest/doctest.h>

#include "protocol/kafka/broker_config.h"
#include "protocol/kafka/topic_config.h"

namespace polylog::kafka {
namespace {

using enum ConfigOperation;

const Attributes kBefore = {{"kafka.cleanup.policy", "compact"}, {"kafka.retention.ms", "1000"}, {"other.limit", "7"}};

auto after(std::vector<ConfigChange> changes, bool replace_all = false) {
  broker::StreamRecord topic;
  topic.attributes = kBefore;
  return attributes_after(topic, {.replace_all = replace_all, .changes = std::move(changes)}, Config{});
}

Attributes with(Attributes attributes, const std::string& name, const std::string& value) {
  attributes[name] = value;
  return attributes;
}

TEST_CASE("kafka config changes: set and delete touch what they name") {
  CHECK(after({{"retention.ms", kSet, "2000"}}) == with(kBefore, "kafka.retention.ms", "2000"));
  CHECK(after({{"segment.bytes", kSet, "4096"}}) == with(kBefore, "kafka.segment.bytes", "4096"));
  CHECK(after({{"retention.ms", kDelete, {}}}) ==
        Attributes{{"kafka.cleanup.policy", "compact"}, {"other.limit", "7"}});
  CHECK(after({{"flush.ms", kDelete, {}}}) == kBefore);
}

TEST_CASE("kafka config changes: lists grow and shrink, each word once") {
  CHECK(after({{"cleanup.policy", kAppend, "delete"}}) == with(kBefore, "kafka.cleanup.policy", "compact,delete"));
  CHECK(after({{"cleanup.policy", kAppend, " compact , delete"}}) ==
        with(kBefore, "kafka.cleanup.policy", "compact,delete"));
  CHECK(after({{"leader.replication.throttled.replicas", kAppend, "0:1"}}) ==
        with(kBefore, "kafka.leader.replication.throttled.replicas", "0:1"));
  CHECK(after({{"leader.replication.throttled.replicas", kSubtract, "0:1"}}) ==
        with(kBefore, "kafka.leader.replication.throttled.replicas", ""));
  CHECK(after({{"cleanup.policy", kSubtract, "compact"}}) == with(kBefore, "kafka.cleanup.policy", ""));
}

TEST_CASE("kafka config changes: a list starts from its default") {
  broker::StreamRecord topic;
  const auto grown = attributes_after(topic, {.changes = {{"cleanup.policy", kAppend, "compact"}}}, Config{});
  CHECK(grown == Attributes{{"kafka.cleanup.policy", "delete,compact"}});
}

TEST_CASE("kafka config changes: replacing all keeps what other protocols set") {
  CHECK(after({{"segment.bytes", kSet, "4096"}}, true) ==
        Attributes{{"kafka.segment.bytes", "4096"}, {"other.limit", "7"}});
  CHECK(after({}, true) == Attributes{{"other.limit", "7"}});
}

TEST_CASE("kafka config changes: unknown names and bad values are invalid configs") {
  for (const ConfigChange& bad : std::vector<ConfigChange>{{"no.such.config", kSet, "1"},
                                                           {"no.such.config", kDelete, {}},
                                                           {"retention.ms", kSet, "soon"},
                                                           {"retention.ms", kSet, "-2"},
                                                           {"retention.ms", kAppend, "1"},
                                                           {"cleanup.policy", kSet, "shred"},
                                                           {"min.cleanable.dirty.ratio", kSet, "1.5"}}) {
    const auto outcome = after({{"flush.ms", kSet, "1"}, bad});
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error().code == ErrorCode::kInvalidConfig);
    CHECK_FALSE(outcome.error().why.empty());
  }
}

TEST_CASE("kafka config changes: missing values, repeated names and unknown operations are invalid requests") {
  for (const auto& bad :
       std::vector<std::vector<ConfigChange>>{{{"retention.ms", kSet, {}}},
                                              {{"retention.ms", kSet, "1"}, {"retention.ms", kDelete, {}}},
                                              {{"retention.ms", static_cast<ConfigOperation>(4), "1"}},
                                              {{"retention.ms", static_cast<ConfigOperation>(-1), "1"}}}) {
    const auto outcome = after(bad);
    REQUIRE_FALSE(outcome.has_value());
    CHECK(outcome.error().code == ErrorCode::kInvalidRequest);
  }
}

TEST_CASE("kafka broker configs: each default of a topic names a topic's config, and has its value") {
  Config config;
  config.message_bytes_max = 12'345;
  config.advertised = {"broker.example", 9092};
  for (const BrokerConfigRow& row : broker_configs()) {
    CAPTURE(row.name);
    if (!row.topic_config.empty()) CHECK(find_topic_config(row.topic_config) != nullptr);
    CHECK(find_broker_config(row.name) == &row);
  }
  CHECK(value_of(*find_broker_config("message.max.bytes"), config) == "12345");
  CHECK(value_of(*find_broker_config("log.cleanup.policy"), config) == "delete");
  CHECK(value_of(*find_broker_config("auto.create.topics.enable"), config) == "true");
  CHECK(value_of(*find_broker_config("advertised.listeners"), config) == "PLAINTEXT://broker.example:9092");
  CHECK(value_of(*find_broker_config("group.min.session.timeout.ms"), config) == "6000");
  CHECK(broker_configs_behind("max.message.bytes") == std::vector{find_broker_config("message.max.bytes")});
  CHECK(find_broker_config("no.such.config") == nullptr);
}

}  // namespace
}  // namespace polylog::kafka
