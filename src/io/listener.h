// listen(): accepts TCP connections on one core. Each core that is to accept calls it itself, from its own thread or
// before the group runs; with several cores the kernel spreads connections among their sockets (SO_REUSEPORT).
//
// Core 0 goes first: it makes sure that no other process has the port (sharing would let two brokers steal each other's
// connections silently), and with port 0 it picks a free one; the others then listen on its port().
// The Listener is destroyed before its core, on that core's thread or when the core has stopped.
// Connections over kConnectionsPerCoreMax are closed at once, and so are those over `connections_max` among the ones that
// `traffic` counts. Blocks while a host name is looked up.
#pragma once

#include <memory>

#include "base/limits.h"
#include "io/core.h"
#include "io/net.h"

namespace polylog::io {

base::Result<std::unique_ptr<Listener>> listen(Core& core, const Endpoint& endpoint, HandlerFactory factory,
                                               Traffic* traffic = nullptr,  // outlives the core
                                               size_t connections_max = base::limits::kConnectionsPerCoreMax);

}  // namespace polylog::io
