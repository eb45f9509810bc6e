#include "broker/delivery/offset_set.h"

#include <algorithm>

namespace polylog::broker {
namespace {

constexpr size_t kBlockRanges = 256;  // 4 KiB

}  // namespace

// --- blocks

OffsetSet::Place OffsetSet::lower_bound(int64_t offset) const {
  const auto ends_before = [offset](const Range& range) { return range.last < offset; };
  const auto block = std::ranges::partition_point(blocks_, [&](const Block& b) { return ends_before(b.back()); });
  if (block == blocks_.end()) return {blocks_.size(), 0};
  const auto range = std::ranges::partition_point(*block, ends_before);
  return {static_cast<size_t>(block - blocks_.begin()), static_cast<size_t>(range - block->begin())};
}

void OffsetSet::insert(Place before, Range range) {
  if (is_end(before)) {
    if (blocks_.empty() || blocks_.back().size() == kBlockRanges) blocks_.emplace_back();
    blocks_.back().push_back(range);
    return;
  }
  if (blocks_[before.block].size() == kBlockRanges) {
    // Most changes come in order, at the end: what lies before them stays full.
    const bool at_end = before.block + 1 == blocks_.size() && before.index > kBlockRanges / 2;
    const size_t split = at_end ? before.index : kBlockRanges / 2;
    const auto next = blocks_.emplace(blocks_.begin() + static_cast<ptrdiff_t>(before.block) + 1);
    Block& full = blocks_[before.block];
    next->assign(full.begin() + static_cast<ptrdiff_t>(split), full.end());
    full.resize(split);
    if (before.index >= split) before = {before.block + 1, before.index - split};
  }
  Block& block = blocks_[before.block];
  block.insert(block.begin() + static_cast<ptrdiff_t>(before.index), range);
}

OffsetSet::Place OffsetSet::erase(Place at) {
  Block& block = blocks_[at.block];
  block.erase(block.begin() + static_cast<ptrdiff_t>(at.index));
  const auto next = blocks_.begin() + static_cast<ptrdiff_t>(at.block) + 1;
  if (block.empty()) {
    blocks_.erase(next - 1);
    return {at.block, 0};
  }
  if (next != blocks_.end() && block.size() + next->size() <= kBlockRanges / 2) {
    block.insert(block.end(), next->begin(), next->end());
    blocks_.erase(next);
  }
  return at.index < blocks_[at.block].size() ? at : Place{at.block + 1, 0};
}

// --- ranges

void OffsetSet::add(Offset first, Offset last) {
  const int64_t low = first.value, high = last.value;
  const Place at = lower_bound(low - 1);  // holds `low`, or ends just before it, or lies behind it
  if (is_end(at) || (*this)[at].first - 1 > high) {
    insert(at, {low, high});
    count_ += static_cast<uint64_t>(high - low + 1);
    return;
  }
  const Range range = (*this)[at];
  int64_t end = std::max(range.last, high), held = range.last - range.first + 1;
  for (Place next = after(at); !is_end(next) && (*this)[next].first - 1 <= high; next = erase(next)) {
    const Range joined = (*this)[next];
    end = std::max(end, joined.last);
    held += joined.last - joined.first + 1;
  }
  (*this)[at] = {std::min(range.first, low), end};
  count_ += static_cast<uint64_t>(end - std::min(range.first, low) + 1 - held);
}

void OffsetSet::remove(Offset first, Offset last) {
  const int64_t low = first.value, high = last.value;
  for (Place at = lower_bound(low); !is_end(at) && (*this)[at].first <= high;) {
    const Range range = (*this)[at];
    count_ -= static_cast<uint64_t>(std::min(range.last, high) - std::max(range.first, low) + 1);
    if (range.last > high) {
      (*this)[at].first = high + 1;
      if (range.first < low) insert(at, {range.first, low - 1});
      return;
    }
    if (range.first < low) {
      (*this)[at].last = low - 1;
      at = after(at);
    } else {
      at = erase(at);
    }
  }
}

bool OffsetSet::contains(Offset offset) const {
  const Place at = lower_bound(offset.value);
  return !is_end(at) && (*this)[at].first <= offset.value;
}

std::optional<OffsetRange> OffsetSet::at_or_after(Offset offset) const {
  const Place at = lower_bound(offset.value);
  if (is_end(at)) return std::nullopt;
  return OffsetRange{Offset((*this)[at].first), Offset((*this)[at].last)};
}

std::vector<OffsetRange> OffsetSet::ranges() const {
  std::vector<OffsetRange> list;
  for (const Block& block : blocks_)
    for (const auto& [first, last] : block) list.emplace_back(Offset(first), Offset(last));
  return list;
}

std::vector<OffsetRange> OffsetSet::ranges_in(Offset from, Offset end, size_t count_max) const {
  std::vector<OffsetRange> list;
  for (Place at = lower_bound(from.value); !is_end(at) && list.size() < count_max; at = after(at)) {
    const auto [first, last] = (*this)[at];
    if (first >= end.value) break;
    list.emplace_back(Offset(std::max(first, from.value)), Offset(std::min(last, end.value - 1)));
  }
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
