#include "protocol/kafka/unpacker.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "protocol/kafka/gen/delete_topics.h"
#include "protocol/kafka/repack.h"
#include "protocol/kafka/session_test_calls.h"

namespace polylog::kafka {
namespace {

constexpr size_t kRecordOverheadBytes = 14;  // of one record with a key of one byte and a value from 1 MiB to 128 MiB

Bytes keyed_batch(size_t value_bytes) {
  BatchBuilder builder;
  builder.add(kNow, base::as_view("k"), Bytes(value_bytes));
  return builder.finish();
}

base::View records_of(const Bytes& batch) { return base::View(batch).subspan(batch_layout::kRecordsAt); }

Bytes packed(const Bytes& plain) {
  const base::Slice packed = repack_batch(plain, records_of(plain), Compression::kZstd);
  return {packed.view().begin(), packed.view().end()};
}

// One record, whose batch unpacks to exactly `plain_bytes`, of zeros mostly.
Bytes packed_batch(size_t plain_bytes) {
  const Bytes plain = keyed_batch(plain_bytes - kRecordOverheadBytes);
  REQUIRE(records_of(plain).size() == plain_bytes);
  return packed(plain);
}

// One record of which nothing can be packed.
Bytes random_batch(size_t value_bytes) {
  std::mt19937_64 random(1);
  Bytes value(value_bytes);
  for (uint8_t& byte : value) byte = static_cast<uint8_t>(random());
  BatchBuilder builder;
  builder.add(kNow, base::as_view("k"), value);
  return packed(builder.finish());
}

constexpr size_t kManyBytes = 4 * base::limits::kMiB;

ProduceRequest produce_many(std::string_view topic, const std::vector<base::View>& batches) {
  ProduceRequest request{.acks = -1, .timeout_ms = 1000};
  request.topics.push_back({.name = topic});
  for (size_t i = 0; i < batches.size(); ++i) {
    request.topics[0].partitions.push_back({.partition_index = static_cast<int32_t>(i), .records = batches[i]});
  }
  return request;
}

std::vector<ErrorCode> codes_of(const ProduceResponse& response) {
  std::vector<ErrorCode> codes;
  for (const auto& partition : response.topics.at(0).partitions) codes.push_back(partition.error_code);
  return codes;
}

// In how many turns the clients' input is taken.
int turns_to_take(TestBroker& broker, const std::vector<TestClient*>& clients) {
  int turns = 1;
  const auto waits = [](const TestClient* client) { return client->bytes_waiting() > 0; };
  for (; std::ranges::any_of(clients, waits) && turns < 1000; ++turns) {
    broker.world.run_for(std::chrono::milliseconds(1));
    for (TestClient* client : clients) client->feed();
  }
  return turns;
}

const std::vector<CreateTopicsRequest::Config> kCompacted{{"cleanup.policy", "compact"}};

}  // namespace

TEST_CASE("a_core_packs_no_more_in_one_turn_than_its_limit_whoever_sends_it") {
  TestBroker broker;
  TestClient first(broker), second(broker);
  create_topic(first, "t", 8, {{"compression.type", "gzip"}});
  const Bytes plain = batch_of({std::string(limits::kUnpackedInlineBytesMax - 200, 'x')});
  const std::vector<base::View> batches(8, plain);
  first.send(ApiKey::kProduce, 9, produce_many("t", batches));
  CHECK(first.connection.paused);
  second.send(ApiKey::kProduce, 9, produce_many("t", {plain}));  // in the same turn: there is no room left
  CHECK(second.connection.paused);
  CHECK(turns_to_take(broker, {&first, &second}) == 5);
  for (TestClient* client : {&first, &second}) {
    const auto produced = client->receive<ProduceResponse>();
    REQUIRE(produced);
    for (const ErrorCode code : codes_of(*produced)) CHECK(code == ErrorCode::kNone);
  }
}

TEST_CASE("who_waits_for_room_to_unpack_goes_before_who_comes_later") {
  TestBroker broker;
  TestClient first(broker), waits(broker), waits_too(broker), late(broker);
  create_topic(first, "t", 2, {{"compression.type", "gzip"}});
  const Bytes plain = batch_of({std::string(limits::kUnpackedInlineBytesMax - 200, 'x')});
  const ProduceRequest one = produce_many("t", {plain}), a_whole_turn = produce_many("t", {plain, plain});
  first.send(ApiKey::kProduce, 9, a_whole_turn);
  CHECK(!first.connection.paused);
  waits.send(ApiKey::kProduce, 9, one);
  waits_too.send(ApiKey::kProduce, 9, one);
  broker.world.run_for(std::chrono::milliseconds(1));
  REQUIRE(!waits.connection.paused);
  late.send(ApiKey::kProduce, 9, a_whole_turn);  // in the same turn, before those who wait go on
  CHECK(late.connection.paused);
  waits_too.feed();
  CHECK(waits_too.bytes_waiting() > 0);
  waits.feed();
  CHECK(waits.bytes_waiting() == 0);
  waits_too.leave();  // and its place is nobody's
  broker.world.run_for(std::chrono::milliseconds(1));
  late.feed();
  CHECK(late.bytes_waiting() == 0);
}

TEST_CASE("who_sends_what_unpacks_to_too_much_has_it_unpacked_beside_the_core_from_then_on") {
  TestBroker broker;
  std::vector<std::unique_ptr<TestClient>> clients;
  const Bytes large = packed_batch(kManyBytes), little = packed(keyed_batch(limits::kUnpackedInlineBytesMax - 100));
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<TestClient>(broker));
    if (i == 0) create_topic(*clients[0], "t", 2, kCompacted);
    CHECK(produce(*clients[i], "t", large).error_code == ErrorCode::kNone);
  }
  broker.world.run_for(std::chrono::milliseconds(1));
  for (const auto& client : clients) {  // more than a turn has room for, if each was tried on the core
    client->send(ApiKey::kProduce, 9, produce_many("t", {large}));
    CHECK(client->connection.paused);
  }
  TestClient other(broker);
  for (int i = 0; i < 2; ++i) {
    other.send(ApiKey::kProduce, 9, produce_many("t", {little}));
    CHECK(!other.connection.paused);
  }
  // Until something as long turns out to be less.
  const auto& client = clients[0];
  CHECK(client->receive<ProduceResponse>());
  const Bytes as_long = random_batch(large.size());
  client->send(ApiKey::kProduce, 9, produce_many("t", {as_long}));
  CHECK(client->connection.paused);
  CHECK(client->receive<ProduceResponse>());
  client->send(ApiKey::kProduce, 9, produce_many("t", {as_long}));
  CHECK(!client->connection.paused);
}

