#include "protocol/kafka/record_batch.h"

#include <doctest/doctest.h>
#include <snappy.h>

#include <string>

#include "base/crc32c.h"

namespace polylog::kafka {
namespace {

using Bytes = std::vector<uint8_t>;
namespace at = batch_layout;

Bytes three_records() {
  const RecordHeader headers[] = {{"h1", base::as_view("x")}, {"h2", std::nullopt}};
  BatchBuilder builder;
  builder.add(1000, base::as_view("k0"), base::as_view("v0"), headers);
  builder.add(990, std::nullopt, base::as_view(""));
  builder.add(1020, base::as_view(""), std::nullopt);
  return builder.finish();
}

void fix_crc(Bytes& batch) {
  const uint32_t crc = base::crc32c(base::View(batch).subspan(at::kAttributesAt));
  for (int i = 0; i < 4; ++i) batch[at::kCrcAt + static_cast<size_t>(i)] = static_cast<uint8_t>(crc >> (24 - 8 * i));
}

Bytes packed_with_snappy(const Bytes& batch) {
  const base::View records = base::View(batch).subspan(at::kRecordsAt);
  std::string packed;
  snappy::Compress(reinterpret_cast<const char*>(records.data()), records.size(), &packed);
  base::Writer out;
  out.bytes(base::View(batch).first(at::kRecordsAt));
  out.text(packed);
  out.patch_u32be(at::kBatchLengthAt, static_cast<uint32_t>(out.size() - at::kLengthFieldEnd));
  Bytes bytes = std::move(out.buffer());
  bytes[at::kAttributesAt + 1] |= static_cast<uint8_t>(Compression::kSnappy);
  fix_crc(bytes);
  return bytes;
}

// `change` edits a sound batch; its checksum is made right again.
template <typename Change>
ErrorCode code_after(Change change, BatchRules rules = {}) {
  Bytes batch = three_records();
  change(batch);
  fix_crc(batch);
  const auto result = validate_batch(batch, rules);
  return result ? ErrorCode::kNone : result.error().code;
}

void set_i32(Bytes& batch, size_t where, int32_t value) {
  for (size_t i = 0; i < 4; ++i) batch[where + i] = static_cast<uint8_t>(static_cast<uint32_t>(value) >> (24 - 8 * i));
}

}  // namespace

TEST_CASE("a_built_batch_gives_its_records_back") {
  Bytes batch = three_records();
  place_batch(batch, 500, 7);
  const auto header = read_batch_header(batch);
  REQUIRE(header);
  CHECK(header->base_offset == 500);
  CHECK(header->leader_epoch == 7);
  CHECK(header->size_bytes() == batch.size());
  CHECK(header->last_offset() == 502);
  CHECK(header->base_timestamp_ms == 1000);
  CHECK(header->max_timestamp_ms == 1020);
  CHECK(header->last_sequence() == -1);
  Bytes scratch;
  const auto records = unpack_records(*header, batch, scratch);
  REQUIRE(records);
  RecordWalker walker(*header, *records);
  RecordView record;

  REQUIRE(walker.next(record));
  CHECK(record.offset == 500);
  CHECK(record.timestamp_ms == 1000);
  CHECK(base::as_text(*record.key) == "k0");
  CHECK(base::as_text(*record.value) == "v0");
  HeaderWalker headers(record);
  RecordHeader record_header;
  REQUIRE(headers.next(record_header));
  CHECK(record_header.key == "h1");
  CHECK(base::as_text(*record_header.value) == "x");
  REQUIRE(headers.next(record_header));
  CHECK(record_header.key == "h2");
  CHECK_FALSE(record_header.value);
  CHECK_FALSE(headers.next(record_header));

  REQUIRE(walker.next(record));
  CHECK(record.timestamp_ms == 990);
  CHECK_FALSE(record.key);
  REQUIRE(record.value);
  CHECK(record.value->empty());

  REQUIRE(walker.next(record));
  CHECK(record.offset == 502);
  CHECK(record.key);
  CHECK_FALSE(record.value);
  CHECK(walker.is_complete());
  CHECK_FALSE(walker.next(record));
}

TEST_CASE("placing_a_batch_keeps_its_checksum_right") {
  Bytes batch = three_records();
  place_batch(batch, 123456789012, 3);
  const auto header = read_batch_header(batch);
  REQUIRE(header);
  CHECK(header->crc == base::crc32c(base::View(batch).subspan(at::kAttributesAt)));
}

TEST_CASE("log_append_time_replaces_every_timestamp_and_the_checksum") {
  Bytes batch = three_records();
  set_log_append_time(batch, 5555);
  CHECK(validate_batch(batch, {.log_append_time = true}));
  const auto header = read_batch_header(batch);
  REQUIRE(header);
  CHECK(header->is_log_append_time());
  Bytes scratch;
  RecordWalker walker(*header, *unpack_records(*header, batch, scratch));
  for (RecordView record; walker.next(record);) CHECK(record.timestamp_ms == 5555);
  CHECK(walker.is_complete());
}

TEST_CASE("the_last_sequence_wraps_to_0") {
  CHECK(BatchHeader{.last_offset_delta = 2, .base_sequence = 5}.last_sequence() == 7);
  CHECK(BatchHeader{.last_offset_delta = 1, .base_sequence = INT32_MAX}.last_sequence() == 0);
  CHECK(BatchHeader{.last_offset_delta = 1, .base_sequence = INT32_MAX - 1}.last_sequence() == INT32_MAX);
}

TEST_CASE("a_bad_batch_is_refused_with_the_code_clients_expect") {
  CHECK(code_after([](Bytes&) {}) == ErrorCode::kNone);
  CHECK(code_after([](Bytes& b) { b[7] = 1; }) == ErrorCode::kInvalidRecord);             // base offset
  CHECK(code_after([](Bytes& b) { b[at::kMagicAt] = 1; }) == ErrorCode::kInvalidRecord);  // an old message set
  CHECK(code_after([](Bytes& b) { b[11] -= 1; }) == ErrorCode::kInvalidRecord);           // bytes behind the batch
  CHECK(code_after([](Bytes& b) { b[11] += 1; }) == ErrorCode::kCorruptMessage);          // batch length too long
  CHECK(code_after([](Bytes& b) { b[8] = 0xFF; }) == ErrorCode::kCorruptMessage);         // batch length negative
  CHECK(code_after([](Bytes& b) { b[22] = 0x20; }) == ErrorCode::kInvalidRecord);         // control bit
  CHECK(code_after([](Bytes& b) { b[22] = 0x10; }) == ErrorCode::kInvalidRecord);         // transactional, no producer
  CHECK(code_after([](Bytes& b) { b[22] = 0x08; }) == ErrorCode::kInvalidTimestamp);      // append time from a client
  CHECK(code_after([](Bytes& b) { b[22] = 0x05; }) == ErrorCode::kUnsupportedCompressionType);
  CHECK(code_after([](Bytes& b) { b[22] = 0x04; }, {.zstd_allowed = false}) == ErrorCode::kUnsupportedCompressionType);
  CHECK(code_after([](Bytes& b) { b[26] = 5; }) == ErrorCode::kInvalidRecord);  // last offset delta
  CHECK(code_after([](Bytes& b) { b[43] = 0; }) == ErrorCode::kInvalidRecord);  // producer id, no sequence
  CHECK(code_after([](Bytes& b) { set_i32(b, 57, 0), set_i32(b, 23, -1); }) == ErrorCode::kInvalidRecord);
  CHECK(code_after([](Bytes& b) { set_i32(b, 57, 4), set_i32(b, 23, 3); }) == ErrorCode::kInvalidRecord);
  CHECK(code_after([](Bytes& b) { set_i32(b, 57, 2), set_i32(b, 23, 1); }) == ErrorCode::kInvalidRecord);
  CHECK(code_after([](Bytes& b) { b[at::kRecordsAt] += 2; }) == ErrorCode::kInvalidRecord);  // a record's length
  CHECK(code_after([](Bytes&) {}, {.keys_required = true}) == ErrorCode::kInvalidRecord);
  CHECK(code_after([](Bytes&) {}, {.timestamp_ms_max = 1019}) == ErrorCode::kInvalidTimestamp);
  CHECK(code_after([](Bytes&) {}, {.timestamp_ms_min = 991}) == ErrorCode::kInvalidTimestamp);
  CHECK(code_after([](Bytes&) {}, {.timestamp_ms_min = 990, .timestamp_ms_max = 1020}) == ErrorCode::kNone);
}

TEST_CASE("a_flipped_bit_anywhere_behind_the_checksum_is_found") {
  const Bytes sound = three_records();
  for (size_t i = at::kCrcAt; i < sound.size(); ++i) {
    Bytes batch = sound;
    batch[i] ^= 0x40;
    const auto result = validate_batch(batch, {});
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::kCorruptMessage);
  }
}

