#include "broker/ingress.h"

#include "base/check.h"

namespace polylog::broker {

void IngressBudget::submitted(size_t bytes) {
  used_bytes_ += bytes;
  exhausted_ = exhausted_ || used_bytes_ > bytes_max_;
}

// Only when half of it is free, so that a core does not stop and go with each answer.
bool IngressBudget::answered(size_t bytes) {
  CHECK(bytes <= used_bytes_, "more is answered than was submitted");
  used_bytes_ -= bytes;
  if (!exhausted_ || used_bytes_ > bytes_max_ / 2) return false;
  exhausted_ = false;
  return true;
}

}  // namespace polylog::broker
