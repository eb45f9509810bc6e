// Ready-made Kafka requests for a client that only wants to move bytes: built once, sent again and again.
//
//   request  | size i32 | key i16 | version i16 | correlation i32 | client id string | body |
//   batch    | base offset i64 | length i32 | leader epoch i32 | magic 2 i8 | crc32c u32 | attributes i16 |
//            | last delta i32 | times 2 x i64 | producer id i64 | epoch i16 | sequence i32 | count i32 | records |
//   record   | length varint | 0 i8 | time delta varint | offset delta varint | -1 varint | value varint+bytes | 0 |
//
// Only the versions named at each builder. Replies are read as far as their error codes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace polylog::bench::kafka {

// A batch of `records` records of `record_bytes` payload each.
std::string record_batch(size_t records, size_t record_bytes);

// CreateTopics v2.
std::string create_topic_request(std::string_view topic, int32_t partitions);

// Produce v7, acks=all: the same batch for `partitions` partitions from `first` on.
std::string produce_request(std::string_view topic, int32_t first, int32_t partitions, std::string_view batch);

// Fetch v4 of one partition; at most `bytes_max` bytes. The offset is at a fixed distance from the end, so that a
// request is reused by set_fetch_offset().
std::string fetch_request(std::string_view topic, int32_t partition, int32_t bytes_max);
void set_fetch_offset(std::string& request, int64_t offset);

int16_t read_i16(std::string_view bytes);
int32_t read_i32(std::string_view bytes);
int64_t read_i64(std::string_view bytes);

// The first error code in a reply (without its size field); 0 when all partitions succeeded.
int16_t create_topic_error(std::string_view reply);
int16_t produce_error(std::string_view reply);

// What stands before the record bytes of a one-partition Fetch reply.
struct FetchHead {
  int16_t error;
  int64_t high_watermark;
  int32_t record_bytes;
};
constexpr size_t fetch_head_bytes(size_t topic_size) { return 4 + 4 + 4 + 2 + topic_size + 4 + 4 + 2 + 8 + 8 + 4 + 4; }
FetchHead read_fetch_head(std::string_view reply, size_t topic_size);

}  // namespace polylog::bench::kafka
