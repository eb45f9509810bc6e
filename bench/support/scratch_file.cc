#include "bench/support/scratch_file.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace polylog::bench {

void fail_with_errno(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::pair<int, int> loopback_pair() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener, generic, size) != 0 || listen(listener, 1) != 0) fail_with_errno("listen");
  getsockname(listener, generic, &size);
  const int near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(near, generic, size) != 0) fail_with_errno("connect");
  const int far = accept(listener, nullptr, nullptr);
  if (far < 0) fail_with_errno("accept");
  close(listener);
  const int on = 1;
  for (const int end : {near, far}) setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return {near, far};
}

ScratchFile::ScratchFile(const std::string& dir, size_t size) : size_(size) {
  const std::string path = dir + "/bench-scratch";
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) fail_with_errno(path.c_str());
  unlink(path.c_str());
  const std::string zeros(1 << 20, '\0');
  for (size_t offset = 0; offset < size_; offset += zeros.size()) append(zeros);
  if (fsync(fd_) != 0) fail_with_errno("fsync");
}

ScratchFile::~ScratchFile() { close(fd_); }

void ScratchFile::append(std::string_view bytes) {
  if (position_ + bytes.size() > size_) position_ = 0;
  const ssize_t written = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(position_));
  if (written != static_cast<ssize_t>(bytes.size())) fail_with_errno("pwrite");
  position_ += bytes.size();
}

void ScratchFile::sync() {
  if (fdatasync(fd_) != 0) fail_with_errno("fdatasync");
}

}  // namespace polylog::bench