TEST_CASE("a_request_whose_batches_stay_as_they_are_is_taken_a_limit_a_turn") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 5);
  const Bytes large = batch_of({std::string(limits::kCheckedTurnBytesMax / 2 - 1'000, 'x')});
  const auto turns = [&](size_t batches) {
    client.send(ApiKey::kProduce, 9, produce_many("t", std::vector<base::View>(batches, large)));
    const int taken = turns_to_take(broker, {&client});
    for (const ErrorCode code : codes_of(*client.receive<ProduceResponse>())) CHECK(code == ErrorCode::kNone);
    return taken;
  };
  CHECK(turns(2) == 1);
  CHECK(turns(3) == 2);
  CHECK(turns(5) == 3);
}

TEST_CASE("a_batch_longer_than_a_turn_checks_is_looked_into_beside_the_core_packed_or_not") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 1, {{"cleanup.policy", "compact"}, {"max.message.bytes", "8000000"}});
  const size_t overhead_bytes = keyed_batch(limits::kCheckedTurnBytesMax).size() - limits::kCheckedTurnBytesMax;
  const Bytes at_limit = keyed_batch(limits::kCheckedTurnBytesMax - overhead_bytes);
  const Bytes past_limit = keyed_batch(limits::kCheckedTurnBytesMax - overhead_bytes + 1);
  REQUIRE(at_limit.size() == limits::kCheckedTurnBytesMax);
  for (const Bytes* batch : {&at_limit, &past_limit}) {
    client.send(ApiKey::kProduce, 9, produce_many("t", {*batch}));
    CHECK(client.connection.paused == (batch == &past_limit));
    const auto produced = client.receive<ProduceResponse>();
    REQUIRE(produced);
    CHECK(codes_of(*produced) == std::vector{ErrorCode::kNone});
  }
}

