#include "base/bytes.h"

#include <cstdlib>
#include <new>

#include "base/check.h"

namespace polylog::base {

// Aligned by hand: glibc before 2.38 finds no room for an aligned block in the gap that one of the same size left, and the
// heap of a broker under load grows for good.
Chunk* Chunk::allocate(size_t size_bytes) {
  constexpr size_t kAlignBytes = 64;
  auto* block = static_cast<uint8_t*>(std::malloc(kAlignBytes + kHeaderBytes + size_bytes));
  CHECK(block != nullptr, "out of memory for a chunk");
  const size_t lead_bytes = -reinterpret_cast<uintptr_t>(block) % kAlignBytes;
  return new (block + lead_bytes) Chunk(size_bytes, static_cast<uint32_t>(lead_bytes));
}

void Chunk::release() {
  uint8_t* block = reinterpret_cast<uint8_t*>(this) - lead_bytes_;
  this->~Chunk();
  std::free(block);
}

Slice Slice::copy_of(View bytes) {
  if (bytes.empty()) return {};
  Chunk* chunk = Chunk::allocate(bytes.size());
  std::memcpy(chunk->data(), bytes.data(), bytes.size());
  Slice slice(chunk, chunk->data(), bytes.size());
  chunk->unref();
  return slice;
}

}  // namespace polylog::base
