// Socket: a non-blocking TCP connection with an output string and an input buffer, for load clients.
//
// After an error it is of no use until it is connected again. Not for: TLS, listening.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace polylog::load {

// Where to connect: resolved, so that reconnecting asks nobody.
struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  std::string text;    // HOST:PORT as it was given
  bool local = false;  // this machine
};

Address loopback(uint16_t port);

class Socket {
 public:
  Socket() = default;
  ~Socket() { close(); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Begins; poll for POLLOUT, then ask finish_connect() whether it worked.
  base::Result<> begin_connect(const Address& address);
  base::Result<> finish_connect();
  // Both, waiting. kTimeout when it takes longer.
  base::Result<> connect(const Address& address, uint64_t timeout_ns);
  void close();

  int fd() const { return fd_; }
  // Both ends have one address: the peer runs on this machine.
  bool peer_is_local() const;

  // Waits until one of these poll events has come; false: time is up.
  bool wait(short events, uint64_t timeout_ns) const;
  // Sends what the kernel takes. Afterwards `blocked` says whether something is left.
  base::Result<> flush();
  // Reads once. False when nothing was there; kIo when the peer has closed.
  base::Result<bool> fill();

  std::string_view input() const { return {input_.data(), have_}; }
  void consume(size_t bytes);

  std::string output;
  bool blocked = false;

 private:
  int fd_ = -1;
  size_t sent_ = 0;
  size_t have_ = 0;
  std::vector<char> input_;
};

// The first address of the host that takes a connection within the time. kNotFound: no such host. kIo, kTimeout.
base::Result<Address> reach(const std::string& host, uint16_t port, uint64_t timeout_ns);

}  // namespace polylog::load
