// Tests of what administrators' tools ask about partitions, topics and resources.
#include <doctest/doctest.h>

#include <algorithm>

#include "protocol/kafka/gen/create_acls.h"
#include "protocol/kafka/gen/delete_acls.h"
#include "protocol/kafka/gen/describe_log_dirs.h"
#include "protocol/kafka/gen/describe_producers.h"
#include "protocol/kafka/gen/describe_topic_partitions.h"
#include "protocol/kafka/gen/elect_leaders.h"
#include "protocol/kafka/gen/list_config_resources.h"
#include "protocol/kafka/gen/list_partition_reassignments.h"
#include "protocol/kafka/session_test_calls.h"

namespace polylog::kafka {
namespace {

DescribeLogDirsResponse::Result log_dir(TestClient& client, int16_t version, const DescribeLogDirsRequest& request) {
  return client.ask<DescribeLogDirsResponse>(ApiKey::kDescribeLogDirs, version, request).results.at(0);
}

DescribeTopicPartitionsRequest pages_of(std::vector<std::string_view> topics, int32_t limit) {
  DescribeTopicPartitionsRequest request{.response_partition_limit = limit};
  for (const std::string_view topic : topics) request.topics.push_back({topic});
  return request;
}

DescribeTopicPartitionsResponse describe(TestClient& client, const DescribeTopicPartitionsRequest& request) {
  return client.ask<DescribeTopicPartitionsResponse>(ApiKey::kDescribeTopicPartitions, 0, request);
}

// "topic:first-last" of each topic of the page.
std::vector<std::string> spans_of(const DescribeTopicPartitionsResponse& page) {
  std::vector<std::string> spans;
  for (const auto& topic : page.topics) {
    spans.push_back(*topic.name + ":" + std::to_string(topic.partitions.front().partition_index) + "-" +
                    std::to_string(topic.partitions.back().partition_index));
  }
  return spans;
}

}  // namespace

TEST_CASE("log_dirs_tell_the_stored_bytes_of_each_partition") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 3);
  create_topic(client, "empty");
  const Bytes batch = batch_of({"a", "b"});
  produce(client, "t", batch, 1);
  produce(client, "t", batch, 1);
  for (int16_t version = 0; version <= 4; ++version) {
    CAPTURE(version);
    const auto all = log_dir(client, version, {.topics = std::nullopt});
    CHECK(all.error_code == ErrorCode::kNone);
    CHECK(all.log_dir == "/data");
    REQUIRE(all.topics.size() == 2);
    CHECK(all.topics[0].name == "empty");
    CHECK(all.topics[0].partitions.at(0).partition_size == 0);
    REQUIRE(all.topics[1].partitions.size() == 3);
    for (int32_t i = 0; i < 3; ++i) {
      const auto& partition = all.topics[1].partitions[static_cast<size_t>(i)];
      CHECK(partition.partition_index == i);
      CHECK(partition.partition_size == (i == 1 ? static_cast<int64_t>(2 * batch.size()) : 0));
      CHECK(partition.offset_lag == 0);
      CHECK_FALSE(partition.is_future_key);
    }
    CHECK((all.total_bytes > 0) == (version >= 4));
    CHECK((all.usable_bytes > 0) == (version >= 4));
    CHECK(all.usable_bytes <= all.total_bytes);
  }
}

TEST_CASE("every_rule_of_access_is_refused_because_there_are_none") {
  TestBroker broker;
  TestClient client(broker);
  for (int16_t version = 1; version <= 3; ++version) {
    CAPTURE(version);
    const CreateAclsRequest creations{.creations = {{.resource_name = "t"}, {.resource_name = "u"}}};
    const auto created = client.ask<CreateAclsResponse>(ApiKey::kCreateAcls, version, creations);
    REQUIRE(created.results.size() == 2);
    for (const auto& result : created.results) CHECK(result.error_code == ErrorCode::kSecurityDisabled);
    const DeleteAclsRequest filters{.filters = {{}, {}, {}}};
    const auto deleted = client.ask<DeleteAclsResponse>(ApiKey::kDeleteAcls, version, filters);
    REQUIRE(deleted.filter_results.size() == 3);
    for (const auto& result : deleted.filter_results) CHECK(result.error_code == ErrorCode::kSecurityDisabled);
  }
}

