#include "protocol/kafka/repack.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "protocol/kafka/session_test_calls.h"

namespace polylog::kafka {
namespace {

constexpr Compression kCodecs[] = {Compression::kNone, Compression::kGzip, Compression::kSnappy, Compression::kLz4,
                                   Compression::kZstd};

// Three records with what a producer that numbers its batches says.
std::vector<uint8_t> numbered_batch() {
  BatchBuilder builder;
  const RecordHeader headers[] = {{"h", base::as_view("x")}};
  builder.add(1000, base::as_view("k"), base::as_view("v"), headers);
  builder.add(990, std::nullopt, base::as_view(""));
  builder.add(1020, base::as_view(""), std::nullopt);
  return builder.finish({.producer_id = 7, .producer_epoch = 2, .base_sequence = 40});
}

std::string records_of(base::View batch) {
  const auto header = read_batch_header(batch);
  std::vector<uint8_t> scratch;
  return std::string(base::as_text(*unpack_records(*header, batch, scratch)));
}

base::Slice repacked(base::View batch, Compression to) {
  std::vector<uint8_t> scratch;
  return repack_batch(batch, *unpack_records(*read_batch_header(batch), batch, scratch), to);
}

}  // namespace

TEST_CASE("every_codec_packs_what_it_unpacks") {
  for (const Compression codec : kCodecs) {
    if (codec == Compression::kNone) continue;
    for (const size_t size : {1, 100, 32 * 1024, 32 * 1024 + 1, 70'000, 1'000'000}) {
      CAPTURE(static_cast<int>(codec));
      CAPTURE(size);
      std::vector<uint8_t> plain(size), out;
      for (size_t i = 0; i < size; ++i) plain[i] = static_cast<uint8_t>((i * i) >> 7);
      REQUIRE(unpack(codec, pack(codec, plain), out) == UnpackStatus::kOk);
      CHECK(out == plain);
    }
  }
}

TEST_CASE("lz4_blocks_stand_alone") {
  constexpr size_t kFlagsAt = 4;
  constexpr uint8_t kIndependent = 0x20;
  CHECK((pack(Compression::kLz4, base::as_view("x"))[kFlagsAt] & kIndependent) != 0);
}

TEST_CASE("a_batch_goes_from_any_codec_to_any_other_and_keeps_what_it_says") {
  const std::vector<uint8_t> original = numbered_batch();
  const BatchHeader said = *read_batch_header(original);
  for (const Compression from : kCodecs) {
    const base::Slice first = repacked(original, from);
    for (const Compression to : kCodecs) {
      CAPTURE(static_cast<int>(from));
      CAPTURE(static_cast<int>(to));
      const base::Slice second = repacked(first.view(), to);
      const auto header = validate_batch(second.view(), {.depth = Depth::kFull});
      REQUIRE(header);
      CHECK(header->codec() == static_cast<uint8_t>(to));
      CHECK(header->record_count == 3);
      CHECK(header->max_timestamp_ms == said.max_timestamp_ms);
      CHECK(header->producer_id == 7);
      CHECK(header->producer_epoch == 2);
      CHECK(header->base_sequence == 40);
      CHECK(records_of(second.view()) == records_of(original));
    }
  }
}

TEST_CASE("records_that_do_not_unpack_are_not_repacked") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 1, {{"compression.type", "gzip"}});
  std::vector<uint8_t> batch = batch_of({"a"});
  batch[batch_layout::kAttributesAt + 1] |= static_cast<uint8_t>(Compression::kZstd);
  set_crc(batch);
  const auto refused = produce(client, "t", batch);
  CHECK(refused.error_code == ErrorCode::kInvalidRecord);
  CHECK(refused.error_message == "the records cannot be unpacked");
}

TEST_CASE("a_topic_that_names_a_codec_stores_every_batch_with_it") {
  TestBroker broker;
  TestClient client(broker);
  create_topic(client, "t", 1, {{"compression.type", "zstd"}});
  CHECK(produce(client, "t", batch_of({"a", "b"})).base_offset == 0);
  const auto fetched = fetch(client, fetch_request("t", 0));
  const auto header = validate_batch(fetched.records.bytes, {.depth = Depth::kFull});
  REQUIRE(header);
  CHECK(header->codec() == static_cast<uint8_t>(Compression::kZstd));
  CHECK(records_of(fetched.records.bytes) == records_of(batch_of({"a", "b"})));
}

TEST_CASE("a_batch_is_as_large_as_it_is_stored") {
  TestBroker broker;
  TestClient client(broker);
  const std::vector<uint8_t> plain = batch_of({std::string(1000, 'a')});
  const base::Slice packed = repacked(plain, Compression::kZstd);
  const std::vector<uint8_t> sent(packed.view().begin(), packed.view().end());
  const auto limited = [&](std::string_view name, size_t bytes_max) {
    const std::string limit = std::to_string(bytes_max);
    create_topic(client, name, 1, {{"compression.type", "uncompressed"}, {"max.message.bytes", limit}});
    return produce(client, name, sent).error_code;
  };
  CHECK(limited("at", plain.size()) == ErrorCode::kNone);
  CHECK(limited("past", plain.size() - 1) == ErrorCode::kMessageTooLarge);
}

}  // namespace polylog::kafka
