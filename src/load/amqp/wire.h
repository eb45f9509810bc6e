// The few AMQP 0-9-1 frames of a load client: all on channel 1, but those of the connection itself on channel 0.
//
//   frame   | type u8 | channel u16 | size u32 | payload (size bytes) | 0xCE |
//   method    payload = | class u16 | method u16 | arguments |
//   header    payload = | class u16 | 0 u16 | body size u64 | flags u16 | properties |
//
// Functions that write a frame append it whole to `out`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace polylog::load::amqp {

inline constexpr uint8_t kFrameMethod = 1;
inline constexpr uint8_t kFrameHeader = 2;
inline constexpr uint8_t kFrameBody = 3;
inline constexpr uint32_t kFrameBytesMin = 4096;  // what the protocol grants; a server that says less is not believed
inline constexpr uint32_t kFrameBytesMax = 128 << 10;  // what is asked for; the server may say less
inline constexpr size_t kEnvelopeBytes = 8;

constexpr uint32_t method_id(uint16_t class_id, uint16_t method) { return uint32_t{class_id} << 16 | method; }
inline constexpr uint32_t kConnectionStart = method_id(10, 10);
inline constexpr uint32_t kConnectionTune = method_id(10, 30);
inline constexpr uint32_t kConnectionOpenOk = method_id(10, 41);
inline constexpr uint32_t kConnectionClose = method_id(10, 50);
inline constexpr uint32_t kChannelOpenOk = method_id(20, 11);
inline constexpr uint32_t kChannelClose = method_id(20, 40);
inline constexpr uint32_t kQueueDeclareOk = method_id(50, 11);
inline constexpr uint32_t kQueueDeleteOk = method_id(50, 41);
inline constexpr uint32_t kBasicQosOk = method_id(60, 11);
inline constexpr uint32_t kBasicConsumeOk = method_id(60, 21);
inline constexpr uint32_t kBasicCancel = method_id(60, 30);
inline constexpr uint32_t kBasicDeliver = method_id(60, 60);
inline constexpr uint32_t kBasicAck = method_id(60, 80);
inline constexpr uint32_t kBasicNack = method_id(60, 120);
inline constexpr uint32_t kConfirmSelectOk = method_id(85, 11);

inline constexpr uint16_t kReplyNotFound = 404;

uint32_t read_u32(std::string_view bytes);
uint64_t read_u64(std::string_view bytes);

struct Frame {
  uint8_t type;
  std::string_view payload;
  size_t size;  // with the envelope

  // 0: it is no method.
  uint32_t method() const { return type == kFrameMethod && payload.size() >= 4 ? read_u32(payload) : 0; }
  std::string_view arguments() const { return payload.substr(4); }
};

// Nothing while the frame is incomplete. kMalformed: no frame begins here.
base::Result<std::optional<Frame>> next_frame(std::string_view bytes);

// Of connection.close and channel.close.
struct Closing {
  uint16_t code;
  std::string_view text;
};
std::optional<Closing> closing(const Frame& frame);

// Tag and multiple of basic.ack and basic.nack; nothing: too short.
struct Confirmation {
  uint64_t tag;
  bool multiple;
};
std::optional<Confirmation> confirmation(const Frame& frame);
std::optional<uint64_t> delivery_tag(const Frame& deliver);

void put_protocol_header(std::string& out);
void put_start_ok(std::string& out, std::string_view user, std::string_view password);
// Answers connection.tune, without heartbeats (the load itself shows that both ends live), and opens vhost "/". Returns
// the frame size agreed on.
uint32_t put_tune_ok_and_open(std::string& out, const Frame& tune);
void put_channel_open(std::string& out);

struct QueueKind {
  std::string type = "classic";
  bool durable = true;
};
void put_queue_declare(std::string& out, std::string_view queue, const QueueKind& kind);
void put_queue_declare_passive(std::string& out, std::string_view queue);
void put_queue_delete(std::string& out, std::string_view queue);
void put_confirm_select(std::string& out);
void put_qos(std::string& out, uint16_t prefetch);
void put_consume(std::string& out, std::string_view queue, std::string_view tag);

// All frames of a message through the default exchange, as a template: the body begins at `body_at` (its first frame holds
// at least the first kilobyte, or all of it).
struct MessageFrames {
  std::string bytes;
  size_t body_at = 0;
};
MessageFrames message_frames(std::string_view queue, size_t body_bytes, bool persistent, uint32_t frame_bytes_max);
// Acknowledges everything delivered up to `tag`.
void put_ack(std::string& out, uint64_t tag);

}  // namespace polylog::load::amqp