TEST_CASE("what_unpacks_to_much_leaves_the_core_counts_as_ingress_and_what_is_behind_it_waits") {
  TestBroker broker;
  TestClient client(broker), other(broker);
  create_topic(client, "t", 1, kCompacted);
  const Bytes large = packed_batch(kManyBytes), small = packed_batch(kManyBytes / 2);
  REQUIRE(large.size() < limits::kUnpackedInlineBytesMax);
  client.send(ApiKey::kProduce, 9, produce_many("t", {large}));
  client.send(ApiKey::kProduce, 9, produce_many("t", {small}));
  CHECK(client.connection.paused);
  CHECK(broker.broker.ingress().used_bytes() == large.size());
  CHECK(client.bytes_waiting() > large.size() + small.size());
  // Who sends little is not behind it.
  create_topic(other, "u");
  CHECK(produce(other, "u", batch_of({"a"})).base_offset == 0);
  for (int64_t offset = 0; offset < 2; ++offset) {
    const auto produced = client.receive<ProduceResponse>();
    REQUIRE(produced);
    CHECK(produced->topics[0].partitions[0].base_offset == offset);
  }
  CHECK(broker.broker.ingress().used_bytes() == 0);
  CHECK(client.bytes_waiting() == 0);
}

TEST_CASE("packed_anew_off_the_core_a_batch_is_what_it_would_be_on_it") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 1, {{"compression.type", "lz4"}});
  CHECK(produce(client, "t", packed_batch(kManyBytes)).base_offset == 0);
  const auto fetched = fetch(client, fetch_request("t", 0));
  const auto header = validate_batch(fetched.records.bytes, {.depth = Depth::kFull});
  REQUIRE(header);
  CHECK(header->codec() == static_cast<uint8_t>(Compression::kLz4));
}

TEST_CASE("a_batch_may_unpack_to_its_limit_and_a_request_to_its_own") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 7, kCompacted);
  const Bytes at = packed_batch(limits::kDecompressedBytesMax), past = packed_batch(limits::kDecompressedBytesMax + 1);
  const auto refused = produce(client, "t", past);
  CHECK(refused.error_code == ErrorCode::kMessageTooLarge);
  CHECK(refused.error_message == "the records unpack to more than the limit");

  const Bytes little = packed_batch(kManyBytes);
  BatchBuilder builder;
  builder.add(kNow, base::as_view("k"), base::as_view("v"));
  const Bytes plain = builder.finish();
  const auto answers =
      client.ask<ProduceResponse>(ApiKey::kProduce, 9, produce_many("t", {at, at, at, at, plain, little, plain}));
  constexpr ErrorCode kFine = ErrorCode::kNone, kTooLarge = ErrorCode::kMessageTooLarge;
  CHECK(codes_of(answers) == std::vector{kFine, kFine, kFine, kFine, kFine, kTooLarge, kFine});
}

