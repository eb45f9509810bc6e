#include "bench/support/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace polylog::bench {
namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

}  // namespace

void Socket::connect(uint16_t port) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("connect");
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void Socket::set_nonblocking() { fcntl(fd_, F_SETFL, O_NONBLOCK); }

void Socket::flush() {
  blocked = false;
  while (sent_ < output.size()) {
    const ssize_t bytes = send(fd_, output.data() + sent_, output.size() - sent_, MSG_NOSIGNAL);
    if (bytes < 0 && errno == EAGAIN) {
      blocked = true;
      return;
    }
    if (bytes < 0) fail("send");
    sent_ += static_cast<size_t>(bytes);
  }
  output.clear();
  sent_ = 0;
}

bool Socket::fill() {
  if (have_ == input_.size()) input_.resize(input_.size() * 2);
  const ssize_t bytes = recv(fd_, input_.data() + have_, input_.size() - have_, 0);
  if (bytes < 0 && errno == EAGAIN) return false;
  if (bytes < 0) fail("recv");
  if (bytes == 0) {
    std::fprintf(stderr, "the server closed the connection\n");
    std::exit(1);
  }
  have_ += static_cast<size_t>(bytes);
  return true;
}

void Socket::consume(size_t bytes) {
  have_ -= bytes;
  if (have_ > 0) std::memmove(input_.data(), input_.data() + bytes, have_);
}

}  // namespace polylog::bench
