#include "base/bytes.h"

#include <doctest/doctest.h>
#include <malloc.h>

#include <deque>
#include <memory>

#include "base/limits.h"

namespace polylog::base {
namespace {

TEST_CASE("a_chunk_begins_on_a_cache_line_whatever_its_size") {
  std::vector<Slice> slices;
  for (const size_t size : {1, 63, 64, 65, 1000, 100'000, 1 << 20}) {
    Chunk* chunk = Chunk::allocate(size);
    CHECK(reinterpret_cast<uintptr_t>(chunk->data()) % 64 == 0);
    CHECK(chunk->size() == size);
    std::memset(chunk->data(), 0xAB, size);
    slices.emplace_back(chunk, chunk->data(), size);
    chunk->unref();
  }
  for (const Slice& slice : slices) CHECK(slice.view().back() == 0xAB);
}

TEST_CASE("chunks_that_come_and_go_use_the_same_memory_again_though_small_blocks_stay_between_them") {
  constexpr size_t kLive = 30;
  std::deque<Slice> live;
  std::vector<std::unique_ptr<char[]>> small;
  const auto heap_bytes = [] { return mallinfo2().arena + mallinfo2().hblkhd; };
  const size_t before = heap_bytes();
  for (int i = 0; i < 600; ++i) {
    Chunk* chunk = Chunk::allocate(limits::kMiB);
    live.emplace_back(chunk, chunk->data(), limits::kMiB);
    chunk->unref();
    small.push_back(std::make_unique<char[]>(100));
    if (live.size() > kLive) live.pop_front();
  }
  CHECK(heap_bytes() < before + 3 * kLive * limits::kMiB);
}

}  // namespace
}  // namespace polylog::base
