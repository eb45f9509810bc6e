// Ready-made Kafka requests for a client that only wants to move bytes: built once, sent again and again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "load/kafka/wire.h"

namespace polylog::bench::kafka {

// A batch of `records` records of `record_bytes` payload each.
std::string record_batch(size_t records, size_t record_bytes);

// Produce, acks=all: the same batch for `partitions` partitions from `first` on.
std::string produce_request(std::string_view topic, int32_t first, int32_t partitions, std::string_view batch);

// Fetch of one partition; at most `bytes_max` bytes. A request is reused by set_fetch_offset().
std::string fetch_request(std::string_view topic, int32_t partition, int32_t bytes_max);
void set_fetch_offset(std::string& request, int64_t offset);

// The first error code in a Produce reply; 0 when all partitions succeeded.
int16_t produce_error(std::string_view reply);

// What a one-partition Fetch reply says of its partition.
struct FetchHead {
  int16_t error;
  int32_t record_bytes;
};
FetchHead read_fetch_head(std::string_view reply);

}  // namespace polylog::bench::kafka
