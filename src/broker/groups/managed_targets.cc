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
constexpr size_t kNamesMax = 65'536;  // different ones, whether there are such streams or not: each is looked up
// Every pattern is compared with every name when streams come and go.
constexpr size_t kPatternsMax = 32;
constexpr size_t kListsInMutation = 2;                            // held, and to be given up
constexpr size_t kMutationBytesTarget = 64 * base::limits::kKiB;  // longer divisions are split
constexpr size_t kMutationBytesKept = 4 * base::limits::kKiB;     // for ids and numbers

constexpr size_t kNameBytes = 32;  // of a name in a list
constexpr size_t kHeldBytes =
    2 * sizeof(base::PartitionKey) + 64;  // of a partition: target, holding, and that it is held

size_t bytes_of(const ManagedRecord& record) {
  size_t bytes = record.id.size() + record.instance_id.value_or("").size() + record.rack.value_or("").size() +
                 record.client_id.size() + record.client_host.size() + record.pattern.value_or("").size();
  for (const std::string& name : record.streams) bytes += kNameBytes + heap_bytes(name);
  return bytes + (record.guest ? bytes_of(record.guest->protocols) : 0);
}

size_t weight_bytes_of(uint32_t partition_count) { return kStreamBytes + size_t{partition_count} * kPartitionBytes; }

}  // namespace

size_t ManagedMembers::memory_bytes() const { return record_bytes_ + held_.size() * kHeldBytes; }

// ---- subscriptions

void ManagedMembers::index(const ManagedRecord& record) {
  record_bytes_ += bytes_of(record);
  for (const std::string& name : record.streams) {
    if (++names_[name] == 1) resolved_.reset();
  }
  if (!record.pattern) return;
  Pattern& pattern = patterns_[*record.pattern];
  if (pattern.users++ > 0) return;
  pattern.matched = context_.patterns.find(*record.pattern);
  resolved_.reset();
}

void ManagedMembers::unindex(const ManagedRecord& record) {
  record_bytes_ -= bytes_of(record);
  for (const std::string& name : record.streams) {
    const auto it = names_.find(name);
    if (--it->second > 0) continue;
    names_.erase(it);
    resolved_.reset();
  }
  if (!record.pattern) return;
  const auto it = patterns_.find(*record.pattern);
  if (--it->second.users > 0) return;
  patterns_.erase(it);
  resolved_.reset();
}

bool ManagedMembers::has_memory_for(const ManagedRecord* before, const ManagedRecord& record) const {
  const size_t now = before == nullptr ? 0 : bytes_of(*before), then = bytes_of(record);
  return then <= now || context_.memory_bytes + (then - now) <= context_.config.memory_bytes_max;
}

bool ManagedMembers::has_room_for_pattern(const std::optional<std::string>& pattern) const {
  if (!pattern || patterns_.contains(*pattern)) return true;
  return patterns_.size() < kPatternsMax && context_.patterns.has_room_for(*pattern);
}

// Whether the record and all that its group would divide can be logged.
bool ManagedMembers::fits(const ManagedRecord* before, const ManagedRecord& record) {
  const size_t bytes_max = context_.config.mutation_bytes_max;
  if (encode(ManagedMemberPut{state_.name, 0, record}).size() > bytes_max) return false;
  const bool wants_the_same =
      before != nullptr && before->streams == record.streams && before->pattern == record.pattern;
  if (wants_the_same) return true;
  index(record);
  const bool has_too_many_names = names_.size() > kNamesMax;
  const size_t weight = has_too_many_names ? 0 : resolved().weight_bytes;
  unindex(record);
  if (has_too_many_names) return false;
  return weight * kListsInMutation + kMutationBytesKept + record.id.size() + state_.name.size() <= bytes_max;
}

// Many ask for what others have asked for: then it is known.
const ManagedMembers::Streams& ManagedMembers::resolved() {
  if (!resolved_ || resolved_->version != context_.streams_version) resolved_ = resolve();
  return *resolved_;
}

ManagedMembers::Streams ManagedMembers::resolve() const {
  Streams found{.version = context_.streams_version};
  StreamSizes once;
  StreamIds ids;
  std::vector<std::pair<Uuid, uint32_t>> sizes;
  for (const auto& [name, users] : names_) {
    const auto entry = context_.streams.find_stream(name);
    if (!entry) continue;
    ids.emplace_back(name, entry->id);
    sizes.emplace_back(entry->id, entry->partition_count);
  }
  for (const auto& [text, pattern] : patterns_) {
    if (pattern.matched == nullptr) continue;
    for (const auto& [name, entry] : pattern.matched->streams) sizes.emplace_back(entry.id, entry.partition_count);
  }
  std::ranges::sort(sizes);
  for (const auto& [id, partition_count] : sizes) {
    if (!once.empty() && once.rbegin()->first == id) continue;
    once.emplace_hint(once.end(), id, partition_count);
    found.weight_bytes += weight_bytes_of(partition_count);
  }
  found.ids = std::make_shared<const StreamIds>(std::move(ids));
  found.sizes = std::make_shared<const StreamSizes>(std::move(once));
  return found;
}

