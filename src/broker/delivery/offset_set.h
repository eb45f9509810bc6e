// OffsetSet: a set of offsets as disjoint, ascending ranges. For what is rare or runs together (settled entries above a
// floor, entries delivered before). Cost grows with the number of ranges, not of offsets.
#pragma once

#include <optional>
#include <set>
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
  bool empty() const { return ranges_.empty(); }
  void clear() {
    ranges_.clear();
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
  Offset end() const { return Offset(ranges_.empty() ? 0 : ranges_.rbegin()->last + 1); }  // behind the last of all

  bool load(base::Reader& in);  // adds what save() wrote

 private:
  // A range grows and shrinks where it is: being disjoint from its neighbours, it never changes places with one.
  struct Range {
    mutable int64_t first, last;
  };
  struct ByLast {
    using is_transparent = void;
    bool operator()(const Range& a, const Range& b) const { return a.last < b.last; }
    bool operator()(const Range& a, int64_t offset) const { return a.last < offset; }
  };
  std::set<Range, ByLast> ranges_;
  uint64_t count_ = 0;
};

}  // namespace polylog::broker
