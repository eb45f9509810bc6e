#include "bench/support/socket.h"

#include <poll.h>

#include <cstdio>
#include <cstdlib>

#include "load/clock.h"

namespace polylog::bench {
namespace {

constexpr uint64_t kTimeNs = 60 * load::kSecondNs;

template <typename T>
T must(base::Result<T> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().text.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return *result;
}

}  // namespace

void Socket::connect(uint16_t port) { must(load::Socket::connect(load::loopback(port), kTimeNs)); }

void Socket::flush() {
  must(load::Socket::flush());
  while (waits_ && blocked) {
    wait(POLLOUT, kTimeNs);
    must(load::Socket::flush());
  }
}

bool Socket::fill() {
  while (!must(load::Socket::fill())) {
    if (!waits_) return false;
    wait(POLLIN, kTimeNs);
  }
  return true;
}

}  // namespace polylog::bench
