#include "load/process_usage.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace polylog::load {
namespace {

TEST_CASE("process usage: this process has used something") {
  const auto self = ProcessUsage::of(getpid());
  REQUIRE(self);
  CHECK(self->alive());
  CHECK(self->resident_bytes() > 100'000);
  CHECK_FALSE(ProcessUsage::of(0));
  CHECK(ProcessUsage::of(INT32_MAX).error().code == base::ErrorCode::kNotFound);
}

TEST_CASE("process usage: who listens on a port is found, and only while it does") {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const uint16_t port = ntohs(address.sin_port);
  CHECK_FALSE(pid_listening_on(port));
  REQUIRE(::listen(fd, 1) == 0);
  CHECK(pid_listening_on(port) == getpid());
  ::close(fd);
}

}  // namespace
}  // namespace polylog::load
