#include "storage/tail_arena.h"

#include <algorithm>
#include <cstring>

namespace polylog::storage {

TailArena::Copy TailArena::copy(base::View bytes) {
  if (bytes.empty()) return {};
  if (chunk_ == nullptr || chunk_->size() - used_bytes_ < bytes.size()) {
    drop_chunk();
    chunk_ = base::Chunk::allocate(std::max(bytes.size(), base::limits::kTailChunkBytes));
    used_bytes_ = 0;
  }
  uint8_t* at = chunk_->data() + used_bytes_;
  std::memcpy(at, bytes.data(), bytes.size());
  used_bytes_ += bytes.size();
  return {base::Slice(chunk_, at, bytes.size()), base::MutView(at, bytes.size())};
}

void TailArena::drop_chunk() {
  if (chunk_ != nullptr) chunk_->unref();
  chunk_ = nullptr;
}

}  // namespace polylog::storage
