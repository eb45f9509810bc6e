// Packs the records of a batch with another codec, for topics whose compression.type names one. The batch keeps its records,
// their timestamps, its producer and its sequence; its length, codec bits and crc change.
//
//   gzip     RFC 1952, one member
//   snappy   the Java framing, blocks of 32 KiB
//   lz4      frame format, independent blocks of 64 KiB: readers in Java take no others
//   zstd     one frame
//
// Each at its library's default level. Costs 1 to 30 ns a byte: see unpacker.h for where it may run. Not for: batches that are
// packed as the topic asks already, which stay as they came.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "protocol/kafka/compression.h"
#include "protocol/kafka/record_batch.h"

namespace polylog::kafka {

std::vector<uint8_t> pack(Compression compression, base::View plain);

// `batch` is validated, `records` are what it unpacks to.
base::Slice repack_batch(base::View batch, base::View records, Compression compression);

}  // namespace polylog::kafka
