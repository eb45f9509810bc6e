#include "bench/support/amqp_wire.h"

#include <cstdio>
#include <cstdlib>

#include "load/amqp/links.h"

namespace polylog::bench::amqp {
namespace {

using load::amqp::Frame;

// Sends what is in the output, then carries on with the script until it is done.
void converse(Socket& socket, load::amqp::Script script) {
  socket.flush();
  while (!script.done()) {
    while (const auto frame = next_frame(socket.input())) {
      exit_on_close(*frame);
      if (!script.on_frame(*frame, socket.output)) std::exit(1);
      socket.consume(frame->size);
    }
    socket.flush();
    if (!script.done()) socket.fill();
  }
}

}  // namespace

std::optional<Frame> next_frame(std::string_view bytes) {
  auto frame = load::amqp::next_frame(bytes);
  if (frame) return *frame;
  std::fprintf(stderr, "%s\n", frame.error().text.c_str());
  std::exit(1);
}

void exit_on_close(const Frame& frame) {
  const auto reason = load::amqp::closing(frame);
  if (!reason) return;
  std::fprintf(stderr, "the server closed: %.*s\n", static_cast<int>(reason->text.size()), reason->text.data());
  std::exit(1);
}

void open_channel(Socket& socket, uint16_t port) {
  socket.connect(port);
  load::amqp::put_protocol_header(socket.output);
  uint32_t frame_bytes_max = 0;
  converse(socket, load::amqp::Script::login({}, frame_bytes_max));
}

void delete_queue(Socket& socket, std::string_view queue) {
  load::amqp::put_queue_delete(socket.output, queue);
  converse(socket, load::amqp::Script::reply(load::amqp::kQueueDeleteOk));
}

void declare_durable_queue(Socket& socket, std::string_view queue, std::string_view type) {
  load::amqp::put_queue_declare(socket.output, queue, {.type = std::string(type)});
  converse(socket, load::amqp::Script::reply(load::amqp::kQueueDeclareOk));
}

void select_confirms(Socket& socket) {
  load::amqp::put_confirm_select(socket.output);
  converse(socket, load::amqp::Script::reply(load::amqp::kConfirmSelectOk));
}

void consume(Socket& socket, std::string_view queue, uint16_t prefetch) {
  load::amqp::put_qos(socket.output, prefetch);
  converse(socket, load::amqp::Script::reply(load::amqp::kBasicQosOk));
  load::amqp::put_consume(socket.output, queue, "bench");
  converse(socket, load::amqp::Script::reply(load::amqp::kBasicConsumeOk));
}

}  // namespace polylog::bench::amqp
