#include "load/amqp/wire.h"

#include <algorithm>

namespace polylog::load::amqp {
namespace {

constexpr char kFrameEnd = static_cast<char>(0xCE);
constexpr uint8_t kFrameTypeMax = 8;  // heartbeat
constexpr size_t kPayloadBytesMax = 16 << 20;
constexpr uint16_t kChannel = 1;

constexpr uint32_t kConnectionStartOk = method_id(10, 11);
constexpr uint32_t kConnectionTuneOk = method_id(10, 31);
constexpr uint32_t kConnectionOpen = method_id(10, 40);
constexpr uint32_t kChannelOpen = method_id(20, 10);
constexpr uint32_t kQueueDeclare = method_id(50, 10);
constexpr uint32_t kQueueDelete = method_id(50, 40);
constexpr uint32_t kBasicQos = method_id(60, 10);
constexpr uint32_t kBasicConsume = method_id(60, 20);
constexpr uint32_t kBasicPublish = method_id(60, 40);
constexpr uint32_t kConfirmSelect = method_id(85, 10);

void put_u8(std::string& out, uint8_t value) { out.push_back(static_cast<char>(value)); }
void put_u16(std::string& out, uint16_t value) {
  put_u8(out, static_cast<uint8_t>(value >> 8));
  put_u8(out, static_cast<uint8_t>(value));
}
void put_u32(std::string& out, uint32_t value) {
  put_u16(out, static_cast<uint16_t>(value >> 16));
  put_u16(out, static_cast<uint16_t>(value));
}
void put_u64(std::string& out, uint64_t value) {
  put_u32(out, static_cast<uint32_t>(value >> 32));
  put_u32(out, static_cast<uint32_t>(value));
}
void put_short_string(std::string& out, std::string_view text) {
  put_u8(out, static_cast<uint8_t>(text.size()));
  out += text;
}
void put_long_string(std::string& out, std::string_view text) {
  put_u32(out, static_cast<uint32_t>(text.size()));
  out += text;
}

void put_frame(std::string& out, uint8_t type, uint16_t channel, std::string_view payload) {
  put_u8(out, type);
  put_u16(out, channel);
  put_u32(out, static_cast<uint32_t>(payload.size()));
  out += payload;
  out += kFrameEnd;
}

std::string method(uint32_t id) {
  std::string payload;
  put_u32(payload, id);
  return payload;
}

void put_method(std::string& out, uint16_t channel, std::string_view payload) {
  put_frame(out, kFrameMethod, channel, payload);
}

void put_flag(std::string& table, std::string_view name) {
  put_short_string(table, name);
  table += "t\1";
}

uint16_t read_u16(std::string_view bytes) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[0]) << 8 | static_cast<uint8_t>(bytes[1]));
}

}  // namespace

uint32_t read_u32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; i++) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

uint64_t read_u64(std::string_view bytes) { return uint64_t{read_u32(bytes)} << 32 | read_u32(bytes.substr(4)); }

base::Result<std::optional<Frame>> next_frame(std::string_view bytes) {
  if (bytes.size() < kEnvelopeBytes) return std::nullopt;
  const auto type = static_cast<uint8_t>(bytes[0]);
  const size_t payload_bytes = read_u32(bytes.substr(3));
  if (type > kFrameTypeMax || payload_bytes > kPayloadBytesMax) {
    return base::fail(base::ErrorCode::kMalformed, "what the server sends is not AMQP 0-9-1");
  }
  if (bytes.size() < payload_bytes + kEnvelopeBytes) return std::nullopt;
  return Frame{type, bytes.substr(7, payload_bytes), payload_bytes + kEnvelopeBytes};
}

// | code u16 | text short string | class u16 | method u16 |
std::optional<Closing> closing(const Frame& frame) {
  if (frame.method() != kConnectionClose && frame.method() != kChannelClose) return std::nullopt;
  const std::string_view arguments = frame.arguments();
  if (arguments.size() < 3) return Closing{0, {}};
  return Closing{read_u16(arguments), arguments.substr(3, static_cast<uint8_t>(arguments[2]))};
}

std::optional<Confirmation> confirmation(const Frame& frame) {
  const std::string_view arguments = frame.arguments();
  if (arguments.size() < 9) return std::nullopt;
  return Confirmation{read_u64(arguments), (arguments[8] & 1) != 0};
}

// | consumer tag short string | tag u64 | ...
std::optional<uint64_t> delivery_tag(const Frame& deliver) {
  const std::string_view arguments = deliver.arguments();
  const size_t at = arguments.empty() ? 0 : 1 + size_t{static_cast<uint8_t>(arguments[0])};
  if (arguments.size() < at + 8) return std::nullopt;
  return read_u64(arguments.substr(at));
}

void put_protocol_header(std::string& out) { out += std::string_view("AMQP\0\0\x09\x01", 8); }

