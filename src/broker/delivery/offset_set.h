// OffsetSet: a set of offsets as disjoint, ascending ranges. For what is rare or runs together (settled entries above a
// floor, entries delivered before). Cost grows with the number of ranges, not of offsets: 16 B each where they come in order,
// in blocks of some hundreds, so that going through millions of them does not go all over memory.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/wire.h"

namespace polylog::broker {

using base::Offset;
using OffsetRange = std::pair<Offset, Offset>;  // first, last (both included)

void save(base::Writer& out, const std::vector<OffsetRange>& ranges);  // count u32 {first i64, last i64}...

class OffsetSet {
 public:
  void add(Offset first, Offset last);
  void remove(Offset first, Offset last);
  bool contains(Offset offset) const;
  bool empty() const { return blocks_.empty(); }
  void clear() {
    blocks_.clear();
    count_ = 0;
  }
  uint64_t count() const { return count_; }
  // The range that holds `offset`, or the first one behind it; nullopt if there is none.
  std::optional<OffsetRange> at_or_after(Offset offset) const;
  void drop_below(Offset floor) {
    if (floor.value > 0) remove(Offset(0), floor - base::OffsetCount(1));
  }
  std::vector<OffsetRange> ranges() const;
  // The parts of the given ranges, in their order, that are in the set; neighbours that touch are one.
  std::vector<OffsetRange> within(const std::vector<OffsetRange>& ranges) const;

  // The first ranges of what lies in [from, end), `count_max` of them at most.
  std::vector<OffsetRange> ranges_in(Offset from, Offset end, size_t count_max) const;
  Offset end() const { return Offset(empty() ? 0 : blocks_.back().back().last + 1); }  // behind the last of all

  bool load(base::Reader& in);  // adds what save() wrote

 private:
  struct Range {
    int64_t first, last;
  };
  using Block = std::vector<Range>;  // never empty
  struct Place {
    size_t block, index;
  };
  Range& operator[](Place at) { return blocks_[at.block][at.index]; }
  const Range& operator[](Place at) const { return blocks_[at.block][at.index]; }
  bool is_end(Place at) const { return at.block == blocks_.size(); }
  Place after(Place at) const {
    return at.index + 1 < blocks_[at.block].size() ? Place{at.block, at.index + 1} : Place{at.block + 1, 0};
  }
  Place lower_bound(int64_t offset) const;  // the first range that does not end before it
  void insert(Place before, Range range);
  Place erase(Place at);  // returns what follows; places before it stay what they are

  std::vector<Block> blocks_;  // not a deque, which costs half a KiB when empty
  uint64_t count_ = 0;
};

}  // namespace polylog::broker
