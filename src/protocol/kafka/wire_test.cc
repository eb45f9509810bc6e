#include "protocol/kafka/wire.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "protocol/kafka/gen/api_versions.h"
#include "protocol/kafka/gen/fetch.h"
#include "protocol/kafka/gen/metadata.h"
#include "protocol/kafka/limits.h"

namespace polylog::kafka {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes frame_of_size(int32_t size) {
  base::Writer out;
  out.i32be(size);
  return out.buffer();
}

template <typename M>
Bytes body_of(const M& message, int16_t version) {
  base::Writer out;
  encode(out, version, message);
  return out.buffer();
}

}  // namespace

TEST_CASE("frame_sizes_are_checked_at_their_limits_before_the_frame_has_arrived") {
  CHECK(next_frame(frame_of_size(limits::kFrameBytesMax)).status == FrameStatus::kNeedMore);
  CHECK(next_frame(frame_of_size(limits::kFrameBytesMax)).size_bytes == size_t{limits::kFrameBytesMax} + 4);
  CHECK(next_frame(frame_of_size(limits::kFrameBytesMax + 1)).status == FrameStatus::kBad);
  CHECK(next_frame(frame_of_size(0)).status == FrameStatus::kBad);
  CHECK(next_frame(frame_of_size(-1)).status == FrameStatus::kBad);
}

TEST_CASE("a_frame_split_anywhere_needs_more") {
  const Bytes bytes{0, 0, 0, 2, 'a', 'b', 'n', 'e', 'x', 't'};
  for (size_t size = 0; size < 6; ++size) {
    CHECK(next_frame(base::View(bytes).first(size)).status == FrameStatus::kNeedMore);
  }
  const Frame frame = next_frame(bytes);
  CHECK(frame.status == FrameStatus::kComplete);
  CHECK(frame.size_bytes == 6);
  CHECK(base::as_text(frame.payload) == "ab");
}

TEST_CASE("a_request_header_round_trips_in_both_header_versions") {
  for (const int16_t version : {int16_t{3}, int16_t{12}}) {
    base::Writer out;
    const size_t at = begin_request(out, ApiKey::kMetadata, version, 77, "me");
    encode(out, version, MetadataRequest{});
    end_response(out, at);
    const Frame frame = next_frame(out.view());
    REQUIRE(frame.status == FrameStatus::kComplete);
    base::Reader in(frame.payload);
    RequestHeader header;
    REQUIRE(read_request_header(in, header) == HeaderStatus::kOk);
    CHECK(header.api_version == version);
    CHECK(header.correlation_id == 77);
    CHECK(header.client_id == "me");
    MetadataRequest request;
    CHECK(decode(in, version, request));
    CHECK(in.at_end());
  }
}

TEST_CASE("a_null_client_id_reads_as_empty_and_header_tags_are_skipped") {
  base::Writer out;
  out.i16be(3);
  out.i16be(12);
  out.i32be(1);
  out.i16be(-1);
  out.uvarint(1);  // one tag: id 9, three bytes
  out.uvarint(9);
  out.uvarint(3);
  out.text("xyz");
  out.text("body");
  base::Reader in(out.view());
  RequestHeader header;
  REQUIRE(read_request_header(in, header) == HeaderStatus::kOk);
  CHECK(header.client_id.empty());
  CHECK(base::as_text(in.rest()) == "body");
}

TEST_CASE("a_header_tells_unknown_apis_and_versions_apart_and_keeps_the_correlation_id") {
  const auto status_of = [](int16_t key, int16_t version, RequestHeader& header) {
    base::Writer out;
    out.i16be(key);
    out.i16be(version);
    out.i32be(5);
    out.i16be(0);
    base::Reader in(out.view());
    return read_request_header(in, header);
  };
  RequestHeader header;
  CHECK(status_of(999, 0, header) == HeaderStatus::kUnknownApi);
  CHECK(status_of(-1, 0, header) == HeaderStatus::kUnknownApi);
  CHECK(status_of(18, 5, header) == HeaderStatus::kUnsupportedVersion);
  CHECK(header.correlation_id == 5);
  CHECK(status_of(0, 2, header) == HeaderStatus::kUnsupportedVersion);  // advertised, not served
  CHECK(status_of(0, 3, header) == HeaderStatus::kOk);
}

TEST_CASE("a_truncated_header_is_malformed_at_every_byte") {
  base::Writer out;
  begin_request(out, ApiKey::kMetadata, 12, 1, "client");
  for (size_t size = 4; size < out.size(); ++size) {
    const Bytes cut(out.buffer().begin() + 4, out.buffer().begin() + static_cast<ptrdiff_t>(size));
    base::Reader in(cut);
    RequestHeader header;
    CHECK(read_request_header(in, header) == HeaderStatus::kMalformed);
  }
}

TEST_CASE("only_flexible_responses_have_header_tags_and_api_versions_never_does") {
  const auto header_bytes = [](ApiKey key, int16_t version) {
    base::Writer out;
    begin_response(out, key, version, 1);
    return out.size();
  };
  CHECK(header_bytes(ApiKey::kMetadata, 8) == 8);
  CHECK(header_bytes(ApiKey::kMetadata, 9) == 9);
  CHECK(header_bytes(ApiKey::kApiVersions, 4) == 8);
  CHECK(header_bytes(ApiKey::kSaslHandshake, 1) == 8);
}

