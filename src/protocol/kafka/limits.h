// Limits of the Kafka codec. What all protocols share is in base/limits.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.h"

namespace polylog::kafka::limits {

inline constexpr int32_t kFrameBytesMax = 104'857'600;        // socket.request.max.bytes; longer closes the connection
inline constexpr size_t kStringBytesMax = 32'767;             // a string's length was an int16 first
inline constexpr size_t kRequestElementsMax = 250'000;        // array elements, all arrays together: handled in a turn
inline constexpr size_t kResponseElementsMax = 1'000'000;     // likewise, of what another broker answers
inline constexpr size_t kCreatedTopicsMax = 10'000;           // of one request
inline constexpr size_t kDecompressedBytesMax = 104'857'600;  // of one record batch
inline constexpr size_t kUnpackedRequestBytesMax = 4 * kDecompressedBytesMax;  // all batches of a Produce together
inline constexpr size_t kUnpackedInlineBytesMax = 64 * base::limits::kKiB;     // of one batch: more goes off the core
inline constexpr size_t kUnpackedTurnBytesMax = 2 * kUnpackedInlineBytesMax;   // on one core, in one turn
inline constexpr size_t kProducedPartitionsMax = 100'000;                      // of one Produce: as many as a topic has
inline constexpr size_t kCheckedTurnBytesMax = 2 * base::limits::kMiB;         // of one Produce, in one turn
inline constexpr int kZstdWindowLogMax = 27;                                   // 128 MiB, the library's own default
inline constexpr int32_t kFetchSessionsMax = 1000;        // max.incremental.fetch.session.cache.slots, of a core
inline constexpr size_t kRecordErrorsMax = 1000;          // of one batch; a client takes its other records along
inline constexpr int32_t kDescribedPartitionsMax = 2000;  // max.request.partition.size.limit: a page
inline constexpr size_t kRecordBatchBytesMaxDefault = 1'048'588;  // message.max.bytes

static_assert(kProducedPartitionsMax == base::limits::kPartitionsPerStreamMax);
static_assert(kDecompressedBytesMax <= base::limits::kBatchBytesMax, "what a batch unpacks to may be published");

}  // namespace polylog::kafka::limits
