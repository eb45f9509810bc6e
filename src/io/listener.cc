#include "io/listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstring>

#include "base/limits.h"
#include "base/log.h"
#include "io/connection.h"

namespace polylog::io {

namespace {

using base::ErrorCode;

constexpr int kAcceptsPerTurnMax = 64;
constexpr int kBacklog = 4096;  // the kernel caps it at net.core.somaxconn
constexpr base::Duration kRetryAfterFailure = std::chrono::milliseconds(100);

struct Address {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);
  sockaddr* raw() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr_in& v4() const { return reinterpret_cast<const sockaddr_in&>(storage); }
  const sockaddr_in6& v6() const { return reinterpret_cast<const sockaddr_in6&>(storage); }
  uint16_t port() const { return ntohs(storage.ss_family == AF_INET6 ? v6().sin6_port : v4().sin_port); }
};

struct OwnedFd {
  explicit OwnedFd(int fd) : value(fd) {}
  OwnedFd(const OwnedFd&) = delete;
  ~OwnedFd() {
    if (value >= 0) close(value);
  }
  int release() { return std::exchange(value, -1); }
  int value;
};

std::string text_of(const Endpoint& endpoint) {
  const bool v6 = endpoint.host.find(':') != std::string::npos;
  return (v6 ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

base::Result<Address> resolve(const Endpoint& endpoint) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &found);
  if (error != 0) {
    return base::fail(ErrorCode::kInvalid,
                      "cannot listen on " + text_of(endpoint) + ": host not found: " + gai_strerror(error));
  }
  const addrinfo* chosen = found;  // IPv4 first where a name has both, as clients of "localhost" mostly try
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    if (at->ai_family == AF_INET) {
      chosen = at;
      break;
    }
  }
  Address address;
  std::memcpy(&address.storage, chosen->ai_addr, chosen->ai_addrlen);
  address.size = chosen->ai_addrlen;
  freeaddrinfo(found);
  return address;
}

std::unexpected<base::Error> cannot_listen(const Endpoint& endpoint, int error) {
  const std::string what = "cannot listen on " + text_of(endpoint) + ": ";
  if (error == EADDRINUSE) {
    return base::fail(ErrorCode::kInUse, what + "the port is taken by another process; stop it (`ss -ltnp 'sport = :" +
                                             std::to_string(endpoint.port) + "'` shows it) or choose another port");
  }
  if (error == EACCES) {
    return base::fail(ErrorCode::kNotAllowed, what + "ports below 1024 need privileges; choose a higher port");
  }
  if (error == EADDRNOTAVAIL) {
    return base::fail(ErrorCode::kInvalid, what + "this machine has no such address; 0.0.0.0 means all of them");
  }
  return base::fail(ErrorCode::kIo, what + std::strerror(error));
}

void set_option(int fd, int level, int option) {
  const int on = 1;
  setsockopt(fd, level, option, &on, sizeof on);
}

base::Result<int> bind_socket(const Endpoint& endpoint, Address& address, bool share_port) {
  OwnedFd fd(socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.value < 0) return cannot_listen(endpoint, errno);
  set_option(fd.value, SOL_SOCKET, SO_REUSEADDR);
  if (share_port) set_option(fd.value, SOL_SOCKET, SO_REUSEPORT);
  if (bind(fd.value, address.raw(), address.size) != 0 || ::listen(fd.value, kBacklog) != 0) {
    return cannot_listen(endpoint, errno);
  }
  return fd.release();
}

base::Result<int> open_socket(const Core& core, const Endpoint& endpoint, Address& address) {
  const bool share_port = core.group_size() > 1;
  if (share_port && core.core().value == 0) {  // alone first: fails if anybody else listens, sharing or not
    TRY_ASSIGN(const int probe, bind_socket(endpoint, address, false));
    close(probe);
  }
  return bind_socket(endpoint, address, share_port);
}

Peer describe_peer(const Address& address) {
  char host[INET6_ADDRSTRLEN] = "?";
  const std::string port = ":" + std::to_string(address.port());
  if (address.storage.ss_family == AF_INET) {
    inet_ntop(AF_INET, &address.v4().sin_addr, host, sizeof host);
    return {host + port, (ntohl(address.v4().sin_addr.s_addr) >> 24) == 127};
  }
  const in6_addr& v6 = address.v6().sin6_addr;
  inet_ntop(AF_INET6, &v6, host, sizeof host);
  const bool mapped_loopback = IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127;
  return {"[" + std::string(host) + "]" + port, IN6_IS_ADDR_LOOPBACK(&v6) || mapped_loopback};
}

