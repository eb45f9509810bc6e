// Unpacks the records of a batch. Output is capped, so that a small batch cannot demand much memory.
//
//   gzip     RFC 1952, any number of members
//   snappy   raw, or the Java framing: 82 'SNAPPY' 0 | int32 version | int32 compatible | { int32 size | raw snappy }*
//   lz4      frame format
//   zstd     frames, content size optional
//
// Not for: packing (repack.h).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/bytes.h"
#include "protocol/kafka/limits.h"

namespace polylog::kafka {

enum class Compression : uint8_t { kNone = 0, kGzip = 1, kSnappy = 2, kLz4 = 3, kZstd = 4 };

// Of framed snappy.
inline constexpr std::array<uint8_t, 8> kSnappyFrameMagic{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
bool is_framed_snappy(base::View packed);

enum class UnpackStatus : uint8_t { kOk, kCorrupt, kTooLarge, kStopped };

// Replaces `out`; it never holds more than `out_bytes_max`. Input that ends too early is corrupt.
UnpackStatus unpack(Compression compression, base::View packed, std::vector<uint8_t>& out,
                    size_t out_bytes_max = limits::kDecompressedBytesMax);

// The same without ever holding all of it: `take` sees one piece after the other, each for the call only, and returns false
// to stop (kStopped). Damage may be found after pieces were taken. Raw snappy, which has no pieces, comes as one, at most
// 22 times as long as its input.
using TakePiece = std::function<bool(base::View piece)>;
UnpackStatus unpack_in_pieces(Compression compression, base::View packed, const TakePiece& take,
                              size_t out_bytes_max = limits::kDecompressedBytesMax);

}  // namespace polylog::kafka
