// EgressBudget: how much memory the answers of one core take that their peers have not read yet. Who loads bytes for an
// answer asks for room first and gets none while slow readers hold it all. Counts only: it neither waits nor closes anyone.
// Used by one core.
#pragma once

#include <cstddef>

#include "base/limits.h"

namespace polylog::broker {

class EgressBudget {
 public:
  explicit EgressBudget(size_t bytes_max) : bytes_max_(bytes_max) {}
  // A little room is none: reads of a few bytes each would load a whole batch each.
  size_t room() const { return used_bytes_ + kRoomBytesMin > bytes_max_ ? 0 : bytes_max_ - used_bytes_; }
  size_t used_bytes() const { return used_bytes_; }
  size_t limit_bytes() const { return bytes_max_; }
  bool is_short() const { return used_bytes_ > bytes_max_ / 2; }

  // What one holder takes; given back at its end. The budget outlives it.
  class Share {
   public:
    explicit Share(EgressBudget& budget) : budget_(budget) {}
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    ~Share() { set(0); }
    void set(size_t bytes) {
      budget_.used_bytes_ += bytes - bytes_;
      bytes_ = bytes;
    }
    size_t bytes() const { return bytes_; }

   private:
    EgressBudget& budget_;
    size_t bytes_ = 0;
  };

 private:
  static constexpr size_t kRoomBytesMin = 256 * base::limits::kKiB;
  size_t bytes_max_;
  size_t used_bytes_ = 0;
};

}  // namespace polylog::broker
