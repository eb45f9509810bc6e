// The few AMQP 0-9-1 frames that a load client needs, on channel 1.
//
//   frame   | type u8 | channel u16 | size u32 | payload (size bytes) | 0xCE |
//   method    payload = | class u16 | method u16 | arguments |
//   header    payload = | class u16 | 0 u16 | body size u64 | flags u16 | properties |
//
// Requests wait for their reply; connections must still be blocking then.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "bench/support/socket.h"

namespace polylog::bench::amqp {

constexpr uint8_t frame_method = 1;
constexpr uint8_t frame_header = 2;
constexpr uint8_t frame_body = 3;

constexpr uint32_t method_id(uint16_t class_id, uint16_t method) { return uint32_t{class_id} << 16 | method; }
constexpr uint32_t basic_deliver = method_id(60, 60);
constexpr uint32_t basic_ack = method_id(60, 80);

uint32_t read_u32(std::string_view bytes);
uint64_t read_u64(std::string_view bytes);

struct Frame {
  uint8_t type;
  std::string_view payload;
  size_t size;  // with the envelope

  uint32_t method() const { return read_u32(payload); }
  std::string_view arguments() const { return payload.substr(4); }
};

// Nothing while the frame is incomplete.
std::optional<Frame> next_frame(std::string_view bytes);

// Ends the program when the frame closes the channel or the connection, showing the server's reason.
void exit_on_close(const Frame& frame);

// Connects, logs in as guest and opens channel 1.
void open_channel(Socket& socket, uint16_t port);
void delete_queue(Socket& socket, std::string_view queue);
void declare_durable_queue(Socket& socket, std::string_view queue, std::string_view type);
void select_confirms(Socket& socket);
void consume(Socket& socket, std::string_view queue, uint16_t prefetch);

// All frames of one persistent message through the default exchange. The body is the last `size` bytes but one.
std::string persistent_message(std::string_view queue, size_t size);
// Acknowledges everything delivered up to `tag`.
void append_ack(std::string& out, uint64_t tag);

}  // namespace polylog::bench::amqp
