// For tests of sessions: the requests that most of them need, and what is in the answers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "protocol/kafka/gen/create_topics.h"
#include "protocol/kafka/gen/fetch.h"
#include "protocol/kafka/gen/list_offsets.h"
#include "protocol/kafka/gen/produce.h"
#include "protocol/kafka/session_test_kit.h"

namespace polylog::kafka {

using Bytes = std::vector<uint8_t>;
inline constexpr int64_t kNow = 1'700'000'000'000;

inline Bytes batch_of(std::vector<std::string> values, int64_t timestamp_ms = kNow, BatchHeader header = {}) {
  BatchBuilder builder;
  for (const std::string& value : values) builder.add(timestamp_ms++, std::nullopt, base::as_view(value));
  return builder.finish(header);
}

inline CreateTopicsResponse::Topic create_topic(TestClient& client, std::string_view name, int32_t partitions = 1,
                                                std::vector<CreateTopicsRequest::Config> configs = {}) {
  CreateTopicsRequest request;
  request.topics.push_back(
      {.name = name, .num_partitions = partitions, .replication_factor = 1, .configs = std::move(configs)});
  return client.ask<CreateTopicsResponse>(ApiKey::kCreateTopics, 7, request).topics.at(0);
}

inline ProduceRequest produce_request(std::string_view topic, base::View batch, int32_t partition = 0,
                                      int16_t acks = -1) {
  ProduceRequest request{.acks = acks, .timeout_ms = 1000};
  request.topics.push_back({.name = topic});
  request.topics[0].partitions.push_back({.partition_index = partition, .records = batch});
  return request;
}

inline ProduceResponse::Partition produce(TestClient& client, std::string_view topic, const Bytes& batch,
                                          int32_t partition = 0) {
  return client.ask<ProduceResponse>(ApiKey::kProduce, 9, produce_request(topic, batch, partition))
      .topics.at(0)
      .partitions.at(0);
}

inline FetchRequest fetch_request(std::string_view topic, int64_t offset, int32_t max_wait_ms = 0,
                                  int32_t partition = 0) {
  FetchRequest request{.max_wait_ms = max_wait_ms, .min_bytes = 1};
  request.topics.push_back({.name = topic});
  request.topics[0].partitions.push_back(
      {.partition_index = partition, .fetch_offset = offset, .partition_max_bytes = 1 << 20});
  return request;
}

inline FetchResponse::Partition fetch(TestClient& client, const FetchRequest& request) {
  return client.ask<FetchResponse>(ApiKey::kFetch, 12, request).topics.at(0).partitions.at(0);
}

inline std::vector<std::string> values_in(base::View records) {
  std::vector<std::string> values;
  while (!records.empty()) {
    const auto header = read_batch_header(records);
    REQUIRE(header);
    Bytes scratch;
    RecordWalker walker(*header, *unpack_records(*header, records, scratch));
    for (RecordView record; walker.next(record);) {
      values.push_back(std::to_string(record.offset) + "=" + std::string(base::as_text(*record.value)));
    }
    CHECK(walker.is_complete());
    records = records.subspan(header->size_bytes());
  }
  return values;
}

inline ListOffsetsResponse::Partition list_offset(TestClient& client, std::string_view topic, int64_t timestamp) {
  ListOffsetsRequest request;
  request.topics.push_back({.name = topic});
  request.topics[0].partitions.push_back({.timestamp = timestamp});
  return client.ask<ListOffsetsResponse>(ApiKey::kListOffsets, 9, request).topics.at(0).partitions.at(0);
}

using Values = std::vector<std::string>;

}  // namespace polylog::kafka
