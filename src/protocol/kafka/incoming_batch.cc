#include "protocol/kafka/incoming_batch.h"

#include "protocol/kafka/repack.h"

namespace polylog::kafka {
namespace {

std::expected<base::Slice, BatchError> packed_as_asked(const BatchHeader& header, base::View batch, base::View records,
                                                       const IncomingRules& rules) {
  if (!rules.packs_anew(header)) return base::Slice();
  base::Slice packed = repack_batch(batch, records, *rules.compression);
  if (packed.size() <= rules.batch.batch_bytes_max) return packed;
  return std::unexpected(BatchError{ErrorCode::kMessageTooLarge, "packed as the topic asks, the batch is too large"});
}

}  // namespace

IncomingBatch look_into(const BatchHeader& header, base::View batch, const IncomingRules& rules,
                        size_t unpacked_bytes_max) {
  std::vector<uint8_t> scratch;
  const auto records = unpack_records(header, batch, scratch, unpacked_bytes_max);
  IncomingBatch result{.packed_anew = base::Slice(), .unpacked_bytes = scratch.size()};
  if (!records) {
    result.unpacks_to_too_much = records.error() == ErrorCode::kMessageTooLarge;
    result.packed_anew = std::unexpected(cannot_unpack(records.error()));
  } else if (auto sound = validate_records(header, *records, rules.batch); !sound) {
    result.packed_anew = std::unexpected(std::move(sound.error()));
  } else {
    result.packed_anew = packed_as_asked(header, batch, *records, rules);
  }
  return result;
}

}  // namespace polylog::kafka
