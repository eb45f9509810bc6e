#include <doctest/doctest.h>

#include "protocol/kafka/commands.h"
#include "protocol/kafka/gen/api_versions.h"
#include "protocol/kafka/gen/create_partitions.h"
#include "protocol/kafka/gen/create_topics.h"
#include "protocol/kafka/gen/delete_records.h"
#include "protocol/kafka/gen/delete_topics.h"
#include "protocol/kafka/gen/fetch.h"
#include "protocol/kafka/gen/init_producer_id.h"
#include "protocol/kafka/gen/list_offsets.h"
#include "protocol/kafka/gen/metadata.h"
#include "protocol/kafka/gen/offset_for_leader_epoch.h"
#include "protocol/kafka/gen/produce.h"
#include "protocol/kafka/session_test_calls.h"
#include "protocol/kafka/topic_config.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {

TEST_CASE("api_versions_lists_every_command_and_only_those") {
  TestBroker broker;
  TestClient client(broker);
  const auto response = client.ask<ApiVersionsResponse>(
      ApiKey::kApiVersions, 3,
      ApiVersionsRequest{.client_software_name = "kafkajs", .client_software_version = "2.2.4"});
  CHECK(response.error_code == ErrorCode::kNone);
  REQUIRE(response.apis.size() == commands().size());
  for (size_t i = 0; i < commands().size(); ++i) {
    CHECK(response.apis[i].api_key == static_cast<int16_t>(commands()[i].key));
    CHECK(find_command(response.apis[i].api_key) == &commands()[i]);
  }
  CHECK(response.apis[0].min_version == 0);  // Produce: old librdkafka reads its features from the range
  CHECK(response.apis[0].max_version == 11);
  CHECK(find_command(4) == nullptr);
  CHECK(find_command(-1) == nullptr);
  CHECK(find_command(INT16_MAX) == nullptr);
}

TEST_CASE("api_versions_refuses_a_bad_software_name") {
  TestBroker broker;
  TestClient client(broker);
  const ApiVersionsRequest request{.client_software_name = "-x", .client_software_version = "1"};
  CHECK(client.ask<ApiVersionsResponse>(ApiKey::kApiVersions, 3, request).error_code == ErrorCode::kInvalidRequest);
}

TEST_CASE("an_api_versions_request_of_a_future_version_is_answered_in_version_0") {
  TestBroker broker;
  TestClient client(broker);
  base::Writer out;
  out.i32be(14);
  out.i16be(18);
  out.i16be(99);
  out.i32be(7);
  out.i16be(4);
  out.text("test");
  client.give(out.view());
  std::vector<base::View> pieces;
  client.connection.out().gather(pieces, 1);
  REQUIRE(pieces.size() == 1);
  base::Reader in(pieces[0].subspan(4));
  CHECK(in.i32be() == 7);
  ApiVersionsResponse response;
  REQUIRE(decode(in, 0, response));
  CHECK(response.error_code == ErrorCode::kUnsupportedVersion);
  REQUIRE(response.apis.size() == 1);
  CHECK(response.apis[0].max_version == 4);
  CHECK_FALSE(client.connection.closed);
}

TEST_CASE("what_nobody_offers_closes_the_connection") {
  TestBroker broker;
  for (const auto& [key, version] : {std::pair<int16_t, int16_t>{4, 0}, {0, 2}, {1, 99}, {-1, 0}}) {
    TestClient client(broker);
    base::Writer out;
    out.i32be(10);
    out.i16be(key);
    out.i16be(version);
    out.i32be(1);
    out.i16be(-1);
    client.give(out.view());
    CHECK(client.connection.closed);
  }
}

TEST_CASE("impossible_frame_sizes_and_malformed_bodies_close_the_connection") {
  TestBroker broker;
  for (const int32_t size : {0, -1, limits::kFrameBytesMax + 1}) {
    TestClient client(broker);
    base::Writer out;
    out.i32be(size);
    client.give(out.view());
    CHECK(client.connection.closed);
  }
  TestClient client(broker);
  base::Writer out;
  const size_t at = begin_request(out, ApiKey::kProduce, 9, 1, "test");
  out.u8(0xFF);
  end_response(out, at);
  client.give(out.view());
  CHECK(client.connection.closed);
}