TEST_CASE("a_batch_cut_anywhere_is_refused") {
  const Bytes sound = three_records();
  for (size_t size = 0; size < sound.size(); ++size) {
    const Bytes cut(sound.begin(), sound.begin() + static_cast<ptrdiff_t>(size));
    CHECK_FALSE(validate_batch(cut, {}));
    CHECK_FALSE(read_batch_header(cut));
  }
}

TEST_CASE("the_size_limit_holds_at_the_limit_and_one_past_it") {
  const Bytes batch = three_records();
  CHECK(validate_batch(batch, {.batch_bytes_max = batch.size()}));
  const auto result = validate_batch(batch, {.batch_bytes_max = batch.size() - 1});
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::kMessageTooLarge);
}

TEST_CASE("the_record_limit_holds_at_the_limit_and_one_past_it") {
  const auto claims = [](int32_t count) {  // compressed, so that nobody counts
    return code_after([&](Bytes& b) { b[22] = 1, set_i32(b, 57, count), set_i32(b, 23, count - 1); });
  };
  constexpr int32_t kMax = static_cast<int32_t>(base::limits::kRecordsPerBatchMax);
  CHECK(claims(kMax) == ErrorCode::kNone);
  CHECK(claims(kMax + 1) == ErrorCode::kInvalidRecord);
}

