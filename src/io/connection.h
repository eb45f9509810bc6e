// An accepted socket as a Connection on one core. States:
//
//   open ── close_after_flush(), peer's FIN ──► flushing ── all sent ──► lingering ── peer's FIN, 1 s ──► closed
//     └────── close_now(), error, 30 s without write progress, 5 s of flushing ─────────────────────────────┘
//
// Lingering (our FIN is sent, input is thrown away) keeps the kernel from answering late input with a reset, which could
// destroy the last reply before the peer reads it. It is skipped when the peer's FIN was the cause.
// While reading is paused a peer's FIN goes unnoticed; a failing write still closes.
// The core owns the connection and destroys it after on_closed().
#pragma once

#include <memory>
#include <string>

#include "io/core.h"
#include "io/net.h"

namespace polylog::io {

struct Peer {
  std::string text;
  bool is_loopback = false;
};

// Takes the file descriptor. The handler sees on_open() before this returns. `traffic` may be null and outlives the core.
void open_connection(Core& core, int fd, Peer peer, std::unique_ptr<Handler> handler, Traffic* traffic = nullptr);

}  // namespace polylog::io
