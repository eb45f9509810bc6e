// Packs the records of a batch with another codec, for topics whose compression.type names one. The batch keeps its records,
// their timestamps, its producer and its sequence; its length, codec bits and crc change.
//
//   gzip     RFC 1952, one member
//   snappy   the Java framing, blocks of 32 KiB
//   lz4      frame format, independent blocks of 64 KiB: readers in Java take no others
//   zstd     one frame
//
// Each at its library's default level. Runs on the core of the connection, like unpacking. Not for: batches that are packed
// as the topic asks already, which stay as they came.
#pragma once

#include <expected>
#include <vector>

#include "base/bytes.h"
#include "protocol/kafka/compression.h"
#include "protocol/kafka/error_codes.h"
#include "protocol/kafka/record_batch.h"

namespace polylog::kafka {

std::vector<uint8_t> pack(Compression compression, base::View plain);

// `batch` is validated and `header` its own. Errors: those of unpack_records().
std::expected<base::Slice, ErrorCode> repack_batch(const BatchHeader& header, base::View batch,
                                                   Compression compression);

}  // namespace polylog::kafka