TEST_CASE("an_unsupported_api_versions_request_is_answered_in_version_0") {
  ApiVersionsResponse response{.error_code = ErrorCode::kUnsupportedVersion};
  response.apis = {{.api_key = 18, .min_version = 0, .max_version = 4}};
  CHECK(body_of(response, 0) == Bytes{0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4});
}

TEST_CASE("tags_that_hold_their_default_are_not_written") {
  CHECK(body_of(ApiVersionsResponse{}, 3) == Bytes{0, 0, 1, 0, 0, 0, 0, 0});
  ApiVersionsResponse response;
  response.finalized_features_epoch = 7;
  CHECK(body_of(response, 3) == Bytes{0, 0, 1, 0, 0, 0, 0, 1, 1, 8, 0, 0, 0, 0, 0, 0, 0, 7});
}

TEST_CASE("a_tag_is_left_out_below_its_first_version") {
  FetchResponse response;
  response.node_endpoints = {{.node_id = 1, .host = "h", .port = 9092}};
  std::vector<RecordsAt> records;
  base::Writer v15, v16;
  encode(v15, 15, response, records);
  encode(v16, 16, response, records);
  CHECK(v15.buffer().back() == 0);
  CHECK(v16.size() > v15.size());
}

TEST_CASE("null_is_refused_in_versions_that_do_not_know_it") {
  const Bytes null_array{0xFF, 0xFF, 0xFF, 0xFF};
  MetadataRequest request;
  base::Reader v0(null_array), v1(null_array);
  CHECK_FALSE(decode(v0, 0, request));
  CHECK(decode(v1, 1, request));
  CHECK_FALSE(request.topics);
}

TEST_CASE("an_array_count_beyond_the_frame_is_refused_before_memory_is_taken") {
  MetadataRequest request;
  for (const Bytes& bytes : {Bytes{0x7F, 0xFF, 0xFF, 0xFF, 0, 0}, Bytes{0x80, 0, 0, 0, 0, 0}}) {
    base::Reader in(bytes);
    CHECK_FALSE(decode(in, 0, request));
    CHECK(!request.topics);
  }
}

TEST_CASE("a_message_holds_no_more_array_elements_than_the_limit") {
  const auto decodes = [](size_t topics) {
    base::Writer out;
    out.u32be(static_cast<uint32_t>(topics));
    for (size_t i = 0; i < topics; ++i) out.i16be(0);
    MetadataRequest request;
    base::Reader in(out.view());
    return decode(in, 0, request);
  };
  CHECK(decodes(limits::kRequestElementsMax));
  CHECK_FALSE(decodes(limits::kRequestElementsMax + 1));
}

TEST_CASE("strings_are_bounded_in_both_encodings") {
  const auto decodes_software_name = [](size_t size) {
    base::Writer out;
    out.uvarint(size + 1);
    out.zeros(size);
    out.uvarint(1);
    out.uvarint(0);
    ApiVersionsRequest request;
    base::Reader in(out.view());
    return decode(in, 3, request);
  };
  CHECK(decodes_software_name(limits::kStringBytesMax));
  CHECK_FALSE(decodes_software_name(limits::kStringBytesMax + 1));
  ApiVersionsRequest request;
  const std::string name(limits::kStringBytesMax + 1, 'x');
  request.client_software_name = name;
  CHECK(body_of(request, 3).size() == 3 + limits::kStringBytesMax + 1 + 1);  // cut to the limit
}

TEST_CASE("streamed_records_leave_their_place_and_count_in_the_frame") {
  FetchResponse response;
  response.topics.resize(1);
  response.topics[0].name = "t";
  response.topics[0].partitions.resize(2);
  response.topics[0].partitions[0].records.size_bytes = 100;
  base::Writer out;
  std::vector<RecordsAt> records;
  const size_t at = begin_response(out, ApiKey::kFetch, 4, 9);
  encode(out, 4, response, records);
  end_response(out, at, 100);
  REQUIRE(records.size() == 2);
  CHECK(records[0].size_bytes == 100);
  CHECK(records[1].size_bytes == 0);
  CHECK(records[1].position == out.size());
  base::Reader length(out.view().subspan(records[0].position - 4));
  CHECK(length.i32be() == 100);
  CHECK(base::Reader(out.view()).i32be() == static_cast<int32_t>(out.size() - 4 + 100));
}

TEST_CASE("software_words_are_letters_digits_and_inner_dots_and_dashes") {
  for (const std::string_view good : {"a", "librdkafka", "1.2.3", "apache-kafka-java", "a..b"}) {
    CHECK(is_valid_software_word(good));
  }
  for (const std::string_view bad : {"", "-a", "a.", "a b", "a_b", "\xC3\xA9"})
    CHECK_FALSE(is_valid_software_word(bad));
}

}  // namespace polylog::kafka