TEST_CASE("described_partitions_name_no_eligible_leaders_instead_of_null") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 2);
  const auto page = describe(client, pages_of({"t"}, 10));
  REQUIRE(page.topics.at(0).partitions.size() == 2);
  for (const auto& partition : page.topics[0].partitions) {
    REQUIRE(partition.eligible_leader_replicas.has_value());
    CHECK(partition.eligible_leader_replicas->empty());
    REQUIRE(partition.last_known_elr.has_value());
    CHECK(partition.last_known_elr->empty());
  }
}

TEST_CASE("log_dirs_leave_out_what_does_not_exist") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 2);
  DescribeLogDirsRequest request;
  request.topics = {{{.name = "t", .partitions = {1, 2, -1}}, {.name = "none", .partitions = {0}}}};
  const auto some = log_dir(client, 4, request);
  REQUIRE(some.topics.size() == 1);
  REQUIRE(some.topics[0].partitions.size() == 1);
  CHECK(some.topics[0].partitions[0].partition_index == 1);
  request.topics.emplace();
  const auto nothing = log_dir(client, 4, request);
  CHECK(nothing.topics.empty());
  CHECK(nothing.total_bytes > 0);
}

TEST_CASE("producers_that_number_their_batches_are_described") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 2);
  produce(client, "t", batch_of({"unnumbered"}));
  const auto numbered = [](int64_t id, int16_t epoch, int32_t sequence) {
    return batch_of({"a", "b"}, kNow, {.producer_id = id, .producer_epoch = epoch, .base_sequence = sequence});
  };
  REQUIRE(produce(client, "t", numbered(9, 0, 0)).error_code == ErrorCode::kNone);
  REQUIRE(produce(client, "t", numbered(7, 3, 0)).error_code == ErrorCode::kNone);
  REQUIRE(produce(client, "t", numbered(9, 0, 2)).error_code == ErrorCode::kNone);
  DescribeProducersRequest request;
  request.topics = {{.name = "t", .partition_indexes = {0, 1, 2}}, {.name = "none", .partition_indexes = {0}}};
  const auto response = client.ask<DescribeProducersResponse>(ApiKey::kDescribeProducers, 0, request);
  REQUIRE(response.topics.size() == 2);
  const auto& partitions = response.topics[0].partitions;
  REQUIRE(partitions.size() == 3);
  REQUIRE(partitions[0].active_producers.size() == 2);
  const auto& first = partitions[0].active_producers[0];
  CHECK(first.producer_id == 7);
  CHECK(first.producer_epoch == 3);
  CHECK(first.last_sequence == 1);
  CHECK(first.last_timestamp > 0);
  CHECK(first.current_txn_start_offset == -1);
  CHECK(partitions[0].active_producers[1].producer_id == 9);
  CHECK(partitions[0].active_producers[1].last_sequence == 3);
  CHECK(partitions[1].error_code == ErrorCode::kNone);
  CHECK(partitions[1].active_producers.empty());
  CHECK(partitions[2].error_code == ErrorCode::kUnknownTopicOrPartition);
  CHECK(response.topics[1].partitions.at(0).error_code == ErrorCode::kUnknownTopicOrPartition);
}