// Kept alive by its own waits, so that the Listener can go at any time.
class Acceptor : public std::enable_shared_from_this<Acceptor> {
 public:
  Acceptor(Core& core, int fd, HandlerFactory factory, Traffic* traffic, size_t connections_max)
      : core_(core),
        socket_(core.context(), fd),
        factory_(std::move(factory)),
        traffic_(traffic),
        connections_max_(connections_max) {}

  void arm() {
    socket_.async_wait(socket_.wait_read, [self = shared_from_this()](const boost::system::error_code& error) {
      self->core_.woke();
      if (error || self->closed_ || self->core_.stopping()) return;
      if (self->accept_batch()) {
        self->core_.at_turn_end([self] {
          if (!self->closed_) self->arm();
        });
      }
    });
  }

  void stop() {
    closed_ = true;
    core_.cancel(retry_);
    boost::system::error_code ignored;
    socket_.close(ignored);
    factory_ = {};
  }

 private:
  // False: accepting failed for lack of something (descriptors, memory) and is tried again a little later.
  bool accept_batch() {
    for (int i = 0; i < kAcceptsPerTurnMax && !closed_; ++i) {
      Address address;
      OwnedFd fd(accept4(socket_.native_handle(), address.raw(), &address.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (fd.value >= 0) {
        admit(fd, address);
      } else if (errno == EAGAIN) {
        return true;
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
        return retry_later(errno);
      }  // anything else is about a connection that died in the queue
    }
    return true;
  }

  void admit(OwnedFd& fd, const Address& address) {
    if (core_.resident_count() >= base::limits::kConnectionsPerCoreMax) {
      return complain("connection refused: this core has too many", {{"connections", core_.resident_count()}});
    }
    if (traffic_ != nullptr && traffic_->open.value() >= static_cast<int64_t>(connections_max_)) {
      return complain("connection refused: this listener has too many", {{"connections", connections_max_}});
    }
    set_option(fd.value, IPPROTO_TCP, TCP_NODELAY);
    open_connection(core_, fd.release(), describe_peer(address), factory_(), traffic_);
  }

  bool retry_later(int error) {
    complain("cannot accept connections; raise `ulimit -n`?", {{"error", std::strerror(error)}});
    retry_ = core_.call_at(core_.now() + kRetryAfterFailure, [self = shared_from_this()] { self->arm(); });
    return false;
  }

  void complain(std::string_view text, base::LogFields fields) {  // at most once a second
    if (core_.now() < quiet_until_) return;
    quiet_until_ = core_.now() + std::chrono::seconds(1);
    base::log_warn("listener", text, fields);
  }

  Core& core_;
  boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type> socket_;
  HandlerFactory factory_;
  Traffic* traffic_;
  const size_t connections_max_;
  TimerId retry_;
  base::MonoTime quiet_until_;
  bool closed_ = false;
};

class TcpListener final : public Listener {
 public:
  TcpListener(std::shared_ptr<Acceptor> acceptor, uint16_t port) : acceptor_(std::move(acceptor)), port_(port) {}
  ~TcpListener() override { acceptor_->stop(); }
  uint16_t port() const override { return port_; }

 private:
  std::shared_ptr<Acceptor> acceptor_;
  const uint16_t port_;
};

}  // namespace

base::Result<std::unique_ptr<Listener>> listen(Core& core, const Endpoint& endpoint, HandlerFactory factory,
                                               Traffic* traffic, size_t connections_max) {
  TRY_ASSIGN(Address address, resolve(endpoint));
  TRY_ASSIGN(const int fd, open_socket(core, endpoint, address));
  Address bound;
  getsockname(fd, bound.raw(), &bound.size);
  auto acceptor = std::make_shared<Acceptor>(core, fd, std::move(factory), traffic, connections_max);
  acceptor->arm();
  return std::make_unique<TcpListener>(std::move(acceptor), bound.port());
}

}  // namespace polylog::io
