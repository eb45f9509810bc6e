#include "bench/support/kafka_wire.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace polylog::bench::kafka {
namespace {

template <typename T>
T must(base::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().text.c_str());
    std::exit(1);
  }
  return std::move(*result);
}

}  // namespace

std::string record_batch(size_t records, size_t record_bytes) {
  constexpr int64_t timestamp_ms = 1'700'000'000'000;
  std::vector<uint8_t> bytes;
  load::kafka::BatchWriter batch(bytes, timestamp_ms);
  for (size_t i = 0; i < records; i++) {
    char* value = batch.add(record_bytes);
    for (size_t at = 0; at < record_bytes; at++) value[at] = static_cast<char>('a' + at % 23);
  }
  batch.finish();
  return std::string(base::as_text(bytes));
}

std::string produce_request(std::string_view topic, int32_t first, int32_t partitions, std::string_view batch) {
  std::vector<load::kafka::PartitionBatch> batches;
  for (int32_t i = first; i < first + partitions; i++) batches.push_back({i, base::as_view(batch)});
  return load::kafka::produce_request(topic, batches);
}

std::string fetch_request(std::string_view topic, int32_t partition, int32_t bytes_max) {
  const load::kafka::FetchFrom from{partition, 0};
  return load::kafka::fetch_request(topic, {&from, 1}, bytes_max);
}

void set_fetch_offset(std::string& request, int64_t offset) {
  for (size_t i = 0; i < 8; i++) {
    request[request.size() - load::kafka::kFetchOffsetFromEnd + i] = static_cast<char>(offset >> (56 - 8 * i));
  }
}

int16_t produce_error(std::string_view reply) {
  for (const auto& partition : must(load::kafka::parse_produce(reply))) {
    if (partition.error != 0) return partition.error;
  }
  return 0;
}

FetchHead read_fetch_head(std::string_view reply) {
  const auto fetched = must(load::kafka::parse_fetch(reply));
  if (fetched.size() != 1) return {};
  return {fetched[0].error, static_cast<int32_t>(fetched[0].records.size())};
}

}  // namespace polylog::bench::kafka