TEST_CASE("depth_decides_how_much_is_read") {
  const auto break_a_record = [](Bytes& b) { b[at::kRecordsAt] += 2; };
  const auto say_gzip = [](Bytes& b) { b[22] = 1; };
  CHECK(code_after(break_a_record, {.depth = Depth::kHeaderAndCrc}) == ErrorCode::kNone);
  CHECK(code_after(break_a_record, {.depth = Depth::kRecords}) == ErrorCode::kInvalidRecord);
  CHECK(code_after(say_gzip, {.depth = Depth::kRecords}) == ErrorCode::kNone);
  CHECK(code_after(say_gzip, {.depth = Depth::kFull}) == ErrorCode::kInvalidRecord);
  CHECK(code_after(say_gzip, {.keys_required = true}) == ErrorCode::kInvalidRecord);
}

TEST_CASE("a_record_error_names_the_record") {
  const auto result = validate_batch(three_records(), {.keys_required = true});
  REQUIRE_FALSE(result);
  CHECK(result.error().records == std::vector{1});
}

TEST_CASE("every_record_with_the_fault_is_named_up_to_a_limit") {
  BatchBuilder builder;
  const auto count = static_cast<int32_t>(limits::kRecordErrorsMax) + 1;
  for (int32_t i = 0; i < count; ++i) builder.add(i, std::nullopt, std::nullopt);
  const Bytes batch = builder.finish({});
  const auto named = [&](int64_t timestamp_ms_max) {
    const auto result = validate_batch(batch, {.timestamp_ms_max = timestamp_ms_max});
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::kInvalidTimestamp);
    return result.error().records;
  };
  CHECK(named(count - 2) == std::vector{count - 1});
  CHECK(named(count - 4) == std::vector{count - 3, count - 2, count - 1});
  CHECK(named(0).size() == limits::kRecordErrorsMax);  // all but the first
  CHECK(named(-5).size() == limits::kRecordErrorsMax);
  CHECK(named(0).front() == 1);
}

TEST_CASE("timestamps_of_compressed_records_are_looked_at_where_the_header_does_not_settle_it") {
  BatchBuilder builder;
  for (const int64_t timestamp_ms : {100, 50, 120}) builder.add(timestamp_ms, std::nullopt, std::nullopt);
  const Bytes batch = packed_with_snappy(builder.finish({}));
  CHECK(validate_batch(batch, {.timestamp_ms_max = 120}));
  const auto late = validate_batch(batch, {.timestamp_ms_max = 110});
  REQUIRE_FALSE(late);
  CHECK(late.error().records == std::vector{2});
  const auto early = validate_batch(batch, {.timestamp_ms_min = 60});
  REQUIRE_FALSE(early);
  CHECK(early.error().records == std::vector{1});
  CHECK(validate_batch(batch, {.log_append_time = true, .timestamp_ms_min = 60, .timestamp_ms_max = 110}));
}

TEST_CASE("hostile_deltas_do_not_overflow") {
  BatchBuilder builder;
  builder.add(INT64_MIN, std::nullopt, std::nullopt);
  builder.add(INT64_MAX, std::nullopt, std::nullopt);
  const Bytes batch = builder.finish();
  const auto header = read_batch_header(batch);
  REQUIRE(header);
  Bytes scratch;
  RecordWalker walker(*header, *unpack_records(*header, batch, scratch));
  RecordView record;
  REQUIRE(walker.next(record));
  REQUIRE(walker.next(record));
  CHECK(record.timestamp_ms == INT64_MAX);
}

}  // namespace polylog::kafka