TEST_CASE("a_request_may_come_in_single_bytes") {
  TestBroker broker;
  TestClient client(broker);
  base::Writer out;
  const size_t at = begin_request(out, ApiKey::kApiVersions, 0, 1, "test");
  encode(out, 0, ApiVersionsRequest{});
  end_response(out, at);
  for (size_t i = 0; i < out.size(); ++i) {
    CHECK(client.connection.out().empty());
    client.give(out.view().subspan(i, 1));
  }
  CHECK_FALSE(client.connection.out().empty());
}

TEST_CASE("produced_records_are_fetched_at_their_offsets") {
  TestBroker broker;
  TestClient client(broker);
  REQUIRE(create_topic(client, "t").error_code == ErrorCode::kNone);
  CHECK(produce(client, "t", batch_of({"a", "b"})).base_offset == 0);
  const auto second = produce(client, "t", batch_of({"c"}));
  CHECK(second.base_offset == 2);
  CHECK(second.log_append_time_ms == -1);
  CHECK(second.log_start_offset == 0);
  const auto all = fetch(client, fetch_request("t", 0));
  CHECK(all.high_watermark == 3);
  CHECK(all.last_stable_offset == 3);
  CHECK(values_in(all.records.bytes) == Values{"0=a", "1=b", "2=c"});
  CHECK(values_in(fetch(client, fetch_request("t", 1)).records.bytes) == Values{"0=a", "1=b", "2=c"});
  CHECK(values_in(fetch(client, fetch_request("t", 2)).records.bytes) == Values{"2=c"});
  CHECK(fetch(client, fetch_request("t", 3)).records.size_bytes == 0);
  CHECK(fetch(client, fetch_request("t", 4)).error_code == ErrorCode::kOffsetOutOfRange);
}

TEST_CASE("every_fetch_version_gives_the_same_records") {
  TestBroker broker;
  TestClient client(broker);
  const base::Uuid id = create_topic(client, "t").topic_id;
  produce(client, "t", batch_of({"a"}));
  for (int16_t version = 4; version <= 17; ++version) {
    FetchRequest request = fetch_request("t", 0);
    request.topics[0].topic_id = id;
    const auto response = client.ask<FetchResponse>(ApiKey::kFetch, version, request);
    CHECK(values_in(response.topics.at(0).partitions.at(0).records.bytes) == Values{"0=a"});
  }
}

TEST_CASE("a_fetch_waits_for_records_and_holds_back_later_replies") {
  TestBroker broker;
  TestClient reader(broker), writer(broker);
  create_topic(writer, "t");
  for (int round = 0; round < 2; ++round) {  // the second time the session expects to wait
    reader.send(ApiKey::kFetch, 12, fetch_request("t", round, 5000));
    reader.send(ApiKey::kApiVersions, 0, ApiVersionsRequest{});
    broker.world.run_for(std::chrono::milliseconds(100));
    CHECK(reader.connection.out().empty());
    const Bytes batch = batch_of({"late"});
    writer.send(ApiKey::kProduce, 9, produce_request("t", batch));
    const auto response = reader.receive<FetchResponse>(std::chrono::seconds(1));
    REQUIRE(response);
    CHECK(response->topics[0].partitions[0].records.size_bytes == batch.size());
    CHECK(reader.receive<ApiVersionsResponse>());
    CHECK(writer.receive<ProduceResponse>());
  }
}

TEST_CASE("a_fetch_gives_up_after_max_wait") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  const base::MonoTime start = broker.world.now();
  const auto partition = fetch(client, fetch_request("t", 0, 300));
  CHECK(partition.error_code == ErrorCode::kNone);
  CHECK(partition.high_watermark == 0);
  CHECK(broker.world.now() - start >= std::chrono::milliseconds(300));
  CHECK(broker.world.now() - start < std::chrono::milliseconds(400));
}

TEST_CASE("a_fetch_collects_min_bytes") {
  TestBroker broker;
  TestClient reader(broker), writer(broker);
  create_topic(writer, "t");
  const Bytes batch = batch_of({"x"});
  FetchRequest request = fetch_request("t", 0, 5000);
  request.min_bytes = static_cast<int32_t>(3 * batch.size());
  reader.send(ApiKey::kFetch, 12, request);
  for (int i = 0; i < 2; ++i) {
    produce(writer, "t", batch);
    broker.world.run_for(std::chrono::milliseconds(50));
    CHECK(reader.connection.out().empty());
  }
  produce(writer, "t", batch);
  const auto response = reader.receive<FetchResponse>(std::chrono::milliseconds(100));
  REQUIRE(response);
  CHECK(values_in(response->topics[0].partitions[0].records.bytes) == Values{"0=x", "1=x", "2=x"});
}

