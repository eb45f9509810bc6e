#include "load/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "load/clock.h"

namespace polylog::load {
namespace {

using base::ErrorCode;

constexpr size_t kInputBytesFirst = 256 << 10;
// A peer that vanished without a word is given up after this long with unacknowledged bytes.
constexpr unsigned kSilenceMsMax = 10'000;

std::unexpected<base::Error> failed(int error) { return base::fail(ErrorCode::kIo, std::strerror(error)); }

// The address without its port.
std::string host_bytes(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
    return {reinterpret_cast<const char*>(&v4.sin_addr), sizeof v4.sin_addr};
  }
  const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
  return {reinterpret_cast<const char*>(&v6.sin6_addr), sizeof v6.sin6_addr};
}

}  // namespace

Address loopback(uint16_t port) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Address address{.size = sizeof v4, .text = fmt::format("127.0.0.1:{}", port), .local = true};
  std::memcpy(&address.storage, &v4, sizeof v4);
  return address;
}

base::Result<> Socket::begin_connect(const Address& address) {
  close();
  if (input_.empty()) input_.resize(kInputBytesFirst);
  fd_ = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) return failed(errno);
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd_, IPPROTO_TCP, TCP_USER_TIMEOUT, &kSilenceMsMax, sizeof kSilenceMsMax);
  const int result = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address.storage), address.size);
  if (result != 0 && errno != EINPROGRESS) return failed(errno);
  return {};
}

base::Result<> Socket::finish_connect() {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return failed(error);
  return {};
}

base::Result<> Socket::connect(const Address& address, uint64_t timeout_ns) {
  TRY(begin_connect(address));
  if (!wait(POLLOUT, timeout_ns)) return base::fail(ErrorCode::kTimeout, "no answer");
  return finish_connect();
}

void Socket::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  output.clear();
  blocked = false;
  sent_ = have_ = 0;
}

bool Socket::peer_is_local() const {
  sockaddr_storage own{}, peer{};
  socklen_t own_size = sizeof own, peer_size = sizeof peer;
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &own_size) != 0) return false;
  if (getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) return false;
  return own.ss_family == peer.ss_family && host_bytes(own) == host_bytes(peer);
}

bool Socket::wait(short events, uint64_t timeout_ns) const {
  pollfd waiting{.fd = fd_, .events = events, .revents = 0};
  const timespec timeout = timespec_of(timeout_ns);
  return ppoll(&waiting, 1, &timeout, nullptr) > 0;
}

base::Result<> Socket::flush() {
  blocked = false;
  while (sent_ < output.size()) {
    const ssize_t bytes = ::send(fd_, output.data() + sent_, output.size() - sent_, MSG_NOSIGNAL);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0 && errno == EAGAIN) {
      blocked = true;
      return {};
    }
    if (bytes < 0) return failed(errno);
    sent_ += static_cast<size_t>(bytes);
  }
  output.clear();
  sent_ = 0;
  return {};
}

base::Result<bool> Socket::fill() {
  if (have_ == input_.size()) input_.resize(input_.size() * 2);
  const ssize_t bytes = ::recv(fd_, input_.data() + have_, input_.size() - have_, 0);
  if (bytes < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (bytes < 0) return failed(errno);
  if (bytes == 0) return base::fail(ErrorCode::kIo, "the server closed the connection");
  have_ += static_cast<size_t>(bytes);
  return true;
}

void Socket::consume(size_t bytes) {
  have_ -= bytes;
  if (have_ > 0) std::memmove(input_.data(), input_.data() + bytes, have_);
}

base::Result<Address> reach(const std::string& host, uint16_t port, uint64_t timeout_ns) {
  const std::string text = fmt::format("{}:{}", host, port);
  const addrinfo hints{.ai_flags = AI_NUMERICSERV, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
  addrinfo* list = nullptr;
  if (const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list); error != 0) {
    return base::fail(ErrorCode::kNotFound, fmt::format("{}: {}", text, gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> found(list, freeaddrinfo);
  base::Error last{ErrorCode::kNotFound, "has no address"};
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    Address address{.size = at->ai_addrlen, .text = text};
    std::memcpy(&address.storage, at->ai_addr, at->ai_addrlen);
    Socket socket;
    const auto connected = socket.connect(address, timeout_ns);
    address.local = connected && socket.peer_is_local();
    if (connected) return address;
    last = connected.error();
  }
  return base::fail(last.code, fmt::format("{}: {}", text, last.text));
}

}  // namespace polylog::load
