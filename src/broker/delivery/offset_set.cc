#include "broker/delivery/offset_set.h"

#include <algorithm>

namespace polylog::broker {

void OffsetSet::add(Offset first, Offset last) {
  int64_t low = first.value, high = last.value;
  auto it = ranges_.upper_bound(low);
  if (it != ranges_.begin() && std::prev(it)->second >= low - 1) --it;
  while (it != ranges_.end() && it->first <= high + 1) {
    low = std::min(low, it->first);
    high = std::max(high, it->second);
    count_ -= static_cast<uint64_t>(it->second - it->first + 1);
    it = ranges_.erase(it);
  }
  ranges_.emplace(low, high);
  count_ += static_cast<uint64_t>(high - low + 1);
}

void OffsetSet::remove(Offset first, Offset last) {
  auto it = ranges_.upper_bound(first.value);
  if (it != ranges_.begin() && std::prev(it)->second >= first.value) --it;
  while (it != ranges_.end() && it->first <= last.value) {
    const auto [low, high] = *it;
    it = ranges_.erase(it);
    count_ -= static_cast<uint64_t>(high - low + 1);
    if (low < first.value) {
      ranges_.emplace(low, first.value - 1);
      count_ += static_cast<uint64_t>(first.value - low);
    }
    if (high > last.value) {
      ranges_.emplace(last.value + 1, high);
      count_ += static_cast<uint64_t>(high - last.value);
    }
  }
}

bool OffsetSet::contains(Offset offset) const {
  const auto it = ranges_.upper_bound(offset.value);
  return it != ranges_.begin() && std::prev(it)->second >= offset.value;
}

std::optional<OffsetRange> OffsetSet::at_or_after(Offset offset) const {
  auto it = ranges_.upper_bound(offset.value);
  if (it != ranges_.begin() && std::prev(it)->second >= offset.value) --it;
  if (it == ranges_.end()) return std::nullopt;
  return OffsetRange{Offset(it->first), Offset(it->second)};
}

std::vector<OffsetRange> OffsetSet::ranges() const {
  std::vector<OffsetRange> list;
  for (const auto& [first, last] : ranges_) list.emplace_back(Offset(first), Offset(last));
  return list;
}

std::vector<OffsetRange> OffsetSet::within(const std::vector<OffsetRange>& ranges) const {
  std::vector<OffsetRange> found;
  for (const auto& [first, last] : ranges) {
    for (Offset at = first; at <= last;) {
      const auto range = at_or_after(at);
      if (!range || range->first > last) break;
      found.emplace_back(std::max(range->first, at), std::min(range->second, last));
      at = found.back().second.next();
    }
  }
  return found;
}

void OffsetSet::save(base::Writer& out) const {
  out.u32le(static_cast<uint32_t>(ranges_.size()));
  for (const auto& [first, last] : ranges_) {
    out.i64le(first);
    out.i64le(last);
  }
}

bool OffsetSet::load(base::Reader& in) {
  clear();
  for (uint32_t left = in.u32le(); left > 0 && in.ok(); --left) {
    const Offset first(in.i64le()), last(in.i64le());
    if (first > last) return false;
    add(first, last);
  }
  return in.ok();
}

}  // namespace polylog::broker
