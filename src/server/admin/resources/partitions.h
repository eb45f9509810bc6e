// What handlers ask of a stream's partitions.
#pragma once

#include <vector>

#include "server/admin/call.h"

namespace polylog::server {

// Of the partitions `first` .. `first + count - 1`, in that order; one question a cell.
Task<std::vector<broker::PartitionStatsDone::Item>> partition_stats(Call& call, Record stream, size_t first,
                                                                    size_t count);

// Where in a partition: "earliest", "latest", "time:MS" (the first record of that time or later, else the end), an offset,
// or "-N", N before the end.
struct Place {
  enum class What : uint8_t { kEarliest, kLatest, kTime, kOffset, kBeforeEnd } what = What::kEarliest;
  int64_t number = 0;
};
base::Result<Place> place_of(std::string_view text);
// kOutOfRange: no such offset there (the end is one).
Task<base::Result<base::Offset>> offset_of(Call& call, Record stream, uint32_t partition, Place place);

}  // namespace polylog::server