TEST_CASE("a_batch_larger_than_every_limit_is_still_returned_alone") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 2);
  const Bytes large = batch_of({std::string(10'000, 'x')});
  for (const int32_t partition : {0, 1}) {
    produce(client, "t", large, partition);
    produce(client, "t", large, partition);
  }
  FetchRequest request = fetch_request("t", 0);
  request.max_bytes = 100;
  request.topics[0].partitions[0].partition_max_bytes = 100;
  request.topics[0].partitions.push_back({.partition_index = 1, .fetch_offset = 0, .partition_max_bytes = 1 << 20});
  const auto response = client.ask<FetchResponse>(ApiKey::kFetch, 11, request);
  CHECK(response.topics[0].partitions[0].records.size_bytes == large.size());
  CHECK(response.topics[0].partitions[1].records.size_bytes == 0);
}

TEST_CASE("fetch_fences_leader_epochs") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  const auto epoch = static_cast<int32_t>(broker.broker.epoch_of(base::CellId(0)).value);
  FetchRequest request = fetch_request("t", 0);
  request.topics[0].partitions[0].current_leader_epoch = epoch;
  CHECK(fetch(client, request).error_code == ErrorCode::kNone);
  request.topics[0].partitions[0].current_leader_epoch = epoch + 1;
  CHECK(fetch(client, request).error_code == ErrorCode::kUnknownLeaderEpoch);
  request.topics[0].partitions[0].current_leader_epoch = epoch - 1;
  if (epoch - 1 >= 0) {
    const auto fenced = fetch(client, request);
    CHECK(fenced.error_code == ErrorCode::kFencedLeaderEpoch);
    CHECK(fenced.current_leader.leader_epoch == epoch);
  }
}

TEST_CASE("unknown_topics_and_partitions_are_named_as_such") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  CHECK(produce(client, "nope", batch_of({"a"})).error_code == ErrorCode::kUnknownTopicOrPartition);
  CHECK(produce(client, "t", batch_of({"a"}), 1).error_code == ErrorCode::kUnknownTopicOrPartition);
  CHECK(fetch(client, fetch_request("nope", 0)).error_code == ErrorCode::kUnknownTopicOrPartition);
  FetchRequest by_id = fetch_request("", 0);
  by_id.topics[0].topic_id.bytes[3] = 9;
  CHECK(client.ask<FetchResponse>(ApiKey::kFetch, 13, by_id).topics[0].partitions[0].error_code ==
        ErrorCode::kUnknownTopicId);
  CHECK(list_offset(client, "nope", -1).error_code == ErrorCode::kUnknownTopicOrPartition);
}

TEST_CASE("produce_refuses_what_it_must_and_the_connection_lives_on") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 1, {{"max.message.bytes", "200"}});
  CHECK(produce(client, "t", batch_of({std::string(200, 'x')})).error_code == ErrorCode::kMessageTooLarge);
  CHECK(produce(client, "t", {}).error_code == ErrorCode::kInvalidRecord);
  Bytes damaged = batch_of({"a"});
  damaged.back() ^= 1;
  CHECK(produce(client, "t", damaged).error_code == ErrorCode::kCorruptMessage);
  const auto future = produce(client, "t", batch_of({"a"}, kNow + 7'200'000));
  CHECK(future.error_code == ErrorCode::kInvalidTimestamp);
  CHECK(future.base_offset == -1);
  REQUIRE(future.record_errors.size() == 1);
  CHECK(future.record_errors[0].batch_index == 0);
  const Bytes batch = batch_of({"a"});
  const auto bad_acks = client.ask<ProduceResponse>(ApiKey::kProduce, 9, produce_request("t", batch, 0, 2));
  CHECK(bad_acks.topics[0].partitions[0].error_code == ErrorCode::kInvalidRequiredAcks);
  CHECK(produce(client, "t", batch).base_offset == 0);
}

