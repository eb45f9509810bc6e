#include "bench/support/kafka_wire.h"

#include <concepts>

namespace polylog::bench::kafka {
namespace {

constexpr int16_t key_produce = 0;
constexpr int16_t key_fetch = 1;
constexpr int16_t key_create_topics = 19;
constexpr int32_t timeout_ms = 30'000;

template <std::signed_integral Int>
void put(std::string& out, Int value) {
  for (int shift = static_cast<int>(sizeof(Int)) * 8 - 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(static_cast<int64_t>(value) >> shift));
  }
}

template <std::signed_integral Int>
Int get(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof(Int); i++) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return static_cast<Int>(value);
}

void put_string(std::string& out, std::string_view text) {
  put(out, static_cast<int16_t>(text.size()));
  out += text;
}

void put_varint(std::string& out, int64_t value) {
  auto zigzag = static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63);
  for (; zigzag >= 0x80; zigzag >>= 7) out.push_back(static_cast<char>(zigzag | 0x80));
  out.push_back(static_cast<char>(zigzag));
}

// Bit by bit: a batch is built once a run.
uint32_t crc32c(std::string_view bytes) {
  constexpr uint32_t reversed_polynomial = 0x82F63B78;
  uint32_t crc = ~uint32_t{0};
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ ((crc & 1) != 0 ? reversed_polynomial : 0);
  }
  return ~crc;
}

std::string with_header(int16_t key, int16_t version, std::string_view body) {
  std::string header;
  put(header, key);
  put(header, version);
  put(header, int32_t{0});
  put_string(header, "bench");
  std::string request;
  put(request, static_cast<int32_t>(header.size() + body.size()));
  return request + header + std::string(body);
}

}  // namespace

std::string record_batch(size_t records, size_t record_bytes) {
  std::string value(record_bytes, 'x');
  for (size_t i = 0; i < value.size(); i++) value[i] = static_cast<char>('a' + i % 23);
  std::string encoded;
  for (size_t i = 0; i < records; i++) {
    std::string record(1, '\0');
    put_varint(record, 0);
    put_varint(record, static_cast<int64_t>(i));
    put_varint(record, -1);
    put_varint(record, static_cast<int64_t>(value.size()));
    record += value;
    put_varint(record, 0);
    put_varint(encoded, static_cast<int64_t>(record.size()));
    encoded += record;
  }

  constexpr int64_t timestamp_ms = 1'700'000'000'000;
  std::string covered;  // by the checksum
  put(covered, int16_t{0});
  put(covered, static_cast<int32_t>(records - 1));
  put(covered, timestamp_ms);
  put(covered, timestamp_ms);
  put(covered, int64_t{-1});
  put(covered, int16_t{-1});
  put(covered, int32_t{-1});
  put(covered, static_cast<int32_t>(records));
  covered += encoded;

  std::string batch;
  put(batch, int64_t{0});
  put(batch, static_cast<int32_t>(4 + 1 + 4 + covered.size()));
  put(batch, int32_t{-1});
  put(batch, int8_t{2});
  put(batch, static_cast<int32_t>(crc32c(covered)));
  return batch + covered;
}

std::string create_topic_request(std::string_view topic, int32_t partitions) {
  std::string body;
  put(body, int32_t{1});
  put_string(body, topic);
  put(body, partitions);
  put(body, int16_t{1});
  put(body, int32_t{0});
  put(body, int32_t{0});
  put(body, timeout_ms);
  put(body, int8_t{0});
  return with_header(key_create_topics, 2, body);
}

std::string produce_request(std::string_view topic, int32_t first, int32_t partitions, std::string_view batch) {
  std::string body;
  put(body, int16_t{-1});  // no transaction
  put(body, int16_t{-1});  // acks=all
  put(body, timeout_ms);
  put(body, int32_t{1});
  put_string(body, topic);
  put(body, partitions);
  for (int32_t partition = first; partition < first + partitions; partition++) {
    put(body, partition);
    put(body, static_cast<int32_t>(batch.size()));
    body += batch;
  }
  return with_header(key_produce, 7, body);
}

std::string fetch_request(std::string_view topic, int32_t partition, int32_t bytes_max) {
  std::string body;
  put(body, int32_t{-1});
  put(body, int32_t{500});  // wait
  put(body, int32_t{1});    // for at least one byte
  put(body, bytes_max);
  put(body, int8_t{0});
  put(body, int32_t{1});
  put_string(body, topic);
  put(body, int32_t{1});
  put(body, partition);
  put(body, int64_t{0});
  put(body, bytes_max);
  return with_header(key_fetch, 4, body);
}

void set_fetch_offset(std::string& request, int64_t offset) {
  std::string encoded;
  put(encoded, offset);
  request.replace(request.size() - 12, 8, encoded);
}

int16_t read_i16(std::string_view bytes) { return get<int16_t>(bytes); }
int32_t read_i32(std::string_view bytes) { return get<int32_t>(bytes); }
int64_t read_i64(std::string_view bytes) { return get<int64_t>(bytes); }

// | correlation i32 | throttle i32 | count i32 | name string | error i16 | ...
int16_t create_topic_error(std::string_view reply) {
  const auto name = static_cast<size_t>(read_i16(reply.substr(12)));
  return read_i16(reply.substr(14 + name));
}

// | correlation i32 | count i32 | name string | partitions i32 | { index i32 | error i16 | 3 x i64 } ...
int16_t produce_error(std::string_view reply) {
  constexpr size_t partition_bytes = 4 + 2 + 3 * 8;
  const auto name = static_cast<size_t>(read_i16(reply.substr(8)));
  const auto partitions = static_cast<size_t>(read_i32(reply.substr(10 + name)));
  for (size_t i = 0; i < partitions; i++) {
    const int16_t error = read_i16(reply.substr(14 + name + i * partition_bytes + 4));
    if (error != 0) return error;
  }
  return 0;
}

// | correlation i32 | throttle i32 | topics i32 | name string | partitions i32 | index i32 | error i16 |
// | high watermark i64 | last stable i64 | aborted i32 | record bytes i32 | records |
FetchHead read_fetch_head(std::string_view reply, size_t topic_size) {
  const size_t error_at = 4 + 4 + 4 + 2 + topic_size + 4 + 4;
  return {read_i16(reply.substr(error_at)), read_i64(reply.substr(error_at + 2)),
          read_i32(reply.substr(error_at + 2 + 8 + 8 + 4))};
}

}  // namespace polylog::bench::kafka
