// The load tool's AMQP 0-9-1, as a client speaks it that waits for each reply and ends when something is wrong.
// Connections must still be blocking.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "bench/support/socket.h"
#include "load/amqp/wire.h"

namespace polylog::bench::amqp {

// Ends the program when what stands there is no frame.
std::optional<load::amqp::Frame> next_frame(std::string_view bytes);
// Ends the program when the frame closes the channel or the connection, showing the server's reason.
void exit_on_close(const load::amqp::Frame& frame);

// Connects, logs in as guest and opens channel 1.
void open_channel(Socket& socket, uint16_t port);
void delete_queue(Socket& socket, std::string_view queue);
void declare_durable_queue(Socket& socket, std::string_view queue, std::string_view type);
void select_confirms(Socket& socket);
void consume(Socket& socket, std::string_view queue, uint16_t prefetch);

}  // namespace polylog::bench::amqp
