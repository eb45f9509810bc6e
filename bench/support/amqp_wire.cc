#include "bench/support/amqp_wire.h"

#include <cstdio>
#include <cstdlib>

namespace polylog::bench::amqp {
namespace {

constexpr char frame_end = static_cast<char>(0xCE);
constexpr size_t envelope_bytes = 8;

constexpr uint32_t connection_start = method_id(10, 10);
constexpr uint32_t connection_start_ok = method_id(10, 11);
constexpr uint32_t connection_tune = method_id(10, 30);
constexpr uint32_t connection_tune_ok = method_id(10, 31);
constexpr uint32_t connection_open = method_id(10, 40);
constexpr uint32_t connection_open_ok = method_id(10, 41);
constexpr uint32_t connection_close = method_id(10, 50);
constexpr uint32_t channel_open = method_id(20, 10);
constexpr uint32_t channel_open_ok = method_id(20, 11);
constexpr uint32_t channel_close = method_id(20, 40);
constexpr uint32_t queue_declare = method_id(50, 10);
constexpr uint32_t queue_declare_ok = method_id(50, 11);
constexpr uint32_t queue_delete = method_id(50, 40);
constexpr uint32_t queue_delete_ok = method_id(50, 41);
constexpr uint32_t basic_qos = method_id(60, 10);
constexpr uint32_t basic_qos_ok = method_id(60, 11);
constexpr uint32_t basic_consume = method_id(60, 20);
constexpr uint32_t basic_consume_ok = method_id(60, 21);
constexpr uint32_t basic_publish = method_id(60, 40);
constexpr uint32_t confirm_select = method_id(85, 10);
constexpr uint32_t confirm_select_ok = method_id(85, 11);

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
  out += frame_end;
}

std::string method(uint32_t id) {
  std::string payload;
  put_u32(payload, id);
  return payload;
}

void put_method(Socket& socket, uint16_t channel, const std::string& payload) {
  put_frame(socket.output, frame_method, channel, payload);
}

void wait_for(Socket& socket, uint32_t reply) {
  socket.flush();
  for (;;) {
    while (const auto frame = next_frame(socket.input())) {
      const bool found = frame->type == frame_method && frame->method() == reply;
      if (frame->type == frame_method) exit_on_close(*frame);
      socket.consume(frame->size);
      if (found) return;
    }
    socket.fill();
  }
}

}  // namespace

uint32_t read_u32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; i++) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

uint64_t read_u64(std::string_view bytes) { return uint64_t{read_u32(bytes)} << 32 | read_u32(bytes.substr(4)); }

std::optional<Frame> next_frame(std::string_view bytes) {
  if (bytes.size() < envelope_bytes) return std::nullopt;
  const size_t payload_bytes = read_u32(bytes.substr(3));
  if (bytes.size() < payload_bytes + envelope_bytes) return std::nullopt;
  return Frame{static_cast<uint8_t>(bytes[0]), bytes.substr(7, payload_bytes), payload_bytes + envelope_bytes};
}

void exit_on_close(const Frame& frame) {
  if (frame.method() != connection_close && frame.method() != channel_close) return;
  const std::string_view reason = frame.arguments().substr(3);
  std::fprintf(stderr, "the server closed: %.*s\n", static_cast<int>(reason.size()), reason.data());
  std::exit(1);
}

void open_channel(Socket& socket, uint16_t port) {
  socket.connect(port);
  socket.output = std::string("AMQP\0\0\x09\x01", 8);
  wait_for(socket, connection_start);

  std::string login = method(connection_start_ok);
  put_long_string(login, "");
  put_short_string(login, "PLAIN");
  put_long_string(login, std::string_view("\0guest\0guest", 12));
  put_short_string(login, "en_US");
  put_method(socket, 0, login);
  wait_for(socket, connection_tune);

  std::string tune = method(connection_tune_ok);
  put_u16(tune, 2047);
  put_u32(tune, 128 << 10);
  put_u16(tune, 0);  // no heartbeats: the load itself shows that both ends live
  put_method(socket, 0, tune);
  std::string open = method(connection_open);
  put_short_string(open, "/");
  put_short_string(open, "");
  put_u8(open, 0);
  put_method(socket, 0, open);
  wait_for(socket, connection_open_ok);

  std::string channel = method(channel_open);
  put_short_string(channel, "");
  put_method(socket, 1, channel);
  wait_for(socket, channel_open_ok);
}

void delete_queue(Socket& socket, std::string_view queue) {
  std::string payload = method(queue_delete);
  put_u16(payload, 0);
  put_short_string(payload, queue);
  put_u8(payload, 0);
  put_method(socket, 1, payload);
  wait_for(socket, queue_delete_ok);
}

void declare_durable_queue(Socket& socket, std::string_view queue, std::string_view type) {
  constexpr uint8_t durable = 2;
  std::string arguments;
  put_short_string(arguments, "x-queue-type");
  arguments += 'S';
  put_long_string(arguments, type);
  std::string payload = method(queue_declare);
  put_u16(payload, 0);
  put_short_string(payload, queue);
  put_u8(payload, durable);
  put_long_string(payload, arguments);
  put_method(socket, 1, payload);
  wait_for(socket, queue_declare_ok);
}

void select_confirms(Socket& socket) {
  std::string payload = method(confirm_select);
  put_u8(payload, 0);
  put_method(socket, 1, payload);
  wait_for(socket, confirm_select_ok);
}

void consume(Socket& socket, std::string_view queue, uint16_t prefetch) {
  std::string qos = method(basic_qos);
  put_u32(qos, 0);
  put_u16(qos, prefetch);
  put_u8(qos, 0);
  put_method(socket, 1, qos);
  wait_for(socket, basic_qos_ok);

  std::string payload = method(basic_consume);
  put_u16(payload, 0);
  put_short_string(payload, queue);
  put_short_string(payload, "bench");
  put_u8(payload, 0);
  put_u32(payload, 0);
  put_method(socket, 1, payload);
  wait_for(socket, basic_consume_ok);
}

std::string persistent_message(std::string_view queue, size_t size) {
  constexpr uint16_t has_delivery_mode = 0x1000;
  constexpr uint8_t persistent = 2;
  std::string out;
  std::string payload = method(basic_publish);
  put_u16(payload, 0);
  put_short_string(payload, "");
  put_short_string(payload, queue);
  put_u8(payload, 0);
  put_frame(out, frame_method, 1, payload);

  std::string header;
  put_u16(header, 60);
  put_u16(header, 0);
  put_u64(header, size);
  put_u16(header, has_delivery_mode);
  put_u8(header, persistent);
  put_frame(out, frame_header, 1, header);

  std::string body(size, 'x');
  for (size_t i = 0; i < size; i++) body[i] = static_cast<char>('a' + i % 23);
  put_frame(out, frame_body, 1, body);
  return out;
}

void append_ack(std::string& out, uint64_t tag) {
  std::string payload = method(basic_ack);
  put_u64(payload, tag);
  put_u8(payload, 1);
  put_frame(out, frame_method, 1, payload);
}

}  // namespace polylog::bench::amqp
