// InputBudget: the memory of one core for large frames that have arrived in part. A connection that has received the first
// 64 KiB of a longer frame claims its whole length before it reads on; who gets nothing waits, unread, until others are
// done. A claim reserves, it allocates nothing. One frame longer than the budget may pass when nobody else has a claim.
// While someone waits, a claim whose peer sends nothing for kStalledMax is ended with its connection.
// Used by one core, for io's own files.
#pragma once

#include <chrono>
#include <cstddef>
#include <unordered_map>
#include <vector>

#include "base/time.h"

namespace polylog::io {

class Resident;

class InputBudget {
 public:
  static constexpr base::Duration kStalledMax = std::chrono::seconds(5);
  explicit InputBudget(size_t bytes_max) : bytes_max_(bytes_max) {}

  // Makes the claim `bytes` long. False: no room; the resident is to finish its turn again when it may try again.
  bool claim(Resident& who, size_t bytes, base::MonoTime now);
  void touch(Resident& who, base::MonoTime now);  // bytes arrived; or, with a time to come: it is held back by us
  void release(Resident& who);                    // also forgets that it waits

  size_t used_bytes() const { return used_bytes_; }
  bool anyone_waits() const { return !waiting_.empty(); }
  std::vector<Resident*> take_waiting();
  std::vector<Resident*> stalled(base::MonoTime now) const;

 private:
  struct Claim {
    size_t bytes = 0;
    base::MonoTime progress_at;
  };
  size_t bytes_max_;
  size_t used_bytes_ = 0;
  std::unordered_map<Resident*, Claim> claims_;
  std::vector<Resident*> waiting_;
};

}  // namespace polylog::io
