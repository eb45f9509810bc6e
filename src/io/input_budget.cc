#include "io/input_budget.h"

#include <algorithm>
#include <utility>

namespace polylog::io {

bool InputBudget::claim(Resident& who, size_t bytes, base::MonoTime now) {
  const auto found = claims_.find(&who);
  const size_t had = found == claims_.end() ? 0 : found->second.bytes;
  const size_t others = used_bytes_ - had;
  if (bytes > had && others > 0 && others + bytes > bytes_max_) {
    if (std::ranges::find(waiting_, &who) == waiting_.end()) waiting_.push_back(&who);
    return false;
  }
  used_bytes_ = others + bytes;
  claims_[&who] = {bytes, now};
  return true;
}

void InputBudget::touch(Resident& who, base::MonoTime now) {
  if (const auto found = claims_.find(&who); found != claims_.end()) found->second.progress_at = now;
}

void InputBudget::release(Resident& who) {
  std::erase(waiting_, &who);
  const auto found = claims_.find(&who);
  if (found == claims_.end()) return;
  used_bytes_ -= found->second.bytes;
  claims_.erase(found);
}

std::vector<Resident*> InputBudget::take_waiting() { return std::exchange(waiting_, {}); }

std::vector<Resident*> InputBudget::stalled(base::MonoTime now) const {
  std::vector<Resident*> found;
  for (const auto& [who, claim] : claims_)
    if (claim.progress_at < now && now - claim.progress_at >= kStalledMax) found.push_back(who);
  return found;
}

}  // namespace polylog::io
