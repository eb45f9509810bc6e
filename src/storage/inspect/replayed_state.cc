#include "storage/inspect/replayed_state.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace polylog::storage {
namespace {

base::Result<> misfit(std::string what) { return base::fail(base::ErrorCode::kCorrupt, std::move(what)); }

// Whether the segment may take its place: no other reaches over its ends.
base::Result<> check_segment(const Partitions& era, const SegmentMutation& m, Lsn lsn) {
  const auto found = era.find(m.partition);
  if (found == era.end() || lsn <= found->second->stamp()) return {};
  const SegmentRef& s = m.segment;
  for (const SegmentRef& old : found->second->segments()) {
    const bool within = old.base_offset >= s.base_offset && old.end_offset <= s.end_offset;
    if (!within && old.base_offset < s.end_offset && old.end_offset > s.base_offset)
      return misfit(fmt::format("segment {:016x} overlaps segment {:016x}", s.extent, old.extent));
  }
  return {};
}

base::Result<> check_move(View payload) {
  TRY_ASSIGN(const MoveMutation move, decode_move(payload));
  for (const MoveMutation::Run& run : move.runs)
    if (run.batch_count == 0) return misfit("a move of no batches");
  return {};
}

}  // namespace

base::Result<> ReplayedState::replay(const Mutation& mutation, Lsn lsn) {
  if (mutation.type == MutationType::kAppend && mutation.version == 1) return append(mutation, lsn);
  if (mutation.type == MutationType::kMove) TRY(check_move(mutation.payload));
  for (Partitions& era : eras_) {
    if (mutation.type == MutationType::kSegment) {
      TRY_ASSIGN(const SegmentMutation m, decode_segment(mutation.payload));
      if (&era != &eras_.back() && !era.contains(m.partition)) continue;
      TRY(check_segment(era, m, lsn));
    }
    TRY(replay_mutation(era, mutation, lsn));
  }
  if (mutation.type == MutationType::kDrop) {
    TRY_ASSIGN(const DropMutation drop, decode_drop(mutation.payload));
    std::erase_if(gaps_, [&](const Finding::Lost& gap) { return gap.partition == drop.partition; });
  }
  return {};
}

base::Result<> ReplayedState::append(const Mutation& mutation, Lsn lsn) {
  TRY_ASSIGN(const AppendMutation m, decode_append(mutation.payload));
  if (m.pieces.empty()) return misfit("an append without bytes");
  const Partition* before = newest(m.partition);
  if (before != nullptr && lsn <= before->stamp()) return {};
  const auto here = eras_.back().find(m.partition);
  const bool is_fresh =
      here == eras_.back().end() || (here->second->batches().empty() && here->second->segments().empty());
  if (is_fresh ? here != eras_.back().end() && m.base_offset < here->second->appended()
               : m.base_offset != here->second->appended())
    return misfit(fmt::format("the batch at {} does not follow the one before", m.base_offset.value));
  if (is_fresh && before != nullptr && m.base_offset > before->appended())
    gaps_.push_back({m.partition, before->appended(), m.base_offset});
  return replay_mutation(eras_.back(), mutation, lsn);
}

const Partition* ReplayedState::newest(const base::PartitionKey& key) const {
  const Partition* newest = nullptr;
  for (const Partitions& era : eras_)
    if (const auto found = era.find(key); found != era.end())
      if (newest == nullptr || found->second->appended() >= newest->appended()) newest = found->second.get();
  return newest;
}

std::vector<base::PartitionKey> ReplayedState::keys() const {
  std::set<base::PartitionKey> keys;
  for (const Partitions& era : eras_)
    for (const auto& [key, partition] : era) keys.insert(key);
  return {keys.begin(), keys.end()};
}

std::pair<Offset, Offset> ReplayedState::range_of(const base::PartitionKey& key) const {
  std::optional<Offset> start;
  Offset end;
  for (const Partitions& era : eras_) {
    const auto found = era.find(key);
    if (found == era.end()) continue;
    start = std::min(start.value_or(found->second->start()), found->second->start());
    end = std::max(end, found->second->appended());
  }
  return {start.value_or(end), end};
}

std::vector<Finding::Lost> ReplayedState::lost() const {
  std::vector<Finding::Lost> lost;
  for (Finding::Lost gap : gaps_) {
    gap.from = std::max(gap.from, range_of(gap.partition).first);
    for (const Partitions& era : eras_) {
      const auto found = era.find(gap.partition);
      if (found == era.end()) continue;
      for (const SegmentRef& segment : found->second->segments())
        if (segment.base_offset <= gap.from) gap.from = std::max(gap.from, segment.end_offset);
    }
    if (gap.from < gap.end) lost.push_back(gap);
  }
  return lost;
}

}  // namespace polylog::storage
