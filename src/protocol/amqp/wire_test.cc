#include "protocol/amqp/wire.h"

#include <doctest/doctest.h>

#include <string>

#include "protocol/amqp/error_codes.h"
#include "protocol/amqp/gen/methods.h"
#include "protocol/amqp/properties.h"
#include "protocol/amqp/test_bytes.h"

namespace polylog::amqp {
namespace {

constexpr uint32_t kFrameMax = 4'096;

std::vector<uint8_t> body_frame(size_t payload_bytes) {
  base::Writer out;
  const size_t at = open_frame(out, FrameType::kBody, 3);
  out.zeros(payload_bytes);
  close_frame(out, at);
  return out.buffer();
}

std::vector<uint8_t> drain(io::OutQueue& queue) {
  std::vector<base::View> pieces;
  std::vector<uint8_t> bytes;
  while (!queue.empty()) {
    pieces.clear();
    queue.gather(pieces, 64);
    size_t taken = 0;
    for (base::View piece : pieces) {
      bytes.insert(bytes.end(), piece.begin(), piece.end());
      taken += piece.size();
    }
    queue.sent(taken);
  }
  return bytes;
}

// A conversation's frames, read with every prefix of the bytes at hand until the frame is whole.
size_t frames_read_byte_by_byte(base::View stream) {
  size_t frames = 0;
  for (size_t start = 0; start < stream.size();) {
    size_t have = 0;
    FrameRead read = read_frame(stream.subspan(start, have), kFrameMax);
    while (read.status == FrameRead::Status::kNeedMore) {
      REQUIRE(read.wanted_bytes > have);
      REQUIRE(start + read.wanted_bytes <= stream.size());
      read = read_frame(stream.subspan(start, ++have), kFrameMax);
    }
    REQUIRE(read.status == FrameRead::Status::kFrame);
    CHECK(read.frame.total_bytes() == have);
    start += have;
    ++frames;
  }
  return frames;
}

TEST_CASE("body_and_heartbeat_frames_are_the_bytes_a_client_knows") {
  base::Writer out;
  write_body(out, 3, base::as_view("hello"), kFrameMax);
  CHECK(out.buffer() == from_hex("03 0003 00000005 68656c6c6f ce"));
  out.clear();
  write_heartbeat(out);
  CHECK(out.buffer() == from_hex("08 0000 00000000 ce"));
  out.clear();
  write_body(out, 3, {}, kFrameMax);
  CHECK(out.size() == 0);
}

TEST_CASE("frames_split_at_every_byte_ask_for_more_and_then_arrive_whole") {
  base::Writer out;
  write_method(out, 1, QueueDeclare{.queue = "q"});
  write_content_header(out, 1, 300, from_hex("0000"));
  write_body(out, 1, std::vector<uint8_t>(300, 7), 108);
  write_heartbeat(out);
  CHECK(frames_read_byte_by_byte(out.view()) == 1 + 1 + 3 + 1);
}

TEST_CASE("a_frame_head_alone_tells_how_many_bytes_are_wanted") {
  const auto bytes = body_frame(100);
  CHECK(read_frame({}, kFrameMax).wanted_bytes == kFrameOverheadBytes);
  const FrameRead read = read_frame(base::View(bytes).first(kFrameHeadBytes), kFrameMax);
  CHECK(read.status == FrameRead::Status::kNeedMore);
  CHECK(read.wanted_bytes == bytes.size());
}

TEST_CASE("frame_max_has_eight_bytes_of_tolerance_and_not_one_more") {
  const auto fits = body_frame(kFrameMax);  // 8 bytes of framing on top of frame_max
  CHECK(read_frame(fits, kFrameMax).status == FrameRead::Status::kFrame);
  const auto over = body_frame(kFrameMax + 1);
  CHECK(read_frame(over, kFrameMax).error == FrameError::kTooLarge);
  CHECK(read_frame(base::View(over).first(kFrameHeadBytes), kFrameMax).error == FrameError::kTooLarge);
  CHECK(read_frame(over, 0).status == FrameRead::Status::kFrame);
}

TEST_CASE("without_frame_max_the_ceiling_holds") {
  base::Writer out;
  out.bytes(from_hex("03 0001"));
  out.u32be(static_cast<uint32_t>(kFrameBytesCeiling - kFrameOverheadBytes));
  CHECK(read_frame(out.view(), 0).status == FrameRead::Status::kNeedMore);
  out.patch_u32be(3, static_cast<uint32_t>(kFrameBytesCeiling - kFrameOverheadBytes + 1));
  CHECK(read_frame(out.view(), 0).error == FrameError::kTooLarge);
  CHECK(read_frame(out.view(), UINT32_MAX).error == FrameError::kTooLarge);
}

TEST_CASE("a_wrong_end_byte_and_an_unknown_type_are_frame_errors") {
  auto bytes = body_frame(4);
  bytes.back() = 0xCD;
  CHECK(read_frame(bytes, kFrameMax).error == FrameError::kBadEnd);
  bytes[0] = 4;
  CHECK(read_frame(base::View(bytes).first(1), kFrameMax).error == FrameError::kUnknownType);
}

TEST_CASE("a_body_is_cut_at_frame_max_the_same_way_for_both_writers") {
  std::vector<uint8_t> body(3 * (kFrameMax - kFrameOverheadBytes) + 1);
  for (size_t i = 0; i < body.size(); ++i) body[i] = static_cast<uint8_t>(i);
  base::Writer out;
  write_body(out, 9, body, kFrameMax);

  io::OutQueue queue;
  write_body(queue, 9, base::Slice::copy_of(body), kFrameMax);
  CHECK(drain(queue) == out.buffer());

  std::vector<uint8_t> joined;
  size_t frames = 0;
  for (base::View rest = out.view(); !rest.empty(); ++frames) {
    const FrameRead read = read_frame(rest, kFrameMax);
    REQUIRE(read.status == FrameRead::Status::kFrame);
    CHECK(read.frame.total_bytes() <= kFrameMax);
    joined.insert(joined.end(), read.frame.payload.begin(), read.frame.payload.end());
    rest = rest.subspan(read.frame.total_bytes());
  }
  CHECK(frames == 4);
  CHECK(joined == body);
}

TEST_CASE("a_message_is_method_header_and_body_in_one_go") {
  const std::string body(1000, 'b');
  io::OutQueue queue;
  base::Writer scratch;
  const BasicDeliver deliver{.consumer_tag = "ct", .delivery_tag = 1, .routing_key = "q"};
  const auto properties = from_hex("1000 02");
  write_message(queue, scratch, 5, deliver, properties, base::Slice::copy_of(base::as_view(body)), kFrameMax);

  base::Writer expected;
  write_method(expected, 5, deliver);
  write_content_header(expected, 5, body.size(), properties);
  write_body(expected, 5, base::as_view(body), kFrameMax);
  const auto bytes = drain(queue);
  CHECK(bytes == expected.buffer());
  CHECK(frames_read_byte_by_byte(bytes) == 3);
}

TEST_CASE("content_header_frames_have_the_announced_size") {
  const auto properties = from_hex("1000 02");
  base::Writer out;
  write_content_header(out, 1, 0, properties);
  CHECK(out.size() == content_header_frame_bytes(properties));
}

TEST_CASE("greetings_are_told_apart_as_early_as_possible") {
  const auto greet = [](std::string_view hex) { return recognize_greeting(from_hex(hex)); };
  CHECK(greet("414d5150 00000901") == Greeting::kAmqp091);
  CHECK(greet("414d5150 01010009") == Greeting::kAmqp091);
  CHECK(greet("414d5150 00010000") == Greeting::kAmqp10);
  CHECK(greet("414d5150 02010000") == Greeting::kAmqp10Tls);
  CHECK(greet("414d5150 03010000") == Greeting::kAmqp10Sasl);
  CHECK(greet("414d5150 00000800") == Greeting::kAmqpUnknown);
  CHECK(greet("16 03 01 00") == Greeting::kTls);
  CHECK(recognize_greeting(base::as_view("GET / HTTP/1.1\r\n")) == Greeting::kHttp);
  CHECK(recognize_greeting(base::as_view("PU")) == Greeting::kNeedMore);
  CHECK(recognize_greeting(base::as_view("xyz")) == Greeting::kOther);
  for (size_t size = 0; size < kProtocolHeaderBytes; ++size) {
    CHECK(recognize_greeting(protocol_header_091().first(size)) == Greeting::kNeedMore);
  }
  CHECK(recognize_greeting(protocol_header_091()) == Greeting::kAmqp091);
  CHECK(recognize_greeting(protocol_header_10_sasl()) == Greeting::kAmqp10Sasl);
}

TEST_CASE("reply_codes_say_what_they_close") {
  CHECK(name_of(ReplyCode::kPreconditionFailed) == "PRECONDITION_FAILED");
  CHECK_FALSE(is_hard(ReplyCode::kAccessRefused));
  CHECK(is_hard(ReplyCode::kFrameError));
  CHECK(reply_text(ReplyCode::kNotFound, "no queue 'q' in vhost '/'") == "NOT_FOUND - no queue 'q' in vhost '/'");
  CHECK(reply_text(ReplyCode::kNoRoute, "") == "NO_ROUTE");
}

}  // namespace
}  // namespace polylog::amqp