TEST_CASE("topics_are_described_page_by_page") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "b", 3);
  create_topic(client, "a", 2);
  create_topic(client, "c", 1);
  auto request = pages_of({}, 2);
  const auto first = describe(client, request);
  CHECK(spans_of(first) == std::vector<std::string>{"a:0-1"});
  REQUIRE(first.next_cursor);
  CHECK(first.next_cursor->topic_name == "b");
  CHECK(first.next_cursor->partition_index == 0);
  request.cursor = {"b", 0};
  const auto second = describe(client, request);
  CHECK(spans_of(second) == std::vector<std::string>{"b:0-1"});
  REQUIRE(second.next_cursor);
  CHECK(second.next_cursor->partition_index == 2);
  request.cursor = {"b", 2};
  const auto third = describe(client, request);
  CHECK(spans_of(third) == std::vector<std::string>{"b:2-2", "c:0-0"});
  CHECK_FALSE(third.next_cursor);
  const auto& partition = third.topics[0].partitions[0];
  CHECK(partition.leader_id == 1);
  CHECK(partition.leader_epoch > 0);
  CHECK(partition.replica_nodes == std::vector{1});
  CHECK(partition.isr_nodes == std::vector{1});
  CHECK(third.topics[0].topic_id != first.topics[0].topic_id);
  CHECK_FALSE(third.topics[0].topic_id.is_nil());
}

TEST_CASE("a_page_of_partitions_holds_at_least_one_and_at_most_the_limit") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", limits::kDescribedPartitionsMax + 1);
  for (const auto& [asked, given] : {std::pair{0, 1}, {-5, 1}, {1, 1}, {INT32_MAX, limits::kDescribedPartitionsMax}}) {
    const auto page = describe(client, pages_of({"t"}, asked));
    CHECK(std::ssize(page.topics.at(0).partitions) == given);
    REQUIRE(page.next_cursor);
    CHECK(page.next_cursor->partition_index == given);
  }
}

TEST_CASE("topics_that_are_described_by_name_are_sorted_and_may_be_unknown") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  const auto page = describe(client, pages_of({"zzz", "t", "t", "bad name"}, 100));
  REQUIRE(page.topics.size() == 3);
  CHECK(page.topics[0].error_code == ErrorCode::kInvalidTopic);
  CHECK(page.topics[1].name == "t");
  CHECK(page.topics[2].error_code == ErrorCode::kUnknownTopicOrPartition);
  auto backwards = pages_of({"t"}, 100);
  backwards.cursor = {"t", -1};
  CHECK(describe(client, backwards).topics.at(0).error_code == ErrorCode::kInvalidRequest);
  backwards.cursor = {"t", 1000};  // the topic was made again with fewer partitions meanwhile
  CHECK(describe(client, backwards).topics.at(0).partitions.empty());
}

TEST_CASE("resources_with_configs_are_listed_by_type") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "b");
  create_topic(client, "a");
  const auto list = [&](int16_t version, std::vector<int8_t> types) {
    return client.ask<ListConfigResourcesResponse>(ApiKey::kListConfigResources, version,
                                                   ListConfigResourcesRequest{.resource_types = std::move(types)});
  };
  CHECK(list(0, {}).config_resources.empty());  // of client metrics
  const auto all = list(1, {}).config_resources;
  REQUIRE(all.size() == 3);
  CHECK(all[0].resource_name == "a");
  CHECK(all[0].resource_type == 2);
  CHECK(all[2].resource_name == "1");
  CHECK(all[2].resource_type == 4);
  CHECK(list(1, {4}).config_resources.size() == 1);
  CHECK(list(1, {8, 16, 32}).config_resources.empty());
  CHECK(list(1, {8, 16, 32}).error_code == ErrorCode::kNone);
  CHECK(list(1, {2, 3}).error_code == ErrorCode::kUnsupportedVersion);
}

TEST_CASE("elections_are_not_needed_and_nothing_is_reassigned") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  for (int16_t version = 0; version <= 2; ++version) {
    ElectLeadersRequest request;
    request.topics = {{{.name = "t", .partitions = {0, 1}}}};
    const auto response = client.ask<ElectLeadersResponse>(ApiKey::kElectLeaders, version, request);
    const auto& partitions = response.topics.at(0).partitions;
    CHECK(partitions.at(0).error_code == ErrorCode::kElectionNotNeeded);
    CHECK(partitions.at(1).error_code == ErrorCode::kUnknownTopicOrPartition);
  }
  const auto moving = client.ask<ListPartitionReassignmentsResponse>(ApiKey::kListPartitionReassignments, 0,
                                                                     ListPartitionReassignmentsRequest{});
  CHECK(moving.topics.empty());
}

}  // namespace polylog::kafka
