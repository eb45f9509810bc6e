#include "protocol/kafka/group_config.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "broker/groups/config.h"
#include "protocol/kafka/gen/consumer_group_heartbeat.h"
#include "protocol/kafka/gen/describe_configs.h"
#include "protocol/kafka/gen/incremental_alter_configs.h"
#include "protocol/kafka/gen/list_config_resources.h"
#include "protocol/kafka/session_test_calls.h"

namespace polylog::kafka {
namespace {

constexpr int8_t kGroup = 32;
constexpr std::string_view kSession = "consumer.session.timeout.ms", kHeartbeat = "consumer.heartbeat.interval.ms";

IncrementalAlterConfigsResponse::Result alter(TestClient& client, std::string_view group, std::string_view config,
                                              std::optional<std::string_view> value) {
  IncrementalAlterConfigsRequest request;
  request.resources.push_back({.resource_type = kGroup, .resource_name = group});
  request.resources[0].configs.push_back(
      {.name = config, .config_operation = static_cast<int8_t>(value ? 0 : 1), .value = value});
  return client.ask<IncrementalAlterConfigsResponse>(ApiKey::kIncrementalAlterConfigs, 1, request).results.at(0);
}

DescribeConfigsResponse::Result describe(TestClient& client, std::string_view group) {
  DescribeConfigsRequest request{.include_synonyms = true, .include_documentation = true};
  request.resources.push_back({.resource_type = kGroup, .resource_name = group});
  return client.ask<DescribeConfigsResponse>(ApiKey::kDescribeConfigs, 4, request).results.at(0);
}

// "name=value<source", ascending.
Values configs_of(TestClient& client, std::string_view group) {
  Values configs;
  for (const auto& config : describe(client, group).configs) {
    CHECK_FALSE(config.read_only);
    CHECK(config.documentation);
    configs.push_back(config.name + "=" + config.value.value_or("null") + "<" + std::to_string(config.config_source));
  }
  return configs;
}

Values groups_listed(TestClient& client, std::vector<int8_t> types) {
  Values groups;
  const auto response = client.ask<ListConfigResourcesResponse>(
      ApiKey::kListConfigResources, 1, ListConfigResourcesRequest{.resource_types = std::move(types)});
  CHECK(response.error_code == ErrorCode::kNone);
  for (const auto& resource : response.config_resources) {
    if (resource.resource_type == kGroup) groups.push_back(resource.resource_name);
  }
  return groups;
}

ConsumerGroupHeartbeatResponse beat(TestClient& client, std::string_view member, int32_t epoch) {
  ConsumerGroupHeartbeatRequest request{.group_id = "g", .member_id = member, .member_epoch = epoch};
  if (epoch == 0) {
    request.rebalance_timeout_ms = 30'000;
    request.subscribed_topic_names = {{"t"}};
    request.topic_partitions.emplace();
  }
  return client.ask<ConsumerGroupHeartbeatResponse>(ApiKey::kConsumerGroupHeartbeat, 1, request);
}

ErrorCode refusal_of(const broker::Settings& settings, std::string_view group, std::vector<ConfigChange> changes) {
  const auto after = group_settings_after(settings, group, {false, std::move(changes)}, Config{});
  return after ? ErrorCode::kNone : after.error().code;
}

}  // namespace

TEST_CASE("a_group_has_the_brokers_times_until_it_has_its_own") {
  TestBroker broker;
  TestClient client(broker);
  CHECK(configs_of(client, "g") ==
        Values{"consumer.heartbeat.interval.ms=5000<5", "consumer.session.timeout.ms=45000<5"});
  CHECK(groups_listed(client, {}).empty());
  CHECK(alter(client, "g", kSession, "20000").error_code == ErrorCode::kNone);
  CHECK(configs_of(client, "g") ==
        Values{"consumer.heartbeat.interval.ms=5000<5", "consumer.session.timeout.ms=20000<8"});
  CHECK(configs_of(client, "h").back() == "consumer.session.timeout.ms=45000<5");
  const auto synonyms = describe(client, "g").configs.at(1).synonyms;
  REQUIRE(synonyms.size() == 2);
  CHECK(synonyms[0].name == kSession);
  CHECK(synonyms[1].name == "group.consumer.session.timeout.ms");
  CHECK(synonyms[1].value == "45000");
  CHECK(groups_listed(client, {}) == Values{"g"});
  CHECK(groups_listed(client, {kGroup}) == Values{"g"});
  CHECK(groups_listed(client, {2}).empty());
  CHECK(alter(client, "g", kSession, std::nullopt).error_code == ErrorCode::kNone);
  CHECK(configs_of(client, "g").back() == "consumer.session.timeout.ms=45000<5");
  CHECK(groups_listed(client, {kGroup}).empty());
  CHECK(describe(client, "").error_code == ErrorCode::kInvalidRequest);
}

TEST_CASE("configs_of_groups_that_make_no_sense_are_refused") {
  const broker::Settings none;
  const auto set = [](std::string_view name, std::string value) {
    return ConfigChange{std::string(name), ConfigOperation::kSet, std::move(value)};
  };
  CHECK(refusal_of(none, "g", {set(kSession, "1000"), set(kHeartbeat, "100")}) == ErrorCode::kNone);
  CHECK(refusal_of(none, "g", {set(kSession, "1800000")}) == ErrorCode::kNone);
  CHECK(refusal_of(none, "g", {set(kSession, "999"), set(kHeartbeat, "100")}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of(none, "g", {set(kSession, "1800001")}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of(none, "g", {set(kHeartbeat, "99")}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of(none, "g", {set(kHeartbeat, "often")}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of(none, "g", {set(kSession, "5000")}) == ErrorCode::kInvalidConfig);  // as often as the heartbeat
  CHECK(refusal_of(none, "g", {set(kSession, "5001")}) == ErrorCode::kNone);
  CHECK(refusal_of(none, "g", {set("share.session.timeout.ms", "45000")}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of(none, "g", {set("retention.ms", "1")}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of(none, "g", {{std::string(kSession), ConfigOperation::kAppend, "1"}}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of(none, "g", {{std::string(kSession), ConfigOperation::kSet, {}}}) == ErrorCode::kInvalidRequest);
  CHECK(refusal_of(none, "g", {set(kSession, "9000"), set(kSession, "9000")}) == ErrorCode::kInvalidRequest);
  CHECK(refusal_of(none, "", {set(kSession, "9000")}) == ErrorCode::kInvalidRequest);
  CHECK(refusal_of(none, std::string(255, 'g'), {set(kSession, "9000")}) == ErrorCode::kNone);
  CHECK(refusal_of(none, std::string(256, 'g'), {set(kSession, "9000")}) == ErrorCode::kInvalidRequest);
}

TEST_CASE("a_group_that_the_brokers_values_left_unsound_may_let_its_own_go_one_at_a_time") {
  broker::Settings settings;
  settings.values[broker::setting_of_group(broker::kManagedHeartbeatSetting, "g")] = "20000";
  settings.values[broker::setting_of_group(broker::kManagedSessionTimeoutSetting, "g")] = "15000";
  const auto deleting = [](std::string_view name) {
    return ConfigChange{std::string(name), ConfigOperation::kDelete, {}};
  };
  const ConfigChange larger{std::string(kSession), ConfigOperation::kSet, "16000"};
  CHECK(refusal_of(settings, "g", {larger}) == ErrorCode::kInvalidConfig);
  CHECK(refusal_of(settings, "g", {deleting(kHeartbeat)}) == ErrorCode::kNone);
  Config brief;
  brief.groups.managed_session_timeout_ms = 4'000;  // less than the 5 s of the broker's heartbeat
  for (const std::string_view name : {kHeartbeat, kSession}) {
    CHECK(group_settings_after(settings, "g", {false, {deleting(name)}}, brief));
  }
  CHECK(group_settings_after(settings, "g", {true, {}}, brief)->empty());
  settings.values[broker::setting_of_group(broker::kManagedHeartbeatSetting, "g")] = "1000";
  CHECK(group_settings_after(settings, "g", {false, {deleting(kSession)}}, brief));
  CHECK_FALSE(group_settings_after(settings, "g", {false, {deleting(kHeartbeat), deleting(kSession)}}, brief));
}

TEST_CASE("so_many_groups_have_configs_of_their_own_and_no_more") {
  broker::Settings settings;
  const std::vector<ConfigChange> change{{std::string(kSession), ConfigOperation::kSet, "9000"}};
  for (size_t i = 0; i < limits::kGroupsWithConfigsMax; ++i) {
    settings.values[broker::setting_of_group(broker::kManagedHeartbeatSetting, "g" + std::to_string(i))] = "300";
  }
  CHECK(refusal_of(settings, "g0", change) == ErrorCode::kNone);
  CHECK(refusal_of(settings, "another", change) == ErrorCode::kPolicyViolation);
  CHECK(group_settings_after(settings, "g0", {true, {}}, Config{})->size() == limits::kGroupsWithConfigsMax - 1);
}

TEST_CASE("configs_of_a_group_act_on_members_that_are_in_it") {
  TestBroker broker(1);
  TestClient admin(broker), client(broker);
  create_topic(admin, "t");
  const auto joined = beat(client, "m", 0);
  REQUIRE(joined.error_code == ErrorCode::kNone);
  CHECK(joined.heartbeat_interval_ms == 5'000);
  REQUIRE(alter(admin, "g", kHeartbeat, "700").error_code == ErrorCode::kNone);
  REQUIRE(alter(admin, "other", kHeartbeat, "300").error_code == ErrorCode::kNone);
  CHECK(beat(client, "m", joined.member_epoch).heartbeat_interval_ms == 700);
  REQUIRE(alter(admin, "g", kSession, "2000").error_code == ErrorCode::kNone);
  broker.world.run_for(std::chrono::milliseconds(1'900));
  CHECK(beat(client, "m", joined.member_epoch).error_code == ErrorCode::kNone);
  broker.world.run_for(std::chrono::milliseconds(2'100));
  CHECK(beat(client, "m", joined.member_epoch).error_code == ErrorCode::kUnknownMemberId);

  const auto again = beat(client, "m", 0);
  REQUIRE(alter(admin, "g", kSession, "60000").error_code == ErrorCode::kNone);
  broker.world.run_for(std::chrono::milliseconds(50'000));
  CHECK(beat(client, "m", again.member_epoch).error_code == ErrorCode::kNone);
}

TEST_CASE("members_are_told_to_beat_twice_within_the_session_timeout_whoever_set_it_when") {
  TestBroker broker(1);
  TestClient admin(broker), client(broker);
  create_topic(admin, "t");
  REQUIRE(alter(admin, "g", kHeartbeat, "20000").error_code == ErrorCode::kNone);
  const auto joined = beat(client, "m", 0);
  CHECK(joined.heartbeat_interval_ms == 20'000);
  IncrementalAlterConfigsRequest request;
  request.resources.push_back({.resource_type = 4, .resource_name = ""});
  request.resources[0].configs.push_back(
      {.name = "group.consumer.session.timeout.ms", .config_operation = 0, .value = "15000"});
  const auto altered = admin.ask<IncrementalAlterConfigsResponse>(ApiKey::kIncrementalAlterConfigs, 1, request);
  REQUIRE(altered.results.at(0).error_code == ErrorCode::kNone);
  CHECK(beat(client, "m", joined.member_epoch).heartbeat_interval_ms == 7'500);
}

TEST_CASE("a_silent_member_is_out_after_the_session_timeout_that_its_group_was_given_meanwhile") {
  TestBroker broker(1);
  TestClient admin(broker), client(broker);
  create_topic(admin, "t");
  const auto joined = beat(client, "m", 0);
  REQUIRE(alter(admin, "g", kHeartbeat, "500").error_code == ErrorCode::kNone);
  REQUIRE(alter(admin, "g", kSession, "1000").error_code == ErrorCode::kNone);
  broker.world.run_for(std::chrono::milliseconds(1'100));  // without a heartbeat since
  CHECK(beat(client, "m", joined.member_epoch).error_code == ErrorCode::kUnknownMemberId);
}

}  // namespace polylog::kafka
