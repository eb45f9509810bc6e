// CompactFormat: all that compaction knows of a batch's format: which keys its records have, and how some records are taken out
// of it. One implementation a wire format that has keys, in its protocol directory. Stateless; called on worker threads.
//
// A batch that an implementation does not understand, or whose records it may not judge one by one, it shows no key of and
// leaves as it is: what is not shown replaces nothing, and what is left alone is never lost.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"

namespace polylog::storage {

class CompactFormat {
 public:
  virtual ~CompactFormat() = default;

  // Shows each record that has a key, in order. The view lives for the call. All or none: a batch with damage shows nothing.
  using VisitKey = std::function<void(base::Offset offset, base::View key)>;
  virtual void each_key(base::View batch, const VisitKey& visit) const = 0;

  struct Rules {
    // Of a record with a key: nothing newer of its key is known.
    std::function<bool(base::Offset offset, base::View key)> is_latest;
    base::WallTime now;
    int64_t delete_retention_ms = 0;
    // Whether a mark that deletes a key may begin its last days: all older records of the key are gone by now.
    bool may_date_deletes = false;
    bool may_remove_deletes = true;  // those whose last day is over
    bool keep_empty = false;         // a batch of which nothing is left stays, as an empty one of the same offsets
  };
  enum class What : uint8_t { kAsItWas, kRewritten, kGone };
  struct Outcome {
    What what = What::kAsItWas;
    std::vector<uint8_t> bytes;  // of a rewritten batch: the same offsets, fewer records
    base::WallTime max_ts{-1};   // of a rewritten batch; -1: it is empty
    uint32_t records_removed = 0;
    std::optional<base::WallTime> deletes_until;  // when the last of its marks that delete keys may go
  };
  virtual Outcome rewrite(base::View batch, const Rules& rules) const = 0;
};

}  // namespace polylog::storage
