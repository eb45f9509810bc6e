// IngressBudget: how many bytes of what this core's sessions submitted to be appended are not answered yet, on whichever
// core they wait, and of what they hold while they make it ready. While it is exhausted, sessions that publish do not take the next request: they ask before each. So what
// is under way stays within bytes_max and one session's last request, however late a cell's word of pressure arrives, and
// cells take all of it: nothing is refused for want of memory.
// Counts only: it neither waits nor tells anyone. Used by one core.
#pragma once

#include <cstddef>

namespace polylog::broker {

class IngressBudget {
 public:
  explicit IngressBudget(size_t bytes_max) : bytes_max_(bytes_max) {}

  void submitted(size_t bytes);
  // True: it was exhausted and is not any more.
  [[nodiscard]] bool answered(size_t bytes);
  bool is_exhausted() const { return exhausted_; }
  size_t used_bytes() const { return used_bytes_; }

 private:
  const size_t bytes_max_;
  size_t used_bytes_ = 0;
  bool exhausted_ = false;
};

}  // namespace polylog::broker
