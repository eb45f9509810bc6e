// WriterTable: recognises repeated appends of writers that number their records (one table a partition).
//
// Keeps, per writer id, its epoch and its last five batches. Sequences run 0..2^31-1 and wrap to 0. A writer unknown here
// (new, expired) may begin anywhere. Not for deciding who may write: only for order and repetition.
#pragma once

#include <array>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "base/wire.h"
#include "storage/mutation.h"

namespace polylog::storage {

// A writer as others are told of it.
struct KnownWriter {
  int64_t id = 0;
  int16_t epoch = -1;
  int32_t last_sequence = -1;
  base::WallTime last_append;
};

class WriterTable {
 public:
  struct Verdict {
    bool repeated = false;
    base::Offset base_offset;  // where the repeated batch already lies
  };
  // kFenced: older epoch. kOutOfOrder: a gap, or a new epoch that does not begin at 0. kDuplicate: repeated, but too long
  // ago to know its offset.
  base::Result<Verdict> check(const WriterStamp& stamp) const;
  // Writers idle for a day are forgotten, by the log's own time, so that replay forgets the same ones.
  void note(const WriterStamp& stamp, base::Offset base_offset, base::WallTime now);

  void expire(base::WallTime idle_since);
  size_t size() const { return writers_.size(); }
  std::vector<KnownWriter> all() const;            // ascending by id
  std::vector<base::Offset> last_batches() const;  // where each writer's last batch begins; in no order

  void save(base::Writer& out) const;  // sorted by id: equal tables give equal bytes
  bool load(base::Reader& in);

 private:
  static constexpr size_t kBatchesKept = 5;
  struct Batch {
    int32_t first_sequence = -1;
    int32_t last_sequence = -1;
    base::Offset base_offset;
  };
  struct State {
    int16_t epoch = -1;
    uint8_t count = 0;
    std::array<Batch, kBatchesKept> batches;  // oldest first
    base::WallTime last_append;
  };
  std::unordered_map<int64_t, State> writers_;
};

}  // namespace polylog::storage
