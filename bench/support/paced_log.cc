#include "bench/support/paced_log.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "bench/support/clock.h"
#include "bench/support/scratch_file.h"

namespace polylog::bench {
namespace {

constexpr size_t block_bytes = 4096;
constexpr size_t ack_bytes = 64;
constexpr size_t request_bytes = 100;
constexpr size_t buffer_bytes = 128 << 10;

void send_all(int fd, size_t bytes) {
  static const std::string filler(1 << 20, 'x');
  while (bytes > 0) {
    const ssize_t sent = send(fd, filler.data(), std::min(bytes, filler.size()), MSG_NOSIGNAL);
    if (sent < 0) fail_with_errno("send");
    bytes -= static_cast<size_t>(sent);
  }
}

size_t receive(int fd, std::vector<char>& buffer) {  // 0 at the end
  const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
  return got < 0 ? 0 : static_cast<size_t>(got);
}

size_t receive_some(int fd, std::vector<char>& buffer) {
  const size_t got = receive(fd, buffer);
  if (got == 0) fail_with_errno("the server ended");
  return got;
}

void serve(const PacedLogLoad& load, int producer, int consumer) {
  ScratchFile file(load.dir, 64 << 20);
  std::vector<char> buffer(buffer_bytes);
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (const int fd : {producer, consumer}) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
  size_t have = 0;
  while (true) {
    epoll_event events[2];
    const int count = epoll_wait(epoll, events, 2, -1);
    for (int i = 0; i < count; i++) {
      const size_t bytes = receive(events[i].data.fd, buffer);
      if (bytes == 0) return;
      if (events[i].data.fd == producer) have += bytes;
    }
    const size_t messages = have / load.message_bytes;
    if (messages == 0) continue;
    have %= load.message_bytes;
    const size_t blocks = (messages * load.message_bytes + block_bytes - 1) / block_bytes;
    file.append(std::string_view(buffer.data(), std::min(blocks * block_bytes, buffer.size())));
    file.sync();
    send_all(producer, messages * ack_bytes);
    send_all(consumer, messages * load.message_bytes);
  }
}

}  // namespace

PacedLogResult run_paced_log(const PacedLogLoad& load) {
  const auto [producer, producer_far] = loopback_pair();
  const auto [consumer, consumer_far] = loopback_pair();
  clockid_t server_clock{};
  std::thread server([&, producer_far = producer_far, consumer_far = consumer_far] {
    pin_to_cpu(load.server_cpu);
    serve(load, producer_far, consumer_far);
  });
  pthread_getcpuclockid(server.native_handle(), &server_clock);
  pin_to_cpu(load.client_cpu);
  const uint64_t step_ns = 1'000'000'000 / load.rate;
  const uint64_t total = load.duration_ns / step_ns;
  const uint64_t warm = load.rate;  // also until the file is zeroed
  const uint64_t began = now_ns() + 1'000'000'000;
  std::thread sending([&, producer = producer] {
    for (uint64_t i = 0; i < warm + total; i++) {
      const uint64_t due = began + i * step_ns;
      for (uint64_t now = now_ns(); now < due; now = now_ns()) sleep_ns(due - now);
      send_all(producer, load.message_bytes);
    }
  });
  std::thread acknowledged([&, producer = producer] {
    std::vector<char> buffer(buffer_bytes);
    for (size_t bytes = 0; bytes < (warm + total) * ack_bytes;) bytes += receive_some(producer, buffer);
  });
  PacedLogResult result;
  std::vector<char> buffer(buffer_bytes);
  uint64_t cpu_began = 0, received = 0;
  for (size_t have = 0; received < warm + total;) {
    have += receive_some(consumer, buffer);
    if (have < load.message_bytes) continue;
    for (; have >= load.message_bytes; have -= load.message_bytes, received++) {
      if (received == warm) cpu_began = now_ns(server_clock);
      if (received >= warm) result.latencies.add(now_ns() - (began + received * step_ns));
    }
    send_all(consumer, request_bytes);
  }
  const uint64_t cpu_ns = now_ns(server_clock) - cpu_began;
  const auto seconds = static_cast<double>(now_ns() - began - warm * step_ns) / 1e9;
  sending.join();
  acknowledged.join();
  shutdown(producer, SHUT_RDWR);
  server.join();
  result.messages_per_second = static_cast<double>(total) / seconds;
  result.server_cpu_ns_per_message = static_cast<double>(cpu_ns) / static_cast<double>(total);
  return result;
}

}  // namespace polylog::bench
