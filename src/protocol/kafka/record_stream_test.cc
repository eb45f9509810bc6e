#include "protocol/kafka/record_stream.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <string>

#include "protocol/kafka/compression.h"
#include "protocol/kafka/mapping.h"

namespace polylog::kafka {
namespace {

using Bytes = std::vector<uint8_t>;
using base::ErrorCode;
constexpr size_t kAnySize = SIZE_MAX;
constexpr size_t kHeadBytes = batch_layout::kRecordsAt;

// One record for each size, of that many value bytes.
Bytes batch_of(const std::vector<size_t>& sizes) {
  BatchBuilder builder;
  for (const size_t size : sizes) builder.add(5, std::nullopt, base::as_view(std::string(size, 'v')));
  return builder.finish();
}

// The same batch with its records packed by gzip; only its header says so, the checksum is not made right.
struct Packed {
  explicit Packed(base::View plain)
      : header(*read_batch_header(plain)), bytes(plain.begin(), plain.begin() + kHeadBytes) {
    const base::View records = plain.subspan(kHeadBytes);
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
    bytes.resize(kHeadBytes + deflateBound(&stream, records.size()) + 32);
    stream.next_in = const_cast<uint8_t*>(records.data());
    stream.avail_in = static_cast<uInt>(records.size());
    stream.next_out = bytes.data() + kHeadBytes;
    stream.avail_out = static_cast<uInt>(bytes.size() - kHeadBytes);
    deflate(&stream, Z_FINISH);
    bytes.resize(kHeadBytes + stream.total_out);
    deflateEnd(&stream);
    header.attributes = static_cast<int16_t>(Compression::kGzip);
    header.batch_length += static_cast<int32_t>(bytes.size()) - static_cast<int32_t>(plain.size());
  }
  BatchHeader header;
  Bytes bytes;
};

std::vector<size_t> sizes_in(const BatchHeader& header, base::View batch, size_t record_bytes_max,
                             base::Result<>& result) {
  std::vector<size_t> sizes;
  result = for_each_record(header, batch, record_bytes_max, [&](const RecordView& record) {
    CHECK(record.offset == static_cast<int64_t>(sizes.size()));
    sizes.push_back(record.value->size());
    return true;
  });
  return sizes;
}

TEST_CASE("records_of_any_size_come_out_of_a_batch_in_pieces_as_out_of_a_whole_one") {
  const std::vector<size_t> sizes{0, 1, 100'000, 300'000, 7, 262'144, 1'000'000, 3};
  const Bytes plain = batch_of(sizes);
  base::Result<> result;
  CHECK(sizes_in(*read_batch_header(plain), plain, kAnySize, result) == sizes);
  CHECK(result);
  const Packed packed(plain);
  CHECK(packed.bytes.size() < 10'000);
  CHECK(sizes_in(packed.header, packed.bytes, kAnySize, result) == sizes);
  CHECK(result);
}

TEST_CASE("a_record_at_the_limit_is_visited_and_one_past_it_ends_the_walk") {
  const Bytes plain = batch_of({10, 50'000, 20});
  const Packed packed(plain);
  const size_t record_bytes = 50'000 + 8;  // with its own fields
  base::Result<> result;
  CHECK(sizes_in(packed.header, packed.bytes, record_bytes, result).size() == 3);
  CHECK(result);
  CHECK(sizes_in(packed.header, packed.bytes, record_bytes - 1, result).size() == 1);
  CHECK(result.error().code == ErrorCode::kTooLarge);
  CHECK(sizes_in(*read_batch_header(plain), plain, record_bytes - 1, result).size() == 1);
  CHECK(result.error().code == ErrorCode::kTooLarge);
}

TEST_CASE("a_walk_may_stop_early_and_damage_is_reported") {
  const Bytes plain = batch_of({1, 2, 3});
  const Packed packed(plain);
  int visited = 0;
  CHECK(for_each_record(packed.header, packed.bytes, kAnySize, [&](const RecordView&) { return ++visited < 2; }));
  CHECK(visited == 2);
  base::Result<> result;
  BatchHeader header = packed.header;
  header.batch_length -= 1;
  sizes_in(header, packed.bytes, kAnySize, result);
  CHECK(result.error().code == ErrorCode::kCorrupt);
  header = packed.header;
  header.record_count += 1;
  sizes_in(header, packed.bytes, kAnySize, result);
  CHECK(result.error().code == ErrorCode::kCorrupt);
  header.record_count -= 2;
  sizes_in(header, packed.bytes, kAnySize, result);
  CHECK(result.error().code == ErrorCode::kCorrupt);
  Bytes damaged = plain;
  damaged[kHeadBytes] = 0xFF;  // a size that runs on into the next bytes
  sizes_in(*read_batch_header(plain), damaged, kAnySize, result);
  CHECK(result.error().code == ErrorCode::kCorrupt);
}

TEST_CASE("an_encoding_converts_records_up_to_its_limit") {
  const Bytes plain = batch_of({100});
  int converted = 0;
  const auto count = [&](base::Offset, const broker::HubMessage&) { ++converted; };
  CHECK(RecordBatchEncoding(107).to_hub(plain, base::Offset(0), count));
  CHECK(converted == 1);
  CHECK(RecordBatchEncoding(106).to_hub(plain, base::Offset(0), count).error().code == ErrorCode::kTooLarge);
  CHECK(converted == 1);
}

}  // namespace
}  // namespace polylog::kafka
