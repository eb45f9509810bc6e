#include <doctest/doctest.h>

#include "protocol/kafka/gen/create_topics.h"
#include "protocol/kafka/gen/metadata.h"
#include "protocol/kafka/gen/produce.h"
#include "protocol/kafka/record_batch.h"
#include "protocol/kafka/session_test_kit.h"

namespace polylog::kafka {
namespace {

constexpr size_t kValueBytes = 10'000;
constexpr size_t kIngressBytes = 5 * kValueBytes;

void create(TestClient& client, std::string_view name) {
  CreateTopicsRequest request;
  request.topics.push_back({.name = name, .num_partitions = 1, .replication_factor = 1});
  REQUIRE(client.ask<CreateTopicsResponse>(ApiKey::kCreateTopics, 7, request).topics.at(0).error_code ==
          ErrorCode::kNone);
}

void send_produce(TestClient& client, std::string_view topic) {
  const std::string value(kValueBytes, 'v');
  BatchBuilder builder;
  builder.add(1'700'000'000'000, std::nullopt, base::as_view(value));
  const std::vector<uint8_t> batch = builder.finish({});
  ProduceRequest request{.acks = -1, .timeout_ms = 1000};
  request.topics.push_back({.name = topic});
  request.topics[0].partitions.push_back({.partition_index = 0, .records = batch});
  client.send(ApiKey::kProduce, 9, request);
}

TEST_CASE("what_producers_send_while_the_budget_is_exhausted_stays_in_their_input_and_is_taken_later") {
  TestBroker broker(2, kIngressBytes);
  TestClient first(broker), second(broker), other(broker);
  create(first, "t");
  int taken = 0;
  for (; !broker.broker.under_pressure(); ++taken) send_produce(first, "t");
  REQUIRE(taken == 5);  // with the rest of its batch, each is longer than its value
  CHECK(first.bytes_waiting() == 0);
  send_produce(first, "t");
  CHECK(first.connection.paused);
  CHECK(first.bytes_waiting() > kValueBytes);
  send_produce(second, "t");  // the first that this one sends, and it has not been told of any pressure
  CHECK(second.connection.paused);
  CHECK(second.bytes_waiting() > kValueBytes);
  const auto metadata = other.ask<MetadataResponse>(ApiKey::kMetadata, 12, MetadataRequest{});  // who does not publish
  CHECK(metadata.topics.size() == 1);

  for (int i = 0; i < taken; ++i) {
    const auto produced = first.receive<ProduceResponse>();
    REQUIRE(produced);
    CHECK(produced->topics.at(0).partitions.at(0).base_offset == i);
  }
  for (TestClient* client : {&first, &second}) {
    CHECK(!client->connection.paused);
    client->feed();
    CHECK(client->bytes_waiting() == 0);
    const auto produced = client->receive<ProduceResponse>();
    REQUIRE(produced);
    CHECK(produced->topics.at(0).partitions.at(0).error_code == ErrorCode::kNone);
  }
}

TEST_CASE("a_produce_of_as_many_partitions_as_its_limit_is_answered_and_of_one_more_is_not") {
  TestBroker broker;
  for (const size_t more : {0, 1}) {
    TestClient client(broker);
    ProduceRequest request{.acks = -1, .timeout_ms = 1000};
    for (const size_t partitions : {limits::kProducedPartitionsMax - 10, 10 + more}) {
      request.topics.push_back({.name = "absent"});
      request.topics.back().partitions.resize(partitions);
    }
    client.send(ApiKey::kProduce, 9, request);
    CHECK(client.connection.closed == (more == 1));
    if (client.connection.closed) continue;
    const auto produced = client.receive<ProduceResponse>();
    REQUIRE(produced);
    CHECK(produced->topics.at(0).partitions.back().error_code == ErrorCode::kUnknownTopicOrPartition);
    CHECK(produced->topics.at(1).partitions.size() == 10);
  }
}

}  // namespace
}  // namespace polylog::kafka
