// InputBuffer: the bytes a connection has received and its handler has not consumed. Usually empty, and then it owns
// no memory. It grows by at most the bytes that have arrived (or kRoomBytesMin), never by what a peer merely claims will come.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/bytes.h"
#include "base/check.h"

namespace polylog::io {

class InputBuffer {
 public:
  static constexpr size_t kRoomBytesMin = 64 * 1024;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  base::View view() const { return {data_.get() + begin_, size_}; }

  // Keeps exactly these bytes and nothing else.
  void assign(base::View bytes) {
    if (bytes.empty()) return release();
    Block data = allocate(nullptr, bytes.size());
    std::memcpy(data.get(), bytes.data(), bytes.size());
    data_ = std::move(data);
    begin_ = 0;
    size_ = capacity_ = bytes.size();
  }
  // Free space behind the bytes; `wanted` is the size at which the owner will look at them, 0 if unknown.
  base::MutView room(size_t wanted) {
    if (begin_ + size_ == capacity_) grow(wanted);
    return {data_.get() + begin_ + size_, capacity_ - begin_ - size_};
  }
  void arrived(size_t bytes) { size_ += bytes; }
  void consume(size_t bytes) {
    begin_ += bytes;
    size_ -= bytes;
    if (size_ == 0) release();
    // A large frame is gone and the start of the next one is left: do not hold on to the large block.
    else if (capacity_ > kRoomBytesMin && size_ < capacity_ / 4)
      assign(view());
  }
  void release() {
    data_.reset();
    begin_ = size_ = capacity_ = 0;
  }

 private:
  void grow(size_t wanted) {
    size_t capacity = size_ + std::max(size_, kRoomBytesMin);
    if (wanted > size_) capacity = std::min(capacity, wanted);
    if (begin_ > 0) std::memmove(data_.get(), data_.get() + begin_, size_);
    begin_ = 0;
    // A large block grows where it lies, page by page: never two of them in memory.
    data_ = allocate(data_.release(), capacity);
    capacity_ = capacity;
  }

  struct Free {
    void operator()(uint8_t* memory) const { std::free(memory); }
  };
  using Block = std::unique_ptr<uint8_t, Free>;
  static Block allocate(uint8_t* old, size_t bytes) {
    void* memory = std::realloc(old, bytes);
    CHECK(memory != nullptr, "out of memory");
    return Block(static_cast<uint8_t*>(memory));
  }

  Block data_;
  size_t begin_ = 0;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace polylog::io