TEST_CASE("transactional_writes_are_refused_whole") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  const Bytes plain = batch_of({"a"});
  const Bytes transactional = batch_of(
      {"b"}, kNow,
      {.attributes = BatchHeader::kTransactionalBit, .producer_id = 5, .producer_epoch = 0, .base_sequence = 0});
  ProduceRequest request = produce_request("t", plain);
  request.topics[0].partitions.push_back({.partition_index = 0, .records = transactional});
  const auto response = client.ask<ProduceResponse>(ApiKey::kProduce, 9, request);
  for (const auto& partition : response.topics[0].partitions) {
    CHECK(partition.error_code == ErrorCode::kTransactionalIdAuthorizationFailed);
  }
  CHECK(list_offset(client, "t", -1).offset == 0);
  const auto id =
      client.ask<InitProducerIdResponse>(ApiKey::kInitProducerId, 4, InitProducerIdRequest{.transactional_id = "tx"});
  CHECK(id.error_code == ErrorCode::kTransactionalIdAuthorizationFailed);
}

TEST_CASE("acks_0_gets_no_reply_and_an_error_closes") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  const Bytes batch = batch_of({"a"});
  client.send(ApiKey::kProduce, 9, produce_request("t", batch, 0, 0));
  client.skip_reply();
  CHECK(list_offset(client, "t", -2).offset == 0);  // the next reply is this one's
  broker.world.run_for(std::chrono::milliseconds(50));
  CHECK(list_offset(client, "t", -1).offset == 1);
  client.send(ApiKey::kProduce, 9, produce_request("nope", batch, 0, 0));
  CHECK(client.connection.closed);
}

TEST_CASE("repeated_batches_of_an_idempotent_producer_are_appended_once") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  const auto init = client.ask<InitProducerIdResponse>(ApiKey::kInitProducerId, 4, InitProducerIdRequest{});
  REQUIRE(init.error_code == ErrorCode::kNone);
  CHECK(init.producer_epoch == 0);
  CHECK(client.ask<InitProducerIdResponse>(ApiKey::kInitProducerId, 4, InitProducerIdRequest{}).producer_id !=
        init.producer_id);
  const auto numbered = [&](int32_t sequence, int16_t epoch = 0) {
    return batch_of({"a", "b"}, kNow,
                    {.producer_id = init.producer_id, .producer_epoch = epoch, .base_sequence = sequence});
  };
  CHECK(produce(client, "t", numbered(0)).base_offset == 0);
  CHECK(produce(client, "t", numbered(2)).base_offset == 2);
  CHECK(produce(client, "t", numbered(0)).base_offset == 0);
  CHECK(produce(client, "t", numbered(6)).error_code == ErrorCode::kOutOfOrderSequenceNumber);
  CHECK(produce(client, "t", numbered(0, 1)).base_offset == 4);
  CHECK(produce(client, "t", numbered(4, 0)).error_code == ErrorCode::kInvalidProducerEpoch);
  CHECK(list_offset(client, "t", -1).offset == 6);
}

TEST_CASE("log_append_time_is_the_brokers") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 1, {{"message.timestamp.type", "LogAppendTime"}});
  const auto reply = produce(client, "t", batch_of({"a"}, 5));
  CHECK(reply.log_append_time_ms >= kNow);
  const auto fetched = fetch(client, fetch_request("t", 0));
  const auto header = read_batch_header(fetched.records.bytes);
  REQUIRE(header);
  CHECK(header->is_log_append_time());
  CHECK(header->max_timestamp_ms == reply.log_append_time_ms);
  CHECK(list_offset(client, "t", kNow).offset == 0);
}

TEST_CASE("list_offsets_finds_the_exact_record") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  produce(client, "t", batch_of({"a", "b", "c"}, kNow - 1000));  // -1000, -999, -998
  produce(client, "t", batch_of({"d", "e"}, kNow - 500));
  CHECK(list_offset(client, "t", -1).offset == 5);
  CHECK(list_offset(client, "t", -2).offset == 0);
  CHECK(list_offset(client, "t", 0).offset == 0);
  CHECK(list_offset(client, "t", kNow - 999).offset == 1);
  CHECK(list_offset(client, "t", kNow - 999).timestamp == kNow - 999);
  CHECK(list_offset(client, "t", kNow - 997).offset == 3);
  CHECK(list_offset(client, "t", -3).offset == 4);
  CHECK(list_offset(client, "t", -3).timestamp == kNow - 499);
  const auto none = list_offset(client, "t", kNow);
  CHECK(none.offset == -1);
  CHECK(none.timestamp == -1);
  CHECK(none.error_code == ErrorCode::kNone);
  CHECK(list_offset(client, "t", -9).error_code == ErrorCode::kUnsupportedVersion);
}

