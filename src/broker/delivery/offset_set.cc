#include "broker/delivery/offset_set.h"

#include <algorithm>

namespace polylog::broker {

void OffsetSet::add(Offset first, Offset last) {
  const int64_t low = first.value, high = last.value;
  const auto range = ranges_.lower_bound(low - 1);  // holds `low`, or ends just before it, or lies behind it
  if (range == ranges_.end() || range->first - 1 > high) {
    ranges_.insert(range, {low, high});
    count_ += static_cast<uint64_t>(high - low + 1);
    return;
  }
  int64_t end = std::max(range->last, high), held = range->last - range->first + 1;
  for (auto next = std::next(range); next != ranges_.end() && next->first - 1 <= high; next = ranges_.erase(next)) {
    end = std::max(end, next->last);
    held += next->last - next->first + 1;
  }
  range->first = std::min(range->first, low);
  range->last = end;
  count_ += static_cast<uint64_t>(range->last - range->first + 1 - held);
}

void OffsetSet::remove(Offset first, Offset last) {
  const int64_t low = first.value, high = last.value;
  for (auto it = ranges_.lower_bound(low); it != ranges_.end() && it->first <= high;) {
    count_ -= static_cast<uint64_t>(std::min(it->last, high) - std::max(it->first, low) + 1);
    if (it->first < low && it->last > high) ranges_.insert(it, {it->first, low - 1});
    if (it->last > high) {
      it->first = high + 1;
      return;
    }
    if (it->first < low) {
      it->last = low - 1;
      ++it;
    } else {
      it = ranges_.erase(it);
    }
  }
}

bool OffsetSet::contains(Offset offset) const {
  const auto it = ranges_.lower_bound(offset.value);
  return it != ranges_.end() && it->first <= offset.value;
}

std::optional<OffsetRange> OffsetSet::at_or_after(Offset offset) const {
  const auto it = ranges_.lower_bound(offset.value);
  if (it == ranges_.end()) return std::nullopt;
  return OffsetRange{Offset(it->first), Offset(it->last)};
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
      const OffsetRange part{std::max(range->first, at), std::min(range->second, last)};
      if (!found.empty() && found.back().second.next() == part.first) {
        found.back().second = part.second;
      } else {
        found.push_back(part);
      }
      at = part.second.next();
    }
  }
  return found;
}

std::vector<OffsetRange> OffsetSet::ranges_in(Offset from, Offset end, size_t count_max) const {
  std::vector<OffsetRange> list;
  for (auto it = ranges_.lower_bound(from.value); it != ranges_.end() && it->first < end.value; ++it) {
    if (list.size() == count_max) break;
    list.emplace_back(Offset(std::max(it->first, from.value)), Offset(std::min(it->last, end.value - 1)));
  }
  return list;
}

void save(base::Writer& out, const std::vector<OffsetRange>& ranges) {
  out.u32le(static_cast<uint32_t>(ranges.size()));
  for (const auto& [first, last] : ranges) {
    out.i64le(first.value);
    out.i64le(last.value);
  }
}

bool OffsetSet::load(base::Reader& in) {
  for (uint32_t left = in.u32le(); left > 0 && in.ok(); --left) {
    const Offset first(in.i64le()), last(in.i64le());
    if (first > last) return false;
    add(first, last);
  }
  return in.ok();
}

}  // namespace polylog::broker
