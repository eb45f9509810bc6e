// What a producer's batch goes through between its frame and its cell, where its records must be unpacked: they are checked as
// the topic asks and, if it names another codec, packed anew. A pure function, so that it may run on any thread.
// Not for: the header, which validate_envelope() checks first; deciding where it runs (unpacker.h).
#pragma once

#include <cstddef>
#include <expected>
#include <optional>

#include "base/bytes.h"
#include "protocol/kafka/record_batch.h"

namespace polylog::kafka {

struct IncomingRules {
  BatchRules batch;
  std::optional<Compression> compression;  // what the topic asks for; nothing: as it came

  bool packs_anew(const BatchHeader& header) const {
    return compression && header.codec() != static_cast<uint8_t>(*compression);
  }
};

struct IncomingBatch {
  std::expected<base::Slice, BatchError> packed_anew;  // empty: it stays as it came
  size_t unpacked_bytes = 0;                           // was made of it, even if it is refused
  bool unpacks_to_too_much = false;                    // more than was allowed
};

// `batch` passed validate_envelope() with these rules.
IncomingBatch look_into(const BatchHeader& header, base::View batch, const IncomingRules& rules,
                        size_t unpacked_bytes_max);

}  // namespace polylog::kafka