TEST_CASE("leader_epochs_end_where_the_log_ends") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  produce(client, "t", batch_of({"a", "b"}));
  OffsetForLeaderEpochRequest request;
  request.topics.push_back({.name = "t"});
  const auto epoch = static_cast<int32_t>(broker.broker.epoch_of(base::CellId(0)).value);
  request.topics[0].partitions = {{.leader_epoch = epoch}, {.leader_epoch = epoch + 5}};
  const auto response = client.ask<OffsetForLeaderEpochResponse>(ApiKey::kOffsetForLeaderEpoch, 4, request);
  CHECK(response.topics[0].partitions[0].leader_epoch == epoch);
  CHECK(response.topics[0].partitions[0].end_offset == 2);
  CHECK(response.topics[0].partitions[1].end_offset == -1);
}

TEST_CASE("deleted_records_are_gone") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  create_topic(client, "compacted", 1, {{"cleanup.policy", "compact"}});
  for (int i = 0; i < 3; ++i) produce(client, "t", batch_of({"a"}));
  const auto delete_before = [&](std::string_view topic, int64_t offset) {
    DeleteRecordsRequest request;
    request.topics.push_back({.name = topic});
    request.topics[0].partitions.push_back({.offset = offset});
    return client.ask<DeleteRecordsResponse>(ApiKey::kDeleteRecords, 2, request).topics[0].partitions[0];
  };
  CHECK(delete_before("t", 2).low_watermark == 2);
  CHECK(list_offset(client, "t", -2).offset == 2);
  CHECK(fetch(client, fetch_request("t", 1)).error_code == ErrorCode::kOffsetOutOfRange);
  CHECK(delete_before("t", 4).error_code == ErrorCode::kOffsetOutOfRange);
  CHECK(delete_before("t", -1).low_watermark == 3);
  CHECK(delete_before("compacted", 0).error_code == ErrorCode::kPolicyViolation);
}

TEST_CASE("a_compacted_topic_wants_keys") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 1, {{"cleanup.policy", "compact"}});
  const auto reply = produce(client, "t", batch_of({"a"}));
  CHECK(reply.error_code == ErrorCode::kInvalidRecord);
  REQUIRE(reply.record_errors.size() == 1);
  CHECK(reply.record_errors[0].batch_index == 0);
}

TEST_CASE("metadata_creates_topics_only_when_allowed") {
  TestBroker broker;
  TestClient client(broker);
  MetadataRequest request;
  request.topics.emplace().push_back({.name = "new"});
  request.allow_auto_topic_creation = false;
  auto response = client.ask<MetadataResponse>(ApiKey::kMetadata, 12, request);
  CHECK(response.topics.at(0).error_code == ErrorCode::kUnknownTopicOrPartition);
  request.allow_auto_topic_creation = true;
  response = client.ask<MetadataResponse>(ApiKey::kMetadata, 12, request);
  CHECK(response.topics.at(0).error_code == ErrorCode::kNone);
  CHECK_FALSE(response.topics[0].topic_id.is_nil());
  REQUIRE(response.topics[0].partitions.size() == 1);
  CHECK(response.topics[0].partitions[0].leader_id == 1);
  CHECK(response.topics[0].partitions[0].leader_epoch > 0);
  CHECK(response.brokers.at(0).host == "broker.example");
  CHECK(response.cluster_id == broker.config.cluster_id);
  request.topics->at(0).name = "no/good";
  CHECK(client.ask<MetadataResponse>(ApiKey::kMetadata, 12, request).topics[0].error_code == ErrorCode::kInvalidTopic);
  request.topics = {{{.topic_id = response.topics[0].topic_id}}};
  CHECK(client.ask<MetadataResponse>(ApiKey::kMetadata, 12, request).topics[0].name == "new");
  request.topics.reset();
  CHECK(client.ask<MetadataResponse>(ApiKey::kMetadata, 12, request).topics.size() == 1);
  request.topics.emplace();
  CHECK(client.ask<MetadataResponse>(ApiKey::kMetadata, 12, request).topics.empty());
  CHECK(client.ask<MetadataResponse>(ApiKey::kMetadata, 0, request).topics.size() == 1);
}

