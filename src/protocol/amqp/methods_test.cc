// Generated methods, against frames as pika 1.3 writes them.
#include <doctest/doctest.h>

#include <string>

#include "protocol/amqp/field_table.h"
#include "protocol/amqp/gen/methods.h"
#include "protocol/amqp/strings.h"
#include "protocol/amqp/test_bytes.h"
#include "protocol/amqp/wire.h"

namespace polylog::amqp {
namespace {

constexpr std::string_view kQueueDeclare =
    "01 0001 00000020 0032000a 0000 027131 0a 00000012 0c782d6d61782d6c656e677468 49 0000000a ce";
constexpr std::string_view kBasicPublish = "01 0003 0000000e 003c0028 0000 026578 03612e62 01 ce";
constexpr std::string_view kBasicDeliver = "01 0003 00000013 003c003c 026374 0000000000000102 01 00 0171 ce";
constexpr std::string_view kBasicNack = "01 0003 0000000d 003c0078 0000000000000007 01 ce";
constexpr std::string_view kTuneOk = "01 0000 0000000c 000a001f 07ff 00020000 003c ce";
constexpr std::string_view kExchangeDeclare = "01 0001 00000013 0028000a 0000 0165 05746f706963 0a 00000000 ce";
constexpr std::string_view kUnbindOk = "01 0001 00000004 00280033 ce";

// Decodes the method of a whole frame; checks that encoding gives the same frame and that no shorter payload decodes.
template <typename T>
T decode_frame(const std::vector<uint8_t>& bytes) {
  const FrameRead read = read_frame(bytes, 0);
  REQUIRE(read.status == FrameRead::Status::kFrame);
  base::Reader in(read.frame.payload);
  REQUIRE(read_method_id(in) == T::kId);
  const base::View arguments = in.rest();
  T method;
  REQUIRE(decode(in, method));

  base::Writer out;
  write_method(out, read.frame.channel, method);
  CHECK(out.buffer() == bytes);

  for (size_t size = 0; size < arguments.size(); ++size) {
    base::Reader cut(arguments.first(size));
    T partial;
    CHECK_FALSE(decode(cut, partial));
  }
  return method;
}

TEST_CASE("queue_declare_reads_bits_in_order_and_keeps_its_table") {
  const auto bytes = from_hex(kQueueDeclare);
  const auto declare = decode_frame<QueueDeclare>(bytes);
  CHECK(declare.queue == "q1");
  CHECK_FALSE(declare.passive);
  CHECK(declare.durable);
  CHECK_FALSE(declare.exclusive);
  CHECK(declare.auto_delete);
  CHECK_FALSE(declare.no_wait);
  REQUIRE(find(declare.arguments, "x-max-length").has_value());
  CHECK(find(declare.arguments, "x-max-length")->integer == 10);
}

TEST_CASE("methods_round_trip_through_the_bytes_a_client_sends") {
  const auto publish_bytes = from_hex(kBasicPublish);
  const auto publish = decode_frame<BasicPublish>(publish_bytes);
  CHECK(publish.exchange == "ex");
  CHECK(publish.routing_key == "a.b");
  CHECK(publish.mandatory);
  CHECK_FALSE(publish.immediate);

  const auto deliver_bytes = from_hex(kBasicDeliver);
  const auto deliver = decode_frame<BasicDeliver>(deliver_bytes);
  CHECK(deliver.delivery_tag == 258);
  CHECK(deliver.redelivered);
  CHECK(deliver.routing_key == "q");

  const auto nack = decode_frame<BasicNack>(from_hex(kBasicNack));
  CHECK(nack.multiple);
  CHECK_FALSE(nack.requeue);

  const auto tune = decode_frame<ConnectionTuneOk>(from_hex(kTuneOk));
  CHECK(tune.channel_max == 2047);
  CHECK(tune.frame_max == 131'072);
  CHECK(tune.heartbeat == 60);

  const auto exchange_bytes = from_hex(kExchangeDeclare);
  const auto exchange = decode_frame<ExchangeDeclare>(exchange_bytes);
  CHECK(exchange.type == "topic");
  CHECK(exchange.durable);
  CHECK(exchange.internal);

  decode_frame<ExchangeUnbindOk>(from_hex(kUnbindOk));
}

TEST_CASE("bytes_behind_the_last_argument_are_refused") {
  base::Writer out;
  encode(out, BasicAck{.delivery_tag = 1, .multiple = false});
  out.u8(0);
  base::Reader in(out.view());
  CHECK(read_method_id(in) == MethodId::kBasicAck);
  BasicAck ack;
  CHECK_FALSE(decode(in, ack));
}

TEST_CASE("method_ids_name_themselves") {
  CHECK(static_cast<uint32_t>(MethodId::kExchangeUnbindOk) == (40u << 16 | 51));
  CHECK(class_id_of(MethodId::kTxRollbackOk) == 90);
  CHECK(method_id_of(MethodId::kTxRollbackOk) == 31);
  CHECK(std::string(name_of(MethodId::kConnectionUpdateSecretOk)) == "connection.update-secret-ok");
  CHECK(std::string(name_of(static_cast<MethodId>(1))) == "unknown");
  CHECK(is_known(MethodId::kConfirmSelect));
  CHECK_FALSE(is_known(static_cast<MethodId>(40u << 16 | 41)));
  CHECK(has_content(MethodId::kBasicPublish));
  CHECK_FALSE(has_content(MethodId::kBasicGet));
}

TEST_CASE("a_reply_text_longer_than_a_shortstr_is_clipped_between_characters") {
  const std::string fits(kShortstrBytesMax, 'x');
  CHECK(clip_to_shortstr(fits).size() == kShortstrBytesMax);
  const std::string over(kShortstrBytesMax + 1, 'x');
  CHECK(clip_to_shortstr(over).size() == kShortstrBytesMax);
  const std::string split = std::string(kShortstrBytesMax - 1, 'x') + "\xC3\xA9";
  CHECK(clip_to_shortstr(split).size() == kShortstrBytesMax - 1);

  base::Writer out;
  encode(out, ChannelClose{.reply_code = 404, .reply_text = over});
  base::Reader in(out.view());
  read_method_id(in);
  ChannelClose close;
  REQUIRE(decode(in, close));
  CHECK(close.reply_text.size() == kShortstrBytesMax);
}

}  // namespace
}  // namespace polylog::amqp
