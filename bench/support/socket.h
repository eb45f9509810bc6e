// A TCP connection to this machine with an output string and an input buffer. Blocking until set_nonblocking().
// Any failure ends the program: a load client has nothing to recover.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace polylog::bench {

class Socket {
 public:
  void connect(uint16_t port);
  void set_nonblocking();
  int fd() const { return fd_; }

  // Sends what the kernel takes. Afterwards `blocked` says whether something is left.
  void flush();
  // Reads once. False when nothing was there.
  bool fill();

  std::string_view input() const { return {input_.data(), have_}; }
  void consume(size_t bytes);

  std::string output;
  bool blocked = false;

 private:
  int fd_ = -1;
  size_t sent_ = 0;
  size_t have_ = 0;
  std::vector<char> input_ = std::vector<char>(256 << 10);
};

}  // namespace polylog::bench
