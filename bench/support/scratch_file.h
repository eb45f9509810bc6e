// A file written from its beginning to its end again and again, zeroed beforehand so that a commit changes
// no block map.
// Removed when done. Also the loopback connection and the way to give up that the machine's yardsticks share.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace polylog::bench {

[[noreturn]] void fail_with_errno(const char* what);

// Two ends of one TCP connection over loopback, both blocking, without Nagle's delay.
std::pair<int, int> loopback_pair();

class ScratchFile {
 public:
  ScratchFile(const std::string& dir, size_t size);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  int fd() const { return fd_; }
  size_t size() const { return size_; }
  void append(std::string_view bytes);
  void sync();

 private:
  int fd_;
  size_t size_;
  size_t position_ = 0;
};

}  // namespace polylog::bench
