// Byte views and reference-counted byte slices: the only two ways bytes travel through polylog.
//
// View/MutView  borrow; they live no longer than the call that received them.
// Slice         owns a share of an immutable region of a Chunk. The count is atomic, so a Slice may be handed to another
//               core, but one Slice object belongs to one core at a time.
// Chunk         a heap block that is written once, front to back, by one core (ChunkWriter), and is read through Slices.
//
// Not for: text processing (std::string_view) and growing buffers (std::vector, base/wire.h Writer).
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace polylog::base {

using View = std::span<const uint8_t>;
using MutView = std::span<uint8_t>;

inline View as_view(std::string_view text) { return {reinterpret_cast<const uint8_t*>(text.data()), text.size()}; }
inline std::string_view as_text(View bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline bool equal(View a, View b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// A block of `size` bytes behind this header. Freed when the last reference goes, on whichever core that happens.
class Chunk {
 public:
  static Chunk* allocate(size_t size_bytes);  // reference count 1; CHECKs on exhaustion
  uint8_t* data() { return reinterpret_cast<uint8_t*>(this) + kHeaderBytes; }
  size_t size() const { return size_; }
  void ref() { refs_.fetch_add(1, std::memory_order_relaxed); }
  void unref() {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) release();
  }

 private:
  static constexpr size_t kHeaderBytes = 64;  // keeps data() on a cache line
  Chunk(size_t size, uint32_t lead_bytes) : lead_bytes_(lead_bytes), size_(size) {}
  void release();
  std::atomic<uint32_t> refs_{1};
  uint32_t lead_bytes_;  // unused ones before this, in the block
  size_t size_;
};

class Slice {
 public:
  Slice() = default;
  Slice(Chunk* chunk, const uint8_t* data, size_t size) : chunk_(chunk), data_(data), size_(size) {
    if (chunk_ != nullptr) chunk_->ref();
  }
  Slice(const Slice& other) : Slice(other.chunk_, other.data_, other.size_) {}
  Slice(Slice&& other) noexcept
      : chunk_(std::exchange(other.chunk_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Slice& operator=(Slice other) noexcept {
    std::swap(chunk_, other.chunk_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Slice() {
    if (chunk_ != nullptr) chunk_->unref();
  }

  static Slice copy_of(View bytes);

  View view() const { return {data_, size_}; }
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  Slice sub(size_t offset, size_t size) const { return {chunk_, data_ + offset, size}; }
  // Takes in `next` when it begins where this ends, in the same chunk; false (and no change) otherwise.
  bool grow_into(const Slice& next) {
    if (chunk_ != next.chunk_ || data_ + size_ != next.data_) return false;
    size_ += next.size_;
    return true;
  }

 private:
  Chunk* chunk_ = nullptr;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace polylog::base
