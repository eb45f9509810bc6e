// Unpacks the records of a batch. Output is capped, so that a small batch cannot demand much memory.
//
//   gzip     RFC 1952, any number of members
//   snappy   raw, or the Java framing: 82 'SNAPPY' 0 | int32 version | int32 compatible | { int32 size | raw snappy }*
//   lz4      frame format
//   zstd     frames, content size optional
//
// Not for: packing. Batches are stored as their producers packed them, and what polylog builds itself is not packed.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "protocol/kafka/limits.h"

namespace polylog::kafka {

enum class Compression : uint8_t { kNone = 0, kGzip = 1, kSnappy = 2, kLz4 = 3, kZstd = 4 };

enum class UnpackStatus : uint8_t { kOk, kCorrupt, kTooLarge };

// Replaces `out`; it never holds more than `out_bytes_max`. Input that ends too early is corrupt.
UnpackStatus unpack(Compression compression, base::View packed, std::vector<uint8_t>& out,
                    size_t out_bytes_max = limits::kDecompressedBytesMax);

}  // namespace polylog::kafka
