#include "load/amqp/links.h"

#include <doctest/doctest.h>

namespace polylog::load::amqp {
namespace {

constexpr uint64_t kBegin = kSecondNs;

std::string method_frame(uint32_t id, std::string_view arguments = {}) {
  std::string frame("\1\0\1\0\0\0", 6);
  frame += static_cast<char>(4 + arguments.size());
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>(id >> shift);
  return frame.append(arguments) + static_cast<char>(0xCE);
}

std::string confirm_frame(uint32_t id, uint8_t tag, bool multiple) {
  return method_frame(id, std::string(7, '\0') + static_cast<char>(tag) + (multiple ? '\1' : '\0'));
}

std::string closing_frame() {
  return method_frame(kConnectionClose, std::string_view("\1\x93\4nope\0\0\0\0", 11));  // 403
}

// A producer whose greeting is done, and its ledger.
struct Rig {
  Rig() : producer({}, {}, ledger, {}, {{.index = 0, .queue = "q"}}) {
    ledger.begin(kBegin);
    producer.greet(output);
    for (const uint32_t reply :
         {kConnectionStart, kConnectionTune, kConnectionOpenOk, kChannelOpenOk, kQueueDeclareOk, kConfirmSelectOk}) {
      REQUIRE(take(method_frame(reply)));
    }
    REQUIRE(producer.ready());
    output.clear();
  }
  base::Result<size_t> take(const std::string& input) { return producer.take(input, output, kBegin); }

  Ledger ledger{{.rate_per_second = 1000, .seconds = 10}, {}, 1};
  AmqpProducer producer;
  std::string output;
};

TEST_CASE("load amqp: confirms come one by one, up to a tag, and in any order") {
  Rig rig;
  rig.producer.send_due(rig.output, kBegin + 9'000'000);
  CHECK(rig.ledger.sent() == 10);
  REQUIRE(rig.take(confirm_frame(kBasicAck, 3, false)));
  CHECK(rig.ledger.acknowledged() == 1);
  REQUIRE(rig.take(confirm_frame(kBasicAck, 5, true)));
  CHECK(rig.ledger.acknowledged() == 5);
  REQUIRE(rig.take(confirm_frame(kBasicAck, 5, true)));
  CHECK(rig.ledger.acknowledged() == 5);
  CHECK_FALSE(rig.take(confirm_frame(kBasicAck, 11, true)));  // never published
}

TEST_CASE("load amqp: what was refused or under way when the connection broke is sent again") {
  Rig rig;
  rig.producer.send_due(rig.output, kBegin + 3'000'000);
  REQUIRE(rig.take(confirm_frame(kBasicNack, 1, false)));
  REQUIRE(rig.take(confirm_frame(kBasicAck, 2, false)));
  rig.producer.on_down();
  CHECK_FALSE(rig.producer.ready());
  for (const uint64_t sequence : {0, 2, 3}) CHECK(rig.ledger.take(0, kBegin)->sequence == sequence);
}

TEST_CASE("load amqp: a close is an error with the server's reason") {
  Rig rig;
  CHECK(rig.take(closing_frame()).error().text == "the server closed: 403 nope");
}

TEST_CASE("load amqp: a long body is cut into frames as large as was agreed on") {
  const MessageFrames message = message_frames("q", 10'000, true, 4096);
  size_t used = 0, bodies = 0, body_bytes = 0;
  while (used < message.bytes.size()) {
    const auto frame = *next_frame(std::string_view(message.bytes).substr(used));
    REQUIRE(frame);
    CHECK(frame->size <= 4096);
    bodies += frame->type == kFrameBody ? 1 : 0;
    body_bytes += frame->type == kFrameBody ? frame->payload.size() : 0;
    used += frame->size;
  }
  CHECK(bodies == 3);
  CHECK(body_bytes == 10'000);
  CHECK(message.bytes[message.body_at] == 'a');
}

TEST_CASE("load amqp: bytes of another protocol are refused") {
  CHECK_FALSE(next_frame("HTTP/1.1 400 Bad Request"));
  CHECK_FALSE(*next_frame(std::string_view("\1\0\1\0\0\0\4abc", 10)));
}

}  // namespace
}  // namespace polylog::load::amqp
