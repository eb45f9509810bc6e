// OffsetSet: a set of offsets that mostly run together (settled entries above a floor, entries delivered before), and small
// also where they do not: 16 B for each 64 offsets of which some are in it, or for a run of 64s that are all in it.
//
//   word     0        1        2        3        4  ...       word w: offsets 64 w .. 64 w + 63
//            ..##.... ######## ######## ######## #.......
//   items   {0: bits} {1: run of 3 words}       {4: bits}
//
// Items lie in order, in blocks of some hundreds, so that a change among millions moves few of them.
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
  void add(const OffsetSet& other);
  void remove(const OffsetSet& other);
  bool contains(Offset offset) const;
  bool empty() const { return blocks_.empty(); }
  void clear() {
    blocks_.clear();
    count_ = 0;
  }
  uint64_t count() const { return count_; }
  // The range that holds `offset`, from there on, or the first one behind it; nullopt if there is none.
  std::optional<OffsetRange> at_or_after(Offset offset) const;
  void drop_below(Offset floor) {
    if (floor.value > 0) remove(Offset(0), floor - base::OffsetCount(1));
  }
  std::vector<OffsetRange> ranges() const;
  // The parts of the given ranges, in their order, that are in the set; neighbours that touch are one.
  std::vector<OffsetRange> within(const std::vector<OffsetRange>& ranges) const;

  // The first ranges of what lies in [from, end), `count_max` of them at most.
  std::vector<OffsetRange> ranges_in(Offset from, Offset end, size_t count_max) const;
  Offset end() const;  // behind the last of all

  bool load(base::Reader& in);  // adds what save() wrote

 private:
  // A run of whole words, or some of one word's offsets: not none, not all. Runs that touch are one.
  struct Item {
    int64_t key;     // word * 2, and 1 for a run
    uint64_t value;  // of a run: how many words; else a bit for each offset
    static Item run(int64_t word, int64_t end) { return {word * 2 + 1, static_cast<uint64_t>(end - word)}; }
    static Item some(int64_t word, uint64_t bits) { return {word * 2, bits}; }
    bool is_run() const { return (key & 1) != 0; }
    int64_t word() const { return key >> 1; }
    int64_t end() const { return word() + (is_run() ? static_cast<int64_t>(value) : 1); }  // in words
    uint64_t count() const;                                                                // of offsets
  };
  using Block = std::vector<Item>;  // never empty
  struct Place {
    size_t block, index;
  };
  Item& operator[](Place at) { return blocks_[at.block][at.index]; }
  const Item& operator[](Place at) const { return blocks_[at.block][at.index]; }
  bool is_end(Place at) const { return at.block == blocks_.size(); }
  Place after(Place at) const {
    return at.index + 1 < blocks_[at.block].size() ? Place{at.block, at.index + 1} : Place{at.block + 1, 0};
  }
  Place before(Place at) const {
    return at.index > 0 ? Place{at.block, at.index - 1} : Place{at.block - 1, blocks_[at.block - 1].size() - 1};
  }
  Place lower_bound(int64_t word) const;  // the first item that does not end before it
  Place insert(Place before, Item item);  // returns where it is
  Place erase(Place at);                  // returns what follows; places before it stay what they are

  void add_bits(int64_t word, uint64_t bits);
  void add_words(int64_t word, int64_t end);
  void remove_bits(int64_t word, uint64_t bits);
  Place remove_words(int64_t word, int64_t end);  // returns what follows
  void join_runs(Place at);
  template <typename Bits, typename Words>
  static void in_words(Offset first, Offset last, Bits bits, Words words);
  template <typename Bits, typename Words>
  static void in_words(const OffsetSet& set, Bits bits, Words words);
  std::optional<OffsetRange> range_from(int64_t offset, Place& at, int64_t enough = INT64_MAX) const;

  std::vector<Block> blocks_;  // not a deque, which costs half a KiB when empty
  uint64_t count_ = 0;
};

}  // namespace polylog::broker
