#include "broker/delivery/subscription.h"

#include <fmt/format.h>

#include <algorithm>

namespace polylog::broker {
namespace {

using base::OffsetCount;

Offset before(Offset offset) { return offset - OffsetCount(1); }

// Splits [first, last] where the flag `delivered` changes.
void push_runs(const OffsetSet& delivered, Offset first, Offset last, std::vector<AcquiredRun>& out) {
  while (first <= last) {
    const auto range = delivered.at_or_after(first);
    const bool inside = range && range->first <= first;
    const Offset end = inside ? std::min(range->second, last) : range ? std::min(before(range->first), last) : last;
    out.push_back({first, end, inside});
    first = end.next();
  }
}

}  // namespace

std::vector<AcquiredRun> Subscription::acquire(uint32_t max, Offset end) {
  std::vector<AcquiredRun> runs;
  int64_t left = max;
  while (left > 0 && !returned_.empty()) {
    const OffsetRange range = *returned_.at_or_after(Offset(0));
    if (range.first >= end) return runs;
    const Offset last = std::min({range.second, before(end), range.first + OffsetCount(left - 1)});
    push_runs(delivered_, range.first, last, runs);
    returned_.remove(range.first, last);
    open_.add(range.first, last);
    left -= (last - range.first).value + 1;
  }
  if (left > 0 && fresh_ < end) {
    const Offset last = std::min(before(end), fresh_ + OffsetCount(left - 1));
    push_runs(delivered_, fresh_, last, runs);
    open_.add(fresh_, last);
    fresh_ = last.next();
  }
  return runs;
}

Offset Subscription::first_ready(Offset end) const {
  if (const auto range = returned_.at_or_after(Offset(0))) return range->first;
  return fresh_ < end ? fresh_ : Offset(-1);
}

uint64_t Subscription::ready_count(Offset end) const {
  return returned_.count() + static_cast<uint64_t>(std::max<int64_t>(0, (end - fresh_).value));
}

std::vector<OffsetRange> Subscription::open_within(const std::vector<OffsetRange>& ranges) const {
  return open_.within(ranges);
}

void Subscription::give_back(const std::vector<OffsetRange>& ranges) {
  for (const auto& [first, last] : ranges) {
    open_.remove(first, last);
    returned_.add(first, last);
  }
}

void Subscription::give_back(const OffsetSet& open) {
  if (open.count() == open_.count() && returned_.empty()) return std::swap(open_, returned_);  // however many
  open_.remove(open);
  returned_.add(open);
}

std::vector<OffsetRange> Subscription::ready_ranges(Offset end) const {
  std::vector<OffsetRange> ranges = returned_.ranges();
  if (fresh_ < end) ranges.emplace_back(fresh_, before(end));
  return ranges;
}

void Subscription::apply_delivered(const std::vector<OffsetRange>& ranges, base::Lsn lsn) {
  for (const auto& [first, last] : ranges) delivered_.add(first, last);
  stamp_ = std::max(stamp_, lsn);
}

void Subscription::apply_settled(const std::vector<OffsetRange>& ranges, base::Lsn lsn) {
  for (const auto& [first, last] : ranges) {
    open_.remove(first, last);
    returned_.remove(first, last);
    delivered_.remove(first, last);
    if (last >= floor_) settled_.add(std::max(first, floor_), last);
    if (fresh_ <= last && fresh_ >= first) fresh_ = last.next();
  }
  if (const auto range = settled_.at_or_after(floor_); range && range->first == floor_) {
    floor_ = range->second.next();
    settled_.drop_below(floor_);
  }
  fresh_ = std::max(fresh_, floor_);
  stamp_ = std::max(stamp_, lsn);
}

void Subscription::restart() {
  open_.clear();
  returned_.clear();
  // Fresh begins behind everything that was ever handed out or settled; what lies below it unsettled is ready.
  fresh_ = std::max({floor_, settled_.end(), delivered_.end()});
  if (fresh_ == floor_) return;
  returned_.add(floor_, before(fresh_));
  returned_.remove(settled_);
}

Subscription::SavedPart Subscription::save(base::Writer& out, size_t ranges_max) const {
  return save_more(out, {floor_, std::max({floor_, settled_.end(), delivered_.end()})}, ranges_max);
}

// One range more than fits of a kind is looked at: the part ends before it.
Subscription::SavedPart Subscription::save_more(base::Writer& out, const SavedPart& before, size_t ranges_max) const {
  SavedPart after{before.end, before.end};
  const size_t looked_at = ranges_max == SIZE_MAX ? SIZE_MAX : ranges_max + 1;
  std::vector<OffsetRange> settled = settled_.ranges_in(before.next, before.end, looked_at);
  std::vector<OffsetRange> delivered = delivered_.ranges_in(before.next, before.end, looked_at);
  for (const auto* ranges : {&settled, &delivered})
    if (ranges->size() > ranges_max) after.next = std::min(after.next, (*ranges)[ranges_max].first);
  for (auto* ranges : {&settled, &delivered})
    std::erase_if(*ranges, [&](const OffsetRange& range) { return range.first >= after.next; });
  out.i64le(floor_.value);
  broker::save(out, settled);
  broker::save(out, delivered);
  return after;
}

bool Subscription::load(base::Reader& in, base::Lsn stamp) {
  stamp_ = stamp;
  return load_more(in);
}

// The floor rose over what was settled since, or lay in a part that was still to come.
bool Subscription::load_more(base::Reader& in) {
  floor_ = std::max(floor_, Offset(in.i64le()));
  if (!settled_.load(in) || !delivered_.load(in) || !in.at_end()) return false;
  settled_.drop_below(floor_);
  delivered_.drop_below(floor_);
  return true;
}

std::string Subscription::describe() const {
  return fmt::format("floor {} fresh {} open {} returned {} settled above floor {} delivered {} stamp {}", floor_.value,
                     fresh_.value, open_.count(), returned_.count(), settled_.count(), delivered_.count(),
                     stamp_.value);
}

}  // namespace polylog::broker