TEST_CASE("topics_are_created_checked_extended_and_deleted") {
  TestBroker broker;
  TestClient client(broker);
  const auto created = create_topic(client, "a.b", 3);
  CHECK(created.num_partitions == 3);
  CHECK(created.replication_factor == 1);
  CHECK(created.configs->size() == topic_configs().size());
  CHECK(create_topic(client, "a.b").error_code == ErrorCode::kTopicAlreadyExists);
  CHECK(create_topic(client, "a_b").error_code == ErrorCode::kInvalidTopic);
  CHECK(create_topic(client, "..").error_code == ErrorCode::kInvalidTopic);
  CHECK(create_topic(client, "t", 0).error_code == ErrorCode::kInvalidPartitions);
  CHECK(create_topic(client, "t", 1, {{"nope", "1"}}).error_code == ErrorCode::kInvalidConfig);
  CHECK(create_topic(client, "t", 1, {{"retention.ms", "x"}}).error_code == ErrorCode::kInvalidConfig);

  CreatePartitionsRequest extend;
  extend.topics = {{.name = "a.b", .count = 5}, {.name = "nope", .count = 5}};
  auto extended = client.ask<CreatePartitionsResponse>(ApiKey::kCreatePartitions, 3, extend);
  CHECK(extended.results[0].error_code == ErrorCode::kNone);
  CHECK(extended.results[1].error_code == ErrorCode::kUnknownTopicOrPartition);
  extended = client.ask<CreatePartitionsResponse>(ApiKey::kCreatePartitions, 3, extend);
  CHECK(extended.results[0].error_code == ErrorCode::kInvalidPartitions);
  CHECK(produce(client, "a.b", batch_of({"x"}), 4).base_offset == 0);

  DeleteTopicsRequest remove;
  remove.topics = {{.topic_id = created.topic_id}};
  auto removed = client.ask<DeleteTopicsResponse>(ApiKey::kDeleteTopics, 6, remove);
  CHECK(removed.topics[0].error_code == ErrorCode::kNone);
  CHECK(removed.topics[0].name == "a.b");
  removed = client.ask<DeleteTopicsResponse>(ApiKey::kDeleteTopics, 6, remove);
  CHECK(removed.topics[0].error_code == ErrorCode::kUnknownTopicId);
  CHECK(create_topic(client, "a.b").topic_id != created.topic_id);
}

TEST_CASE("a_topic_made_again_has_another_id_and_the_old_one_is_unknown") {
  TestBroker broker;
  TestClient client(broker);
  const base::Uuid old_id = create_topic(client, "t").topic_id;
  const auto remove = [&](std::vector<DeleteTopicsRequest::Topic> topics) {
    return client.ask<DeleteTopicsResponse>(ApiKey::kDeleteTopics, 6, DeleteTopicsRequest{.topics = std::move(topics)})
        .topics;
  };
  const auto removed = remove({{.topic_id = old_id}}).at(0);
  CHECK(removed.error_code == ErrorCode::kNone);
  CHECK(removed.name == "t");
  const base::Uuid id = create_topic(client, "t").topic_id;
  CHECK(id != old_id);
  CHECK(remove({{.topic_id = old_id}}).at(0).error_code == ErrorCode::kUnknownTopicId);

  MetadataRequest by_id;
  by_id.topics.emplace();
  by_id.topics->push_back({.topic_id = old_id});
  by_id.topics->push_back({.topic_id = id});
  const auto described = client.ask<MetadataResponse>(ApiKey::kMetadata, 12, by_id).topics;
  CHECK(described.at(0).error_code == ErrorCode::kUnknownTopicId);
  CHECK_FALSE(described.at(0).name);
  CHECK(described.at(1).name == "t");

  FetchRequest request = fetch_request("", 0);
  request.topics[0].topic_id = old_id;
  const auto fetched = client.ask<FetchResponse>(ApiKey::kFetch, 13, request).topics.at(0);
  CHECK(fetched.topic_id == old_id);
  CHECK(fetched.partitions.at(0).error_code == ErrorCode::kUnknownTopicId);

  // Named by both, by neither, and twice.
  CHECK(remove({{.name = "t", .topic_id = id}}).at(0).error_code == ErrorCode::kInvalidRequest);
  CHECK(remove({{}}).at(0).error_code == ErrorCode::kInvalidRequest);
  for (const auto& twice : remove({{.name = "t"}, {.name = "t"}}))
    CHECK(twice.error_code == ErrorCode::kInvalidRequest);
  CHECK(remove({{.name = "t"}}).at(0).error_code == ErrorCode::kNone);
}

