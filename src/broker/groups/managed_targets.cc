// What a managed group's members subscribe to, and the division of it.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "broker/groups/managed_members.h"

namespace polylog::broker {

using base::Uuid;

namespace {

// Upper bounds of what a list of partitions takes in a mutation.
constexpr size_t kStreamBytes = 32, kPartitionBytes = 4;
// Every pattern is compared with every name when streams come and go.
constexpr size_t kPatternsMax = 32;
constexpr size_t kListsInMutation = 2;                            // held, and to be given up
constexpr size_t kMutationBytesTarget = 64 * base::limits::kKiB;  // longer divisions are split
constexpr size_t kMutationBytesKept = 4 * base::limits::kKiB;     // for ids and numbers

size_t weight_bytes_of(uint32_t partition_count) { return kStreamBytes + size_t{partition_count} * kPartitionBytes; }

void add_once(std::vector<Uuid>& list, const Uuid& id) {
  const auto at = std::ranges::lower_bound(list, id);
  if (at == list.end() || *at != id) list.insert(at, id);
}

}  // namespace

// ---- subscriptions

void ManagedMembers::index(const ManagedRecord& record) {
  for (const std::string& name : record.streams) ++names_[name];
  if (!record.pattern) return;
  Pattern& pattern = patterns_[*record.pattern];
  if (pattern.users++ > 0) return;
  if (auto compiled = NamePattern::parse(*record.pattern)) pattern.compiled = std::move(*compiled);
}

void ManagedMembers::unindex(const ManagedRecord& record) {
  for (const std::string& name : record.streams) {
    const auto it = names_.find(name);
    if (--it->second == 0) names_.erase(it);
  }
  if (!record.pattern) return;
  const auto it = patterns_.find(*record.pattern);
  if (--it->second.users == 0) patterns_.erase(it);
}

bool ManagedMembers::has_room_for_pattern(const std::optional<std::string>& pattern) const {
  return !pattern || patterns_.contains(*pattern) || patterns_.size() < kPatternsMax;
}

// Whether the record and all that its group would divide can be logged.
bool ManagedMembers::fits(const ManagedRecord* before, const ManagedRecord& record) {
  const size_t bytes_max = context_.config.mutation_bytes_max;
  if (encode(ManagedMemberPut{state_.name, 0, record}).size() > bytes_max) return false;
  const bool wants_the_same =
      before != nullptr && before->streams == record.streams && before->pattern == record.pattern;
  if (wants_the_same) return true;
  if (!has_room_for_pattern(record.pattern)) return false;
  index(record);
  const size_t weight_bytes = resolve().weight_bytes;
  unindex(record);
  return weight_bytes * kListsInMutation + kMutationBytesKept + record.id.size() + state_.name.size() <= bytes_max;
}

ManagedMembers::Streams ManagedMembers::resolve() const {
  Streams found;
  const auto add = [&](std::string_view name, const StreamDirectory::Entry& entry) {
    found.by_name.emplace(name, entry.id);
    if (found.sizes.emplace(entry.id, entry.partition_count).second) {
      found.weight_bytes += weight_bytes_of(entry.partition_count);
    }
  };
  for (const auto& [name, users] : names_) {
    if (const auto entry = context_.streams.find_stream(name)) add(name, *entry);
  }
  if (patterns_.empty()) return found;
  context_.streams.each_stream([&](std::string_view name, const StreamDirectory::Entry& entry) {
    for (const auto& [text, pattern] : patterns_) {
      if (!pattern.compiled || !pattern.compiled->matches(name)) continue;
      add(name, entry);
      found.by_pattern[text].push_back(entry.id);
    }
  });
  return found;
}

std::vector<Uuid> ManagedMembers::streams_of(const ManagedRecord& record, const Streams& streams) const {
  std::vector<Uuid> ids;
  if (record.pattern) {
    if (const auto matched = streams.by_pattern.find(*record.pattern); matched != streams.by_pattern.end()) {
      ids = matched->second;
      std::ranges::sort(ids);
    }
  }
  for (const std::string& name : record.streams) {
    if (const auto found = streams.by_name.find(name); found != streams.by_name.end()) add_once(ids, found->second);
  }
  return ids;
}

// ---- the division

void ManagedMembers::divide_if_due() {
  if (empty()) return;
  const bool is_old = managed().target_epoch < managed().epoch;
  if (!is_old && streams_seen_ == context_.streams_version) return;
  streams_seen_ = context_.streams_version;
  Streams streams = resolve();
  const size_t bytes_max = context_.config.mutation_bytes_max;
  // Streams have outgrown what can be logged: the division stays as it is, without those that came.
  const bool too_large = streams.weight_bytes * kListsInMutation + kMutationBytesKept > bytes_max;
  if (too_large) streams.sizes = managed().sizes;
  if (is_old || streams.sizes != managed().sizes) divide(streams);
}

void ManagedMembers::divide(const Streams& streams) {
  const int32_t epoch = managed().epoch + (managed().target_epoch == managed().epoch ? 1 : 0);
  std::vector<AssignorMember> members;
  members.reserve(managed().members.size());
  for (const auto& [id, member] : managed().members) {
    const auto& instance = member.record.instance_id;
    members.push_back({id, instance ? std::string_view(*instance) : std::string_view(),
                       streams_of(member.record, streams), &member.target});
  }
  const Assignor assignor = preferred_assignor();
  std::vector<PartitionList> given = assign(assignor, members, streams.sizes);
  std::vector<ManagedTargets::Target> changed;
  for (size_t i = 0; i < members.size(); ++i) {
    if (given[i] != *members[i].before) changed.push_back({std::string(members[i].id), std::move(given[i])});
  }
  log_targets(std::move(changed), {assignor, streams.sizes}, epoch);
}

void ManagedMembers::log_targets(std::vector<ManagedTargets::Target> changed, ManagedTargetsEnd end, int32_t epoch) {
  ManagedTargets part{.group = state_.name, .epoch = epoch, .targets = {}, .end = {}};
  size_t size_bytes = 0;
  for (ManagedTargets::Target& target : changed) {
    const size_t target_bytes = target.id.size() + target.partitions.size() * kPartitionBytes + kStreamBytes;
    if (size_bytes > 0 && size_bytes + target_bytes > kMutationBytesTarget) {
      log_(part);
      part.targets.clear();
      size_bytes = 0;
    }
    size_bytes += target_bytes;
    part.targets.push_back(std::move(target));
  }
  if (!part.targets.empty() && size_bytes > kMutationBytesTarget / 2) {
    log_(part);
    part.targets.clear();
  }
  part.end = std::move(end);
  log_(part);
}

// The one that most members ask for; nobody asks: uniform.
Assignor ManagedMembers::preferred_assignor() const {
  std::map<Assignor, size_t> votes;
  for (const auto& [id, member] : managed().members) {
    if (member.record.assignor) ++votes[*member.record.assignor];
  }
  const auto most = std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
  return most == votes.end() ? Assignor::kUniform : most->first;
}

}  // namespace polylog::broker