void put_start_ok(std::string& out, std::string_view user, std::string_view password) {
  std::string capabilities;
  put_flag(capabilities, "authentication_failure_close");  // so that a wrong password is told, not only hung up on
  put_flag(capabilities, "basic.nack");
  put_flag(capabilities, "consumer_cancel_notify");
  std::string properties;
  put_short_string(properties, "capabilities");
  properties += 'F';
  put_long_string(properties, capabilities);
  std::string login = method(kConnectionStartOk);
  put_long_string(login, properties);
  put_short_string(login, "PLAIN");
  put_long_string(login, std::string(1, '\0').append(user).append(1, '\0').append(password));
  put_short_string(login, "en_US");
  put_method(out, 0, login);
}

// | channels max u16 | frame bytes max u32 | heartbeat u16 |; 0: no limit
uint32_t put_tune_ok_and_open(std::string& out, const Frame& tune) {
  uint32_t frame_bytes = kFrameBytesMax;
  uint16_t channels = 0;
  if (const std::string_view asked = tune.arguments(); asked.size() >= 6) {
    channels = read_u16(asked);
    if (const uint32_t theirs = read_u32(asked.substr(2)); theirs > 0)
      frame_bytes = std::clamp(theirs, kFrameBytesMin, kFrameBytesMax);
  }
  std::string tune_ok = method(kConnectionTuneOk);
  put_u16(tune_ok, channels);
  put_u32(tune_ok, frame_bytes);
  put_u16(tune_ok, 0);
  put_method(out, 0, tune_ok);
  std::string open = method(kConnectionOpen);
  put_short_string(open, "/");
  put_short_string(open, "");
  put_u8(open, 0);
  put_method(out, 0, open);
  return frame_bytes;
}

void put_channel_open(std::string& out) {
  std::string payload = method(kChannelOpen);
  put_short_string(payload, "");
  put_method(out, kChannel, payload);
}

void put_queue_declare(std::string& out, std::string_view queue, const QueueKind& kind) {
  constexpr uint8_t kDurable = 2;
  std::string arguments;
  put_short_string(arguments, "x-queue-type");
  arguments += 'S';
  put_long_string(arguments, kind.type);
  std::string payload = method(kQueueDeclare);
  put_u16(payload, 0);
  put_short_string(payload, queue);
  put_u8(payload, kind.durable ? kDurable : 0);
  put_long_string(payload, arguments);
  put_method(out, kChannel, payload);
}

void put_queue_declare_passive(std::string& out, std::string_view queue) {
  constexpr uint8_t kPassive = 1;
  std::string payload = method(kQueueDeclare);
  put_u16(payload, 0);
  put_short_string(payload, queue);
  put_u8(payload, kPassive);
  put_long_string(payload, "");
  put_method(out, kChannel, payload);
}

void put_queue_delete(std::string& out, std::string_view queue) {
  std::string payload = method(kQueueDelete);
  put_u16(payload, 0);
  put_short_string(payload, queue);
  put_u8(payload, 0);
  put_method(out, kChannel, payload);
}

void put_confirm_select(std::string& out) {
  std::string payload = method(kConfirmSelect);
  put_u8(payload, 0);
  put_method(out, kChannel, payload);
}

void put_qos(std::string& out, uint16_t prefetch) {
  std::string payload = method(kBasicQos);
  put_u32(payload, 0);
  put_u16(payload, prefetch);
  put_u8(payload, 0);
  put_method(out, kChannel, payload);
}

void put_consume(std::string& out, std::string_view queue, std::string_view tag) {
  std::string payload = method(kBasicConsume);
  put_u16(payload, 0);
  put_short_string(payload, queue);
  put_short_string(payload, tag);
  put_u8(payload, 0);
  put_u32(payload, 0);
  put_method(out, kChannel, payload);
}

MessageFrames message_frames(std::string_view queue, size_t body_bytes, bool persistent, uint32_t frame_bytes_max) {
  constexpr uint16_t kHasDeliveryMode = 0x1000;
  MessageFrames message;
  std::string publish = method(kBasicPublish);
  put_u16(publish, 0);
  put_short_string(publish, "");
  put_short_string(publish, queue);
  put_u8(publish, 0);
  put_method(message.bytes, kChannel, publish);

  std::string header;
  put_u16(header, 60);
  put_u16(header, 0);
  put_u64(header, body_bytes);
  put_u16(header, kHasDeliveryMode);
  put_u8(header, persistent ? 2 : 1);
  put_frame(message.bytes, kFrameHeader, kChannel, header);

  std::string body(body_bytes, 'x');
  for (size_t i = 0; i < body_bytes; i++) body[i] = static_cast<char>('a' + i % 23);
  message.body_at = message.bytes.size() + kEnvelopeBytes - 1;
  const size_t piece_bytes = frame_bytes_max - kEnvelopeBytes;
  for (size_t at = 0; at < body_bytes; at += piece_bytes) {
    put_frame(message.bytes, kFrameBody, kChannel, std::string_view(body).substr(at, piece_bytes));
  }
  return message;
}

void put_ack(std::string& out, uint64_t tag) {
  std::string payload = method(kBasicAck);
  put_u64(payload, tag);
  put_u8(payload, 1);
  put_method(out, kChannel, payload);
}

}  // namespace polylog::load::amqp
