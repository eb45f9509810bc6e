// Packs records again that were taken apart: for compaction, which leaves a batch its codec. The output is what clients of all
// kinds read: one gzip member; snappy framed or raw, as `like` is; an lz4 frame of independent blocks; a zstd frame.
// Not for: what producers send, which is stored as it comes.
#pragma once

#include <vector>

#include "base/bytes.h"
#include "protocol/kafka/compression.h"

namespace polylog::kafka {

// Replaces `out`. `like`: what was unpacked. False: the library refuses, which it does for want of memory only.
bool pack(Compression compression, base::View records, base::View like, std::vector<uint8_t>& out);

}  // namespace polylog::kafka
