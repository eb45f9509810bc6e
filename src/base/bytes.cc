#include "base/bytes.h"

#include <cstdlib>
#include <new>

#include "base/check.h"

namespace polylog::base {

Chunk* Chunk::allocate(size_t size_bytes) {
  void* memory = std::aligned_alloc(64, (kHeaderBytes + size_bytes + 63) & ~size_t{63});
  CHECK(memory != nullptr, "out of memory for a chunk");
  return new (memory) Chunk(size_bytes);
}

void Chunk::release() {
  this->~Chunk();
  std::free(this);
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
