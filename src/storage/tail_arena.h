// TailArena: where the bytes of new batches are copied to, once, on their way from a socket to the WAL. The Slices it
// returns are what the WAL writes, what live readers are sent, and what the tail keeps in RAM.
//
// Packs bytes densely into chunks, so that what a Slice keeps alive is at most one chunk more than its own size.
// Owned by one cell's core.
#pragma once

#include "base/bytes.h"
#include "base/limits.h"

namespace polylog::storage {

class TailArena {
 public:
  TailArena() = default;
  TailArena(const TailArena&) = delete;
  TailArena& operator=(const TailArena&) = delete;
  ~TailArena() { drop_chunk(); }

  struct Copy {
    base::Slice slice;
    base::MutView writable;  // the same bytes, for patching before anyone else has seen them
  };
  Copy copy(base::View bytes);

 private:
  void drop_chunk();
  base::Chunk* chunk_ = nullptr;
  size_t used_bytes_ = 0;
};

}  // namespace polylog::storage
