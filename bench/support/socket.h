// A TCP connection to this machine: the load tool's, blocking until set_nonblocking().
// Any failure ends the program: a load program has nothing to recover.
#pragma once

#include <cstdint>

#include "load/socket.h"

namespace polylog::bench {

class Socket : public load::Socket {
 public:
  void connect(uint16_t port);
  void set_nonblocking() { waits_ = false; }

  // Sends what the kernel takes. Afterwards `blocked` says whether something is left.
  void flush();
  // Reads once. False when nothing was there.
  bool fill();

 private:
  bool waits_ = true;
};

}  // namespace polylog::bench