TEST_CASE("a_topic_deleted_under_a_waiting_fetch_answers_it") {
  TestBroker broker;
  TestClient reader(broker), admin(broker);
  create_topic(admin, "t");
  reader.send(ApiKey::kFetch, 12, fetch_request("t", 0, 60'000));
  broker.world.run_for(std::chrono::milliseconds(10));
  DeleteTopicsRequest remove;
  remove.topic_names = {"t"};
  admin.ask<DeleteTopicsResponse>(ApiKey::kDeleteTopics, 3, remove);
  const auto response = reader.receive<FetchResponse>(std::chrono::seconds(1));
  REQUIRE(response);
  CHECK(response->topics[0].partitions[0].error_code == ErrorCode::kUnknownTopicOrPartition);
}

// Another protocol's batches: every byte is a message of that one character.
class LetterEncoding final : public broker::Encoding {
 public:
  static constexpr uint8_t kTag = 200;
  void place(base::MutView, base::Offset, base::Epoch) const override {}
  base::Result<> to_hub(base::View batch, base::Offset base, const Visit& visit) const override {
    for (const uint8_t letter : batch) {
      visit(base, {.body = std::string(1, static_cast<char>(letter)), .headers = {{"h", std::string("v")}}});
      base = base.next();
    }
    return {};
  }
  Built from_hub(std::span<const broker::HubMessage> messages, base::WallTime now) const override {
    Built built{.bytes = {}, .max_ts = now};
    for (const broker::HubMessage& message : messages) built.bytes.push_back(static_cast<uint8_t>((*message.body)[0]));
    return built;
  }
};

TEST_CASE("batches_of_another_protocol_are_fetched_converted") {
  TestBroker broker;
  broker.encodings.add(LetterEncoding::kTag, std::make_unique<LetterEncoding>());
  TestClient client(broker);
  create_topic(client, "t");
  produce(client, "t", batch_of({"own"}));
  const Topic topic = find_topic(broker.broker, "t");
  broker.broker.submit(topic->partitions[0], {},
                       broker::AppendRequest{.partition = topic->key(),
                                             .bytes = base::as_view("xyz"),
                                             .encoding = LetterEncoding::kTag,
                                             .count = 3,
                                             .max_ts = {kNow}});
  broker.world.run_for(std::chrono::milliseconds(50));
  const auto partition = fetch(client, fetch_request("t", 0));
  CHECK(partition.high_watermark == 4);
  CHECK(values_in(partition.records.bytes) == Values{"0=own", "1=x", "2=y", "3=z"});
  CHECK(values_in(fetch(client, fetch_request("t", 2)).records.bytes) == Values{"1=x", "2=y", "3=z"});
}

TEST_CASE("a_client_of_the_present_epoch_has_not_diverged") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  produce(client, "t", batch_of({"a"}));
  FetchRequest request = fetch_request("t", 1);
  request.topics[0].partitions[0].last_fetched_epoch =
      static_cast<int32_t>(broker.broker.epoch_of(base::CellId(0)).value);
  CHECK(fetch(client, request).diverging_epoch == FetchResponse::DivergingEpoch{});
}

TEST_CASE("a_client_that_leaves_takes_its_open_requests_along") {
  TestBroker broker;
  TestClient reader(broker), writer(broker);
  create_topic(writer, "t");
  reader.send(ApiKey::kFetch, 12, fetch_request("t", 0, 60'000));
  broker.world.run_for(std::chrono::milliseconds(10));
  reader.leave();
  CHECK(produce(writer, "t", batch_of({"a"})).base_offset == 0);
}

TEST_CASE("reading_pauses_at_the_limit_of_open_requests") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t");
  for (size_t i = 0; i < limits::kFetchesOpenMax; ++i) {
    CHECK_FALSE(client.connection.paused);
    client.send(ApiKey::kFetch, 12, fetch_request("t", 0, 1000));
  }
  CHECK(client.connection.paused);
  client.send(ApiKey::kApiVersions, 0, ApiVersionsRequest{});
  CHECK(client.bytes_waiting() > 0);
  for (size_t i = 0; i < limits::kFetchesOpenMax; ++i) CHECK(client.receive<FetchResponse>());
  CHECK_FALSE(client.connection.paused);
  client.feed();
  CHECK(client.receive<ApiVersionsResponse>());
}

}  // namespace polylog::kafka
