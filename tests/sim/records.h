// What the simulated clients send: batches whose every byte follows from the operation that sent them, so that any record
// read back says where it came from and whether it is whole.
//
// batch:  base offset i64 | epoch u32 (both patched by SimEncoding::place) | records
// record: length u32 | operation u64 | index u32 | filler: length - 12 bytes that follow from operation and index
// (little-endian; `length` counts what follows it)
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "broker/encoding.h"

namespace polylog::sim {

inline constexpr uint8_t kEncodingTag = 200;
inline constexpr uint64_t kBigOperation = 1ull << 62;  // its records are so large that a batch takes several slots

struct Operation {
  uint64_t id = 0;
  uint32_t count = 0;  // records
};

std::vector<uint8_t> make_batch(Operation operation);

struct ParsedBatch {
  uint64_t operation = 0;
  uint32_t count = 0;
  int64_t placed_base = -1;
  std::string damage;  // empty: every byte is as it was sent
};
ParsedBatch parse_batch(base::View bytes);

// misplace: a planted bug, patches a wrong offset into the batch.
class SimEncoding : public broker::Encoding {
 public:
  explicit SimEncoding(bool misplace) : misplace_(misplace) {}
  void place(base::MutView head, base::Offset base, base::Epoch epoch) const override;
  base::Result<> to_hub(base::View batch, base::Offset base, const Visit& visit) const override;
  Built from_hub(std::span<const broker::HubMessage> messages, base::WallTime now) const override;

 private:
  const bool misplace_;
};

}  // namespace polylog::sim