// ---- the division

void ManagedMembers::divide_if_due() {
  if (empty() || dividing_ != nullptr) return;
  const bool is_old = managed().target_epoch < managed().epoch;
  if (!is_old && streams_seen_ == context_.streams_version) return;
  streams_seen_ = context_.streams_version;
  const Streams& streams = resolved();
  const size_t bytes_max = context_.config.mutation_bytes_max;
  // Streams have outgrown what can be logged: the division stays as it is, without those that came.
  const bool too_large = streams.weight_bytes * kListsInMutation + kMutationBytesKept > bytes_max;
  const auto sizes = too_large ? std::make_shared<const StreamSizes>(managed().sizes) : streams.sizes;
  if (is_old || *sizes != managed().sizes) divide(sizes);
}

void ManagedMembers::divide(std::shared_ptr<const StreamSizes> sizes) {
  std::shared_ptr<Division> division = division_of(std::move(sizes));
  if (division->is_small()) {
    division->run();
    return take_over(*division);
  }
  // Members need an epoch to begin with: that of a division of nothing.
  if (managed().target_epoch == 0) {
    log_targets({}, {division->assignor, {}}, managed().epoch);
    division->base_epoch = managed().epoch;
    division->epoch = managed().epoch + 1;
  }
  dividing_ = division;
  context_.divide(state_.name, std::move(division));
}

std::shared_ptr<Division> ManagedMembers::division_of(std::shared_ptr<const StreamSizes> sizes) {
  auto division = std::make_shared<Division>();
  division->base_epoch = managed().epoch;
  division->epoch = managed().epoch + (managed().target_epoch == managed().epoch ? 1 : 0);
  division->assignor = preferred_assignor();
  division->sizes = std::move(sizes);
  division->members.reserve(managed().members.size());
  division->ids = resolved().ids;
  std::map<std::string_view, size_t> patterns;
  for (const auto& [text, pattern] : patterns_) {
    patterns.emplace(text, patterns.size());
    std::vector<Uuid>& streams = division->patterns.emplace_back();
    if (pattern.matched == nullptr) continue;
    for (const auto& [name, entry] : pattern.matched->streams) streams.push_back(entry.id);
  }
  for (const auto& [id, member] : managed().members) {
    const ManagedRecord& record = member.record;
    division->members.push_back({.id = id,
                                 .instance_id = record.instance_id,
                                 .names = record.streams,
                                 .pattern = record.pattern ? std::optional(patterns.at(*record.pattern)) : std::nullopt,
                                 .before = member.target});
  }
  return division;
}

// Who left while it was computed is passed over, and who came or wants something else since: they find nothing new, and the
// group's epoch says that this is so. Who took somebody's place gets what that one would have got.
void ManagedMembers::take_over(const Division& division) {
  const bool was_overtaken = managed().epoch != division.base_epoch;
  if (was_overtaken && division.epoch != division.base_epoch) return;  // another change has taken its number
  if (division.epoch < managed().target_epoch) return;                 // the group was empty meanwhile
  std::vector<ManagedTargets::Target> changed;
  for (size_t i = 0; i < division.members.size(); ++i) {
    const ManagedMember* member = member_of(division.members[i]);
    if (member == nullptr || wants_anew_.contains(member->record.id)) continue;
    if (division.given[i] != member->target) changed.push_back({member->record.id, division.given[i]});
  }
  log_targets(std::move(changed), {division.assignor, *division.sizes}, division.epoch);
}

// By its instance if it has one: its id may be another by now, and the one that it had somebody else's.
const ManagedMember* ManagedMembers::member_of(const Division::Member& divided) const {
  const auto instance = divided.instance_id ? instances_.find(*divided.instance_id) : instances_.end();
  if (divided.instance_id && instance == instances_.end()) return nullptr;
  const auto member = managed().members.find(divided.instance_id ? instance->second : divided.id);
  return member == managed().members.end() ? nullptr : &member->second;
}

void ManagedMembers::divided(const Division& division) {
  if (dividing_.get() != &division) return;  // of an earlier life of the group
  const std::shared_ptr<Division> kept = std::exchange(dividing_, nullptr);
  if (!empty()) take_over(division);
  wants_anew_.clear();
  divide_if_due();
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
  log_(std::move(part));
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
