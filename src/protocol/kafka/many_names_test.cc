// Requests that name very many things, or one thing very often.
#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

#include "protocol/kafka/gen/describe_producers.h"
#include "protocol/kafka/gen/list_config_resources.h"
#include "protocol/kafka/gen/metadata.h"
#include "protocol/kafka/gen/offset_fetch.h"
#include "protocol/kafka/catalog_changes.h"
#include "protocol/kafka/session_test_calls.h"

namespace polylog::kafka {
namespace {

std::vector<std::string> names(size_t count) {
  std::vector<std::string> all;
  for (size_t i = 0; i < count; ++i) all.push_back("t" + std::to_string(i));
  return all;
}

CreateTopicsRequest creation_of(const std::vector<std::string>& names, bool validate_only = false) {
  CreateTopicsRequest request{.timeout_ms = 1000, .validate_only = validate_only};
  for (const std::string& name : names)
    request.topics.push_back({.name = name, .num_partitions = 1, .replication_factor = 1});
  return request;
}

MetadataRequest metadata_of(const std::vector<std::string>& names) {
  MetadataRequest request{.allow_auto_topic_creation = true};
  request.topics.emplace();
  for (const std::string& name : names) request.topics->push_back({.name = name});
  return request;
}

}  // namespace

TEST_CASE("a_request_creates_topics_up_to_the_limit_and_none_beyond") {
  TestBroker broker;
  TestClient client(broker);
  const auto errors = [&](size_t count) {
    const auto asked = names(count);
    std::set<ErrorCode> codes;
    for (const auto& topic :
         client.ask<CreateTopicsResponse>(ApiKey::kCreateTopics, 4, creation_of(asked, true)).topics) {
      codes.insert(topic.error_code);
    }
    return codes;
  };
  CHECK(errors(limits::kCreatedTopicsMax) == std::set{ErrorCode::kNone});
  CHECK(errors(limits::kCreatedTopicsMax + 1) == std::set{ErrorCode::kPolicyViolation});
}

TEST_CASE("metadata_creates_topics_up_to_the_limit_and_the_rest_when_it_is_asked_again") {
  TestBroker broker;
  TestClient client(broker);
  const auto asked = names(limits::kCreatedTopicsMax + 1);
  auto response = client.ask<MetadataResponse>(ApiKey::kMetadata, 9, metadata_of(asked));
  REQUIRE(response.topics.size() == asked.size());
  CHECK(response.topics[limits::kCreatedTopicsMax - 1].error_code == ErrorCode::kNone);
  CHECK(response.topics[limits::kCreatedTopicsMax].error_code == ErrorCode::kLeaderNotAvailable);
  CHECK(broker.broker.catalog().size() == limits::kCreatedTopicsMax);
  response = client.ask<MetadataResponse>(ApiKey::kMetadata, 9, metadata_of(asked));
  CHECK(response.topics[limits::kCreatedTopicsMax].error_code == ErrorCode::kNone);
}

TEST_CASE("who_creates_very_many_topics_shares_the_catalog_with_others") {
  TestBroker broker;
  TestClient greedy(broker), other(broker);
  const auto asked = names(4 * limits::kChangesOpenMax);
  greedy.send(ApiKey::kCreateTopics, 4, creation_of(asked));
  CHECK(create_topic(other, "mine").error_code == ErrorCode::kNone);
  CHECK(broker.broker.catalog().size() <= 2 * limits::kChangesOpenMax);
  const auto response = greedy.receive<CreateTopicsResponse>();
  REQUIRE(response);
  for (const auto& topic : response->topics) CHECK(topic.error_code == ErrorCode::kNone);
  CHECK(broker.broker.catalog().size() == asked.size() + 1);
}

TEST_CASE("what_may_be_large_is_described_once_however_often_it_is_named") {
  TestBroker broker;
  TestClient client(broker);
  const auto id = create_topic(client, "t", 3).topic_id;
  const std::vector<std::string> repeated{"t", "u", "t", "u"};
  MetadataRequest metadata = metadata_of(repeated);
  CHECK(client.ask<MetadataResponse>(ApiKey::kMetadata, 12, metadata).topics.size() == 2);
  metadata.topics = {{{.topic_id = id}, {.topic_id = id}}};
  CHECK(client.ask<MetadataResponse>(ApiKey::kMetadata, 12, metadata).topics.size() == 1);

  DescribeProducersRequest producers;
  producers.topics = {{.name = "t", .partition_indexes = {0, 1, 0}}, {.name = "t", .partition_indexes = {1}}};
  const auto described = client.ask<DescribeProducersResponse>(ApiKey::kDescribeProducers, 0, producers);
  REQUIRE(described.topics.size() == 2);
  CHECK(described.topics[0].partitions.size() == 2);
  CHECK(described.topics[1].partitions.empty());

  OffsetFetchRequest offsets;
  offsets.groups = {{.group_id = "g"}, {.group_id = "h"}, {.group_id = "g"}};
  offsets.groups[0].topics = {{{.name = "t", .partition_indexes = {0, 1, 0}}, {.name = "t", .partition_indexes = {1}}}};
  const auto fetched = client.ask<OffsetFetchResponse>(ApiKey::kOffsetFetch, 8, offsets).groups;
  REQUIRE(fetched.size() == 2);
  CHECK(fetched[0].topics.at(0).partitions.size() == 2);
  CHECK(fetched[0].topics.at(1).partitions.empty());

  const ListConfigResourcesRequest resources{.resource_types = {2, 4, 2}};
  CHECK(client.ask<ListConfigResourcesResponse>(ApiKey::kListConfigResources, 1, resources).config_resources.size() ==
        1 + broker.broker.catalog().size());
}

}  // namespace polylog::kafka
