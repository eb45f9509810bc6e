#include "bench/support/frame_log.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/support/clock.h"
#include "bench/support/scratch_file.h"

namespace polylog::bench {
namespace {

constexpr size_t size_bytes = 4;
constexpr size_t ack_bytes = 8;
constexpr int events_max = 64;

struct ServerConnection {
  int fd;
  std::vector<char> input = std::vector<char>(128 << 10);
  size_t have = 0;
  std::string acks;
};

class Server {
 public:
  Server(const FrameLogLoad& load, const std::vector<int>& sockets)
      : file_(load.dir, 512 << 20), durable_(load.durable), epoll_(epoll_create1(0)), connections_(sockets.size()) {
    for (size_t i = 0; i < sockets.size(); i++) {
      connections_[i].fd = sockets[i];
      epoll_event event{.events = EPOLLIN, .data = {.ptr = &connections_[i]}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, sockets[i], &event);
    }
  }

  void run(const std::atomic<bool>& stopping) {
    while (!stopping) turn();
  }

 private:
  void turn() {
    epoll_event events[events_max];
    const int count = epoll_wait(epoll_, events, events_max, 100);
    for (int i = 0; i < count; i++) read(*static_cast<ServerConnection*>(events[i].data.ptr));
    if (!appended_.empty()) {
      file_.append(appended_);
      if (durable_) file_.sync();
      appended_.clear();
    }
    for (ServerConnection& connection : connections_) answer(connection);
  }

  void read(ServerConnection& connection) {
    const size_t room = connection.input.size() - connection.have;
    const ssize_t bytes = recv(connection.fd, connection.input.data() + connection.have, room, 0);
    if (bytes <= 0) return;
    connection.have += static_cast<size_t>(bytes);
    const char* const input = connection.input.data();
    size_t used = 0;
    while (connection.have - used >= size_bytes) {
      uint32_t size = 0;
      std::memcpy(&size, input + used, size_bytes);
      if (connection.have - used < size_bytes + size) break;
      sequence_++;
      connection.acks.append(reinterpret_cast<const char*>(&sequence_), ack_bytes);
      used += size_bytes + size;
    }
    appended_.append(input, used);
    connection.have -= used;
    if (connection.have > 0) std::memmove(connection.input.data(), input + used, connection.have);
  }

  // The window bounds what is unread at the client, so the kernel always has room.
  void answer(ServerConnection& connection) {
    if (connection.acks.empty()) return;
    const ssize_t bytes = send(connection.fd, connection.acks.data(), connection.acks.size(), MSG_NOSIGNAL);
    if (bytes > 0) connection.acks.erase(0, static_cast<size_t>(bytes));
  }

  ScratchFile file_;
  bool durable_;
  int epoll_;
  std::vector<ServerConnection> connections_;
  std::string appended_;
  uint64_t sequence_ = 0;
};

// Keeps every connection's window full and returns the number of acknowledged messages.
class Client {
 public:
  Client(const FrameLogLoad& load, const std::vector<int>& sockets) : sockets_(sockets), epoll_(epoll_create1(0)) {
    const auto size = static_cast<uint32_t>(load.message_bytes);
    frame_.assign(reinterpret_cast<const char*>(&size), size_bytes);
    frame_.append(load.message_bytes, 'x');
    for (uint64_t i = 0; i < load.window; i++) window_ += frame_;
    partial_.resize(sockets.size());
    for (size_t i = 0; i < sockets.size(); i++) {
      epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
      epoll_ctl(epoll_, EPOLL_CTL_ADD, sockets[i], &event);
      send_messages(sockets[i], load.window);
    }
  }

  uint64_t turn() {
    epoll_event events[events_max];
    const int count = epoll_wait(epoll_, events, events_max, 100);
    uint64_t messages = 0;
    for (int i = 0; i < count; i++) {
      const size_t index = events[i].data.u64;
      char acks[64 << 10];
      const ssize_t bytes = recv(sockets_[index], acks, sizeof acks, 0);
      if (bytes <= 0) fail_with_errno("recv");
      partial_[index] += static_cast<size_t>(bytes);
      const size_t acknowledged = partial_[index] / ack_bytes;
      partial_[index] %= ack_bytes;
      if (acknowledged > 0) send_messages(sockets_[index], acknowledged);
      messages += acknowledged;
    }
    return messages;
  }

 private:
  void send_messages(int fd, uint64_t messages) {
    const size_t bytes = messages * frame_.size();
    if (send(fd, window_.data(), bytes, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes)) fail_with_errno("send");
  }

  std::vector<int> sockets_;
  int epoll_;
  std::string frame_;
  std::string window_;
  std::vector<size_t> partial_;
};

}  // namespace

FrameLogResult run_frame_log(const FrameLogLoad& load) {
  std::vector<int> near, far;
  for (uint64_t i = 0; i < load.connections; i++) {
    const auto [client_end, server_end] = loopback_pair();
    fcntl(server_end, F_SETFL, O_NONBLOCK);
    near.push_back(client_end);
    far.push_back(server_end);
  }
  std::atomic<bool> stopping{false};
  std::atomic<bool> ready{false};
  clockid_t server_clock{};
  std::thread server_thread([&] {
    pin_to_cpu(load.server_cpu);
    Server server(load, far);
    pthread_getcpuclockid(pthread_self(), &server_clock);
    ready = true;
    server.run(stopping);
  });
  while (!ready) sleep_ns(1'000'000);
  pin_to_cpu(load.client_cpu);
  Client client(load, near);
  const uint64_t warm_until = now_ns() + 500'000'000;
  while (now_ns() < warm_until) client.turn();
  const uint64_t began = now_ns(), cpu_began = now_ns(server_clock);
  uint64_t messages = 0;
  while (now_ns() < began + load.duration_ns) messages += client.turn();
  const uint64_t cpu_ns = now_ns(server_clock) - cpu_began;
  const auto seconds = static_cast<double>(now_ns() - began) / 1e9;
  stopping = true;
  server_thread.join();
  const auto count = static_cast<double>(messages);
  return {count / seconds, static_cast<double>(cpu_ns) / count};
}

}  // namespace polylog::bench
