// CRC-32C (Castagnoli, RFC 3720 appendix B.4), as stored on disk and used by several wire formats.
// Above 256 bytes ISA-L's folding code is used (63 GB/s), below it the SSE4.2 instruction.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace polylog::base {

// `crc` continues an earlier result: crc32c(b, crc32c(a)) == crc32c(a followed by b).
uint32_t crc32c(View bytes, uint32_t crc = 0);

}  // namespace polylog::base
