// The few Kafka requests of a load client, and their replies. One version of each, which Kafka brokers take from 2.1 on;
// check_versions() says when one does not.
//
//   request  | size i32 | key i16 | version i16 | correlation i32 | client id string | body |
//   reply    | size i32 | correlation i32 | body |
//   batch    | base offset i64 | length i32 | leader epoch i32 | magic 2 i8 | crc32c u32 | attributes i16 |
//            | last delta i32 | times 2 x i64 | producer id i64 | epoch i16 | sequence i32 | count i32 | records |
//   record   | length varint | 0 i8 | time delta varint | offset delta varint | -1 varint | value varint+bytes | 0 |
//
// Parsers get a reply without its size field. Errors: kMalformed. Codes are Kafka's own, 0 is none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/wire.h"

namespace polylog::load::kafka {

inline constexpr int16_t kOffsetOutOfRange = 1;
inline constexpr int16_t kTopicExists = 36;

// A code with its name, where it is one that a load client meets.
std::string error_text(int16_t code);

// The reply at the front of the input without its size field; empty while it is incomplete. kMalformed: no such size.
base::Result<std::string_view> front_reply(std::string_view input);
inline constexpr size_t kSizeFieldBytes = 4;

std::string api_versions_request();
base::Result<> check_versions(std::string_view reply);

std::string create_topic_request(std::string_view topic, int32_t partitions);
std::string delete_topic_request(std::string_view topic);
base::Result<int16_t> create_topic_error(std::string_view reply);
base::Result<int16_t> delete_topic_error(std::string_view reply);

struct PartitionLeader {
  int32_t partition = 0;
  int16_t error = 0;
  std::string host;  // empty: it has none
  uint16_t port = 0;
};
struct TopicLeaders {
  int16_t error = 0;
  std::vector<PartitionLeader> partitions;
};
std::string metadata_request(std::string_view topic);
base::Result<TopicLeaders> parse_metadata(std::string_view reply);

// One batch of records without keys, at the end of `out`: begin, any number of records, end.
class BatchWriter {
 public:
  explicit BatchWriter(std::vector<uint8_t>& out, int64_t timestamp_ms);
  // Where the caller writes the value, `bytes` long.
  char* add(size_t bytes);
  size_t size() const { return out_.size() - begin_; }
  void finish();

 private:
  std::vector<uint8_t>& out_;
  size_t begin_;
  int32_t count_ = 0;
};

struct PartitionBatch {
  int32_t partition = 0;
  base::View batch;
};
// acks=all.
std::string produce_request(std::string_view topic, std::span<const PartitionBatch> batches);
struct PartitionError {
  int32_t partition = 0;
  int16_t error = 0;
};
base::Result<std::vector<PartitionError>> parse_produce(std::string_view reply);

struct FetchFrom {
  int32_t partition = 0;
  int64_t offset = 0;
};
struct Fetched {
  int32_t partition = 0;
  int16_t error = 0;
  int64_t high_watermark = 0;
  base::View records;
};
// Waits up to half a second for at least one byte. The last partition's offset is kFetchOffsetFromEnd before the end.
std::string fetch_request(std::string_view topic, std::span<const FetchFrom> from, int32_t bytes_max);
inline constexpr size_t kFetchOffsetFromEnd = 12;
base::Result<std::vector<Fetched>> parse_fetch(std::string_view reply);

// Calls visit(offset, value) for each record at or after `from`, in order; a batch cut off at the end is left out. Returns
// the offset to go on with. kUnsupported: compressed.
using VisitRecord = std::function<void(int64_t offset, std::string_view value)>;
base::Result<int64_t> visit_records(base::View batches, int64_t from, const VisitRecord& visit);

}  // namespace polylog::load::kafka