TEST_CASE("a_client_that_leaves_while_its_batch_is_unpacked_leaves_nothing_behind") {
  TestBroker broker;
  TestClient stays(broker);
  create_topic(stays, "t", 1, kCompacted);
  {
    TestClient leaves(broker);
    leaves.send(ApiKey::kProduce, 9, produce_many("t", {packed_batch(kManyBytes)}));
    REQUIRE(leaves.connection.paused);
    leaves.leave();
  }
  CHECK(produce(stays, "t", packed_batch(kManyBytes)).base_offset == 0);  // its own is the first
  CHECK(broker.broker.ingress().used_bytes() == 0);
}

// By the answer to an earlier request, while the session holds a frame.
TEST_CASE("a_session_that_closes_gives_back_what_it_holds_of_a_frame") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 1, {{"compression.type", "lz4"}});
  create_topic(client, "u");
  const Bytes first = batch_of({"a"}, kNow, {.producer_id = 7, .producer_epoch = 0, .base_sequence = 0});
  const Bytes gap = batch_of({"b"}, kNow, {.producer_id = 7, .producer_epoch = 0, .base_sequence = 5});
  CHECK(produce(client, "u", first).error_code == ErrorCode::kNone);
  client.send(ApiKey::kProduce, 9, produce_request("u", gap, 0, 0));  // acks=0: refused with a close
  client.send(ApiKey::kProduce, 9, produce_many("t", {packed_batch(kManyBytes)}));
  CHECK(!client.connection.closed);
  CHECK(broker.broker.ingress().used_bytes() > gap.size());
  broker.world.run_for(std::chrono::seconds(1));
  CHECK(client.connection.closed);
  CHECK(broker.broker.ingress().used_bytes() == 0);
}

TEST_CASE("what_was_unpacked_for_a_topic_that_is_gone_meanwhile_goes_to_no_other") {
  TestBroker broker;
  TestClient client(broker), admin(broker);
  create_topic(client, "t", 1, {{"compression.type", "lz4"}});
  create_topic(client, "u", 1, {{"compression.type", "lz4"}});
  const Bytes to_t = packed_batch(kManyBytes), to_u = packed_batch(kManyBytes / 2);
  ProduceRequest request = produce_request("t", to_t);
  request.topics.push_back(produce_request("u", to_u).topics[0]);
  client.send(ApiKey::kProduce, 9, request);
  REQUIRE(client.connection.paused);
  DeleteTopicsRequest deletion{.timeout_ms = 1'000};
  deletion.topic_names = {"t"};
  REQUIRE(admin.ask<DeleteTopicsResponse>(ApiKey::kDeleteTopics, 4, deletion).topics.at(0).error_code ==
          ErrorCode::kNone);
  const auto produced = client.receive<ProduceResponse>();
  REQUIRE(produced);
  CHECK(produced->topics[0].partitions[0].error_code == ErrorCode::kUnknownTopicOrPartition);
  CHECK(produced->topics[1].partitions[0].base_offset == 0);
  const auto fetched = fetch(client, fetch_request("u", 0));
  Bytes scratch;
  CHECK(unpack_records(*read_batch_header(fetched.records.bytes), fetched.records.bytes, scratch)->size() ==
        kManyBytes / 2);
  CHECK(broker.broker.ingress().used_bytes() == 0);
}

TEST_CASE("a_batch_that_is_not_what_it_says_is_refused_off_the_core_too") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 1, kCompacted);
  Bytes damaged = packed_batch(kManyBytes);
  damaged.resize(damaged.size() - 1);
  damaged[batch_layout::kLengthFieldEnd - 1] -= 1;
  set_crc(damaged);
  CHECK(produce(client, "t", damaged).error_code == ErrorCode::kInvalidRecord);
  client.send(ApiKey::kProduce, 9, produce_request("t", damaged, 0, 0));  // acks=0: all that can be said is to close
  for (int i = 0; i < 100 && !client.connection.closed; ++i) {
    broker.world.run_for(std::chrono::milliseconds(1));
    client.feed();
  }
  CHECK(client.connection.closed);
}

}  // namespace polylog::kafka
