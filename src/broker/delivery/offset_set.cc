#include "broker/delivery/offset_set.h"

#include <algorithm>
#include <bit>

namespace polylog::broker {
namespace {

constexpr size_t kBlockItems = 256;  // 4 KiB
constexpr int64_t kWordOffsets = 64;
constexpr uint64_t kAll = ~uint64_t{0};

int64_t word_of(int64_t offset) { return offset >> 6; }
uint64_t bits_from(int64_t offset) { return kAll << (offset & 63); }  // of its word
uint64_t bits_up_to(int64_t offset) { return kAll >> (63 - (offset & 63)); }

}  // namespace

// --- blocks

uint64_t OffsetSet::Item::count() const {
  return is_run() ? value * kWordOffsets : static_cast<uint64_t>(std::popcount(value));
}

OffsetSet::Place OffsetSet::lower_bound(int64_t word) const {
  // Most look at the first item, or at the last.
  if (blocks_.empty() || blocks_.front().front().end() > word) return {0, 0};
  if (const Block& last = blocks_.back(); last.back().word() <= word)
    return last.back().end() > word ? Place{blocks_.size() - 1, last.size() - 1} : Place{blocks_.size(), 0};
  const auto ends_before = [word](const Item& item) { return item.end() <= word; };
  const auto block = std::ranges::partition_point(blocks_, [&](const Block& b) { return ends_before(b.back()); });
  if (block == blocks_.end()) return {blocks_.size(), 0};
  const auto item = std::ranges::partition_point(*block, ends_before);
  return {static_cast<size_t>(block - blocks_.begin()), static_cast<size_t>(item - block->begin())};
}

OffsetSet::Place OffsetSet::insert(Place before, Item item) {
  if (is_end(before)) {
    if (blocks_.empty() || blocks_.back().size() == kBlockItems) blocks_.emplace_back();
    blocks_.back().push_back(item);
    return {blocks_.size() - 1, blocks_.back().size() - 1};
  }
  if (blocks_[before.block].size() == kBlockItems) {
    // Most changes come in order, at the end: what lies before them stays full.
    const bool at_end = before.block + 1 == blocks_.size() && before.index > kBlockItems / 2;
    const size_t split = at_end ? before.index : kBlockItems / 2;
    const auto next = blocks_.emplace(blocks_.begin() + static_cast<ptrdiff_t>(before.block) + 1);
    Block& full = blocks_[before.block];
    next->assign(full.begin() + static_cast<ptrdiff_t>(split), full.end());
    full.resize(split);
    if (before.index >= split) before = {before.block + 1, before.index - split};
  }
  Block& block = blocks_[before.block];
  block.insert(block.begin() + static_cast<ptrdiff_t>(before.index), item);
  return before;
}

OffsetSet::Place OffsetSet::erase(Place at) {
  Block& block = blocks_[at.block];
  block.erase(block.begin() + static_cast<ptrdiff_t>(at.index));
  const auto next = blocks_.begin() + static_cast<ptrdiff_t>(at.block) + 1;
  if (block.empty()) {
    blocks_.erase(next - 1);
    return {at.block, 0};
  }
  if (next != blocks_.end() && block.size() + next->size() <= kBlockItems / 2) {
    block.insert(block.end(), next->begin(), next->end());
    blocks_.erase(next);
  }
  return at.index < blocks_[at.block].size() ? at : Place{at.block + 1, 0};
}

// --- words

void OffsetSet::join_runs(Place at) {
  if (const Place next = after(at);
      !is_end(next) && (*this)[next].is_run() && (*this)[next].word() == (*this)[at].end()) {
    (*this)[at].value += (*this)[next].value;
    erase(next);
  }
  if (at.block == 0 && at.index == 0) return;
  if (Item& previous = (*this)[before(at)]; previous.is_run() && previous.end() == (*this)[at].word()) {
    previous.value += (*this)[at].value;
    erase(at);
  }
}

void OffsetSet::add_bits(int64_t word, uint64_t bits) {
  if (bits == kAll) return add_words(word, word + 1);
  const Place at = lower_bound(word);
  if (is_end(at) || (*this)[at].word() > word) {
    insert(at, Item::some(word, bits));
    count_ += static_cast<uint64_t>(std::popcount(bits));
    return;
  }
  Item& item = (*this)[at];
  if (item.is_run()) return;
  count_ += static_cast<uint64_t>(std::popcount(bits & ~item.value));
  item.value |= bits;
  if (item.value != kAll) return;
  item = Item::run(word, word + 1);
  join_runs(at);
}

void OffsetSet::add_words(int64_t word, int64_t end) {
  if (word >= end) return;
  join_runs(insert(remove_words(word, end), Item::run(word, end)));
  count_ += static_cast<uint64_t>(end - word) * kWordOffsets;
}

void OffsetSet::remove_bits(int64_t word, uint64_t bits) {
  const Place at = lower_bound(word);
  if (is_end(at) || (*this)[at].word() > word) return;
  if ((*this)[at].is_run()) {
    const Place rest = remove_words(word, word + 1);
    if (bits == kAll) return;
    insert(rest, Item::some(word, ~bits));
    count_ += static_cast<uint64_t>(std::popcount(~bits));
    return;
  }
  Item& item = (*this)[at];
  count_ -= static_cast<uint64_t>(std::popcount(bits & item.value));
  item.value &= ~bits;
  if (item.value == 0) erase(at);
}

OffsetSet::Place OffsetSet::remove_words(int64_t word, int64_t end) {
  Place at = lower_bound(word);
  while (!is_end(at) && (*this)[at].word() < end) {
    const Item item = (*this)[at];
    const Item left = Item::run(item.word(), word);
    const Item right = Item::run(end, item.end());
    const bool has_left = item.word() < word;  // then it is a run
    const bool has_right = item.end() > end;   // likewise
    count_ -= item.count() - (has_left ? left.count() : 0) - (has_right ? right.count() : 0);
    if (!has_left && !has_right) {
      at = erase(at);
      continue;
    }
    (*this)[at] = has_left ? left : right;
    if (has_left) at = after(at);
    if (has_left && has_right) at = insert(at, right);
  }
  return at;
}

// --- offsets

// A range as some offsets of its first and last word, and the whole words between them.
template <typename Bits, typename Words>
void OffsetSet::in_words(Offset first, Offset last, Bits bits, Words words) {
  const int64_t low = word_of(first.value), high = word_of(last.value);
  if (low == high) return bits(low, bits_from(first.value) & bits_up_to(last.value));
  bits(low, bits_from(first.value));
  words(low + 1, high);
  bits(high, bits_up_to(last.value));
}

template <typename Bits, typename Words>
void OffsetSet::in_words(const OffsetSet& set, Bits bits, Words words) {
  for (const Block& block : set.blocks_)
    for (const Item& item : block) item.is_run() ? words(item.word(), item.end()) : bits(item.word(), item.value);
}

void OffsetSet::add(Offset first, Offset last) {
  in_words(first, last, [this](auto... some) { add_bits(some...); }, [this](auto... run) { add_words(run...); });
}

void OffsetSet::remove(Offset first, Offset last) {
  in_words(first, last, [this](auto... some) { remove_bits(some...); }, [this](auto... run) { remove_words(run...); });
}

void OffsetSet::add(const OffsetSet& other) {
  in_words(other, [this](auto... some) { add_bits(some...); }, [this](auto... run) { add_words(run...); });
}

void OffsetSet::remove(const OffsetSet& other) {
  in_words(other, [this](auto... some) { remove_bits(some...); }, [this](auto... run) { remove_words(run...); });
}

bool OffsetSet::contains(Offset offset) const {
  const Place at = lower_bound(word_of(offset.value));
  if (is_end(at) || (*this)[at].word() > word_of(offset.value)) return false;
  return (*this)[at].is_run() || (((*this)[at].value >> (offset.value & 63)) & 1) != 0;
}

Offset OffsetSet::end() const {
  if (empty()) return Offset(0);
  const Item& last = blocks_.back().back();
  return Offset(last.end() * kWordOffsets - (last.is_run() ? 0 : std::countl_zero(last.value)));
}

// `at` is where to look first, and then the item that holds the range's end. One that goes on behind `enough` may be cut.
std::optional<OffsetRange> OffsetSet::range_from(int64_t offset, Place& at, int64_t enough) const {
  for (; !is_end(at); at = after(at)) {
    const Item& item = (*this)[at];
    const int64_t begin = std::max<int64_t>(offset, item.word() * kWordOffsets);
    if (word_of(begin) >= item.end()) continue;
    const uint64_t bits = item.is_run() ? kAll : item.value & bits_from(begin);
    if (bits == 0) continue;
    const int64_t first = item.is_run() ? begin : item.word() * kWordOffsets + std::countr_zero(bits);
    int64_t end = item.is_run() ? item.end() * kWordOffsets : first + std::countr_one(bits >> (first & 63));
    for (Place next = after(at); end <= enough && !is_end(next); next = after(at)) {
      const Item& more = (*this)[next];
      if (more.word() * kWordOffsets != end || (!more.is_run() && (more.value & 1) == 0)) break;
      end += more.is_run() ? static_cast<int64_t>(more.count()) : std::countr_one(more.value);
      at = next;
    }
    return OffsetRange{Offset(first), Offset(end - 1)};
  }
  return std::nullopt;
}

std::optional<OffsetRange> OffsetSet::at_or_after(Offset offset) const {
  Place at = lower_bound(word_of(offset.value));
  return range_from(offset.value, at);
}

std::vector<OffsetRange> OffsetSet::ranges() const { return ranges_in(Offset(0), end(), SIZE_MAX); }

std::vector<OffsetRange> OffsetSet::ranges_in(Offset from, Offset end, size_t count_max) const {
  std::vector<OffsetRange> list;
  Place at = lower_bound(word_of(from.value));
  while (list.size() < count_max) {
    const auto range = range_from(from.value, at);
    if (!range || range->first >= end) break;
    list.emplace_back(range->first, std::min(range->second, end - base::OffsetCount(1)));
    from = range->second.next();
  }
  return list;
}

std::vector<OffsetRange> OffsetSet::within(const std::vector<OffsetRange>& ranges) const {
  std::vector<OffsetRange> found;
  for (const auto& [first, last] : ranges) {
    for (Offset at = first; at <= last;) {
      Place place = lower_bound(word_of(at.value));
      const auto range = range_from(at.value, place, last.value);
      if (!range || range->first > last) break;
      const OffsetRange part{range->first, std::min(range->second, last)};
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
    if (first.value < 0 || first > last || last.value == INT64_MAX) return false;
    add(first, last);
  }
  return in.ok();
}

}  // namespace polylog::broker
