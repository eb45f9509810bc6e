#include "protocol/kafka/broker_settings.h"

#include <doctest/doctest.h>

#include "protocol/kafka/broker_config.h"
#include "protocol/kafka/gen/alter_configs.h"
#include "protocol/kafka/gen/describe_configs.h"
#include "protocol/kafka/gen/incremental_alter_configs.h"
#include "protocol/kafka/gen/metadata.h"
#include "protocol/kafka/session_test_calls.h"

namespace polylog::kafka {
namespace {

using enum ConfigOperation;

auto after(const Attributes& settings, std::vector<ConfigChange> changes, BrokerScope scope = BrokerScope::kAllBrokers,
           bool replace_all = false) {
  return settings_after({.values = settings}, scope, {.replace_all = replace_all, .changes = std::move(changes)},
                        Config{});
}

ErrorCode refusal_of(std::vector<ConfigChange> changes) {
  const auto outcome = after({}, std::move(changes));
  return outcome ? ErrorCode::kNone : outcome.error().code;
}

Config config_of(const Attributes& settings) { return with_settings(Config{}, {.values = settings}); }

IncrementalAlterConfigsResponse::Result alter(TestClient& client, std::string_view broker, std::string_view config,
                                              std::optional<std::string_view> value) {
  IncrementalAlterConfigsRequest request;
  request.resources.push_back({.resource_type = 4, .resource_name = broker});
  request.resources[0].configs.push_back(
      {.name = config, .config_operation = static_cast<int8_t>(value ? 0 : 1), .value = value});
  return client.ask<IncrementalAlterConfigsResponse>(ApiKey::kIncrementalAlterConfigs, 1, request).results.at(0);
}

DescribeConfigsResponse::Config describe(TestClient& client, int8_t type, std::string_view resource,
                                         std::string_view config) {
  DescribeConfigsRequest request{.include_synonyms = true};
  request.resources.push_back({.resource_type = type, .resource_name = resource});
  request.resources[0].configuration_keys = {{config}};
  const auto response = client.ask<DescribeConfigsResponse>(ApiKey::kDescribeConfigs, 4, request);
  return response.results.at(0).configs.at(0);
}

// "value<source" of each synonym.
std::vector<std::string> synonyms_in(const DescribeConfigsResponse::Config& config) {
  std::vector<std::string> synonyms;
  for (const auto& synonym : config.synonyms) {
    synonyms.push_back(synonym.name + "=" + synonym.value.value_or("null") + "<" + std::to_string(synonym.source));
  }
  return synonyms;
}

}  // namespace

TEST_CASE("settings_of_this_broker_go_before_those_of_all") {
  const auto all = after({{"other", "x"}}, {{"num.partitions", kSet, "3"}});
  REQUIRE(all);
  CHECK(*all == Attributes{{"other", "x"}, {"kafka.brokers.num.partitions", "3"}});
  CHECK(config_of(*all).num_partitions == 3);
  const auto both = after(*all, {{"num.partitions", kSet, "5"}}, BrokerScope::kThisBroker);
  REQUIRE(both);
  CHECK(config_of(*both).num_partitions == 5);
  const auto without = after(*both, {{"num.partitions", kDelete, {}}}, BrokerScope::kThisBroker);
  CHECK(without == *all);
  CHECK(after(*both, {}, BrokerScope::kAllBrokers, /*replace_all=*/true)->size() == 2);
  CHECK(config_of({}).num_partitions == 1);
  CHECK(config_of({{"kafka.brokers.of.a.newer.version", "1"}}).num_partitions == 1);
}

TEST_CASE("settings_that_make_no_sense_are_refused") {
  CHECK(refusal_of({{"num.partitions", kSet, "1"}}) == ErrorCode::kNone);
  CHECK(refusal_of({{"num.partitions", kSet, "100000"}}) == ErrorCode::kNone);
  CHECK(refusal_of({{"num.partitions", kSet, "0"}}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of({{"num.partitions", kSet, "100001"}}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of({{"num.partitions", kSet, "many"}}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of({{"auto.create.topics.enable", kSet, "yes"}}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of({{"log.retention.ms", kSet, "-1"}}) == ErrorCode::kNone);
  CHECK(refusal_of({{"log.retention.ms", kSet, "-2"}}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of({{"log.cleanup.policy", kSet, "shrink"}}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of({{"log.cleanup.policy", kAppend, "compact"}}) == ErrorCode::kNone);
  CHECK(refusal_of({{"num.partitions", kAppend, "1"}}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of({{"num.partitions", kSet, {}}}) == ErrorCode::kInvalidRequest);
  CHECK(refusal_of({{"num.partitions", kSet, "1"}, {"num.partitions", kSet, "2"}}) == ErrorCode::kInvalidRequest);
  CHECK(refusal_of({{"broker.id", kSet, "2"}}) == ErrorCode::kInvalidRequest);
  CHECK(refusal_of({{"no.such.config", kSet, "2"}}) == ErrorCode::kInvalidConfig);
}

TEST_CASE("the_age_of_records_is_taken_from_the_finest_unit_that_is_set") {
  const TopicConfigRow& retention = *find_topic_config("retention.ms");
  CHECK(default_of(retention, config_of({})) == "604800000");
  CHECK(default_of(retention, config_of({{"kafka.brokers.log.retention.hours", "2"}})) == "7200000");
  CHECK(default_of(retention, config_of({{"kafka.broker.log.retention.hours", "-1"}})) == "-1");
  CHECK(default_of(retention, config_of({{"kafka.broker.log.retention.hours", "2"},
                                         {"kafka.brokers.log.retention.minutes", "3"}})) == "180000");
  CHECK(default_of(retention, config_of({{"kafka.brokers.log.retention.minutes", "3"},
                                         {"kafka.brokers.log.retention.ms", "5"}})) == "5");
}

TEST_CASE("the_engine_finds_what_it_reads_under_its_own_name") {
  const auto set = after({}, {{"offsets.retention.minutes", kSet, "2"},
                              {"group.max.size", kSet, "9"},
                              {"group.consumer.session.timeout.ms", kSet, "2000"},
                              {"group.consumer.heartbeat.interval.ms", kSet, "300"}});
  REQUIRE(set);
  CHECK(set->at("groups.cursor_retention_ms") == "120000");
  CHECK(set->at("groups.members_max") == "9");
  CHECK(config_of(*set).groups.members_max == 9);
  const broker::GroupConfig engine = broker::with_settings({}, *set);
  CHECK(engine.cursor_retention_ms == 120'000);
  CHECK(engine.managed_session_timeout_ms == 2000);
  CHECK(engine.managed_heartbeat_interval_ms == 300);
  const auto gone = after(*set, {{"group.max.size", kDelete, {}}});
  CHECK_FALSE(gone->contains("groups.members_max"));
  CHECK(gone->contains("groups.cursor_retention_ms"));
}

TEST_CASE("a_config_of_the_broker_acts_on_sessions_that_run") {
  TestBroker broker;
  TestClient admin(broker), client(broker);
  create_topic(client, "t");
  const Bytes large = batch_of({std::string(2000, 'x')});
  CHECK(produce(client, "t", large).error_code == ErrorCode::kNone);
  REQUIRE(alter(admin, "1", "message.max.bytes", "1000").error_code == ErrorCode::kNone);
  CHECK(produce(client, "t", large).error_code == ErrorCode::kMessageTooLarge);
  REQUIRE(alter(admin, "1", "message.max.bytes", std::nullopt).error_code == ErrorCode::kNone);
  CHECK(produce(client, "t", large).error_code == ErrorCode::kNone);

  MetadataRequest metadata{.allow_auto_topic_creation = true};
  const auto error_of = [&](std::string_view topic) {
    metadata.topics = {{{.name = topic}}};
    return client.ask<MetadataResponse>(ApiKey::kMetadata, 9, metadata).topics.at(0);
  };
  REQUIRE(alter(admin, "", "auto.create.topics.enable", "false").error_code == ErrorCode::kNone);
  CHECK(error_of("a").error_code == ErrorCode::kUnknownTopicOrPartition);
  REQUIRE(alter(admin, "1", "auto.create.topics.enable", "true").error_code == ErrorCode::kNone);
  REQUIRE(alter(admin, "", "num.partitions", "4").error_code == ErrorCode::kNone);
  CHECK(error_of("a").partitions.size() == 4);

  REQUIRE(alter(admin, "", "log.message.timestamp.type", "LogAppendTime").error_code == ErrorCode::kNone);
  CHECK(produce(client, "t", large).log_append_time_ms >= kNow);
  create_topic(client, "own", 1, {{"message.timestamp.type", "CreateTime"}});
  CHECK(produce(client, "own", large).log_append_time_ms == -1);
}

TEST_CASE("configs_tell_where_their_values_come_from") {
  TestBroker broker;
  broker.config.num_partitions = 2;
  TestClient client(broker);
  create_topic(client, "t");
  CHECK(synonyms_in(describe(client, 4, "1", "num.partitions")) == std::vector<std::string>{"num.partitions=2<4"});
  CHECK_FALSE(describe(client, 4, "1", "log.retention.ms").value);
  alter(client, "", "num.partitions", "3");
  alter(client, "1", "num.partitions", "4");
  const auto partitions = describe(client, 4, "1", "num.partitions");
  CHECK(partitions.value == "4");
  CHECK(partitions.config_source == 2);
  CHECK_FALSE(partitions.read_only);
  CHECK(synonyms_in(partitions) ==
        std::vector<std::string>{"num.partitions=4<2", "num.partitions=3<3", "num.partitions=2<4"});
  CHECK(describe(client, 4, "", "num.partitions").value == "3");
  CHECK(describe(client, 4, "1", "broker.id").read_only);

  alter(client, "", "log.retention.minutes", "10");
  const auto retention = describe(client, 2, "t", "retention.ms");
  CHECK(retention.value == "600000");
  CHECK(retention.config_source == 3);
  CHECK(synonyms_in(retention) == std::vector<std::string>{"log.retention.minutes=10<3", "log.retention.hours=168<5"});
}

TEST_CASE("configs_of_the_new_groups_are_shown_and_their_size_is_that_of_all_groups") {
  TestBroker broker;
  TestClient client(broker);
  CHECK(describe(client, 4, "1", "group.consumer.assignors").value == "uniform,range");
  CHECK(describe(client, 4, "1", "group.consumer.migration.policy").value == "bidirectional");
  CHECK(describe(client, 4, "1", "group.consumer.session.timeout.ms").value == "45000");
  CHECK(describe(client, 4, "1", "group.consumer.heartbeat.interval.ms").value == "5000");
  CHECK(describe(client, 4, "1", "group.consumer.max.size").value == "10000");
  CHECK(alter(client, "1", "group.consumer.max.size", "5").error_code == ErrorCode::kInvalidRequest);
  CHECK(alter(client, "1", "group.max.size", "7").error_code == ErrorCode::kNone);
  const auto size = describe(client, 4, "1", "group.consumer.max.size");
  CHECK(size.value == "7");
  CHECK(size.read_only);
}

TEST_CASE("what_alter_configs_does_not_name_goes_back_to_its_default") {
  TestBroker broker;
  TestClient client(broker);
  alter(client, "1", "num.partitions", "3");
  alter(client, "", "num.partitions", "2");
  AlterConfigsRequest request;
  request.resources.push_back({.resource_type = 4, .resource_name = "1"});
  request.resources[0].configs.push_back({.name = "log.retention.ms", .value = "5"});
  const auto response = client.ask<AlterConfigsResponse>(ApiKey::kAlterConfigs, 1, request);
  CHECK(response.results.at(0).error_code == ErrorCode::kNone);
  CHECK(describe(client, 4, "1", "num.partitions").value == "2");
  CHECK(describe(client, 4, "1", "log.retention.ms").value == "5");
}

TEST_CASE("changes_of_both_kinds_of_brokers_in_one_request_are_both_made") {
  TestBroker broker;
  TestClient client(broker);
  IncrementalAlterConfigsRequest request;
  for (const std::string_view name : {"", "1"}) {
    request.resources.push_back({.resource_type = 4, .resource_name = name});
    request.resources.back().configs.push_back({.name = "num.partitions", .value = name.empty() ? "2" : "3"});
  }
  const auto response = client.ask<IncrementalAlterConfigsResponse>(ApiKey::kIncrementalAlterConfigs, 1, request);
  for (const auto& result : response.results) CHECK(result.error_code == ErrorCode::kNone);
  CHECK(describe(client, 4, "", "num.partitions").value == "2");
  CHECK(describe(client, 4, "1", "num.partitions").value == "3");
}

}  // namespace polylog::kafka
