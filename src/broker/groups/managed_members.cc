#include "broker/groups/managed_members.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace polylog::broker {

using base::MonoTime;
using base::PartitionKey;
using base::WallTime;

namespace {

PartitionList sorted(PartitionList list) {
  std::ranges::sort(list);
  const auto repeated = std::ranges::unique(list);
  list.erase(repeated.begin(), repeated.end());
  return list;
}

PartitionList both(const PartitionList& a, const PartitionList& b) {
  PartitionList out;
  std::ranges::set_intersection(a, b, std::back_inserter(out));
  return out;
}

PartitionList only_first(const PartitionList& a, const PartitionList& b) {
  PartitionList out;
  std::ranges::set_difference(a, b, std::back_inserter(out));
  return out;
}

// What its owner does not mention may still be in use.
bool has_given_up(const PartitionList& lost, const std::optional<PartitionList>& owned) {
  return lost.empty() || (owned && both(lost, *owned).empty());
}

std::optional<std::string> unless_empty(const std::optional<std::string>& text) {
  return text && !text->empty() ? text : std::nullopt;
}

}  // namespace

ManagedMembers::ManagedMembers(const GroupState& state, Context context, std::function<void(const GroupMutation&)> log)
    : state_(state), context_(std::move(context)), log_(std::move(log)) {}

void ManagedMembers::start(MonoTime now) {
  deadlines_.clear();
  instances_.clear();
  names_.clear();
  patterns_.clear();
  held_.clear();
  record_bytes_ = 0;
  unknown_ = 0;
  streams_seen_ = 0;
  dividing_.reset();
  wants_anew_.clear();
  resolved_.reset();
  for (const auto& [id, member] : managed().members) {
    index(member.record);
    if (member.record.instance_id) instances_[*member.record.instance_id] = id;
    held_.insert(member.holding.assigned.begin(), member.holding.assigned.end());
    held_.insert(member.holding.revoking.begin(), member.holding.revoking.end());
    if (!member.holding.known) ++unknown_;
    set_deadlines(id, now);
  }
}

// ---- who asks

bool ManagedMembers::has_member(const std::string& id, const std::optional<std::string>& instance_id) const {
  return managed().members.contains(id) || (instance_id && instances_.contains(*instance_id));
}

std::expected<ManagedMembers::Place, GroupError> ManagedMembers::locate(const ReconcileRequest& request) const {
  const bool joins = request.epoch == kJoinEpoch;
  const auto& members = managed().members;
  const auto member = members.find(request.member_id);
  if (request.instance_id) {
    const auto instance = instances_.find(*request.instance_id);
    if (instance == instances_.end() && member == members.end() && joins) return Place{};
    if (instance == instances_.end()) return std::unexpected(GroupError::kUnknownMember);
    if (instance->second != request.member_id) {
      if (!joins) return std::unexpected(GroupError::kFencedInstance);
      const ManagedMember& other = members.at(instance->second);
      const bool released = other.holding.epoch == kAwayEpoch || other.record.guest;  // guests do not say so
      if (!released || member != members.end()) return std::unexpected(GroupError::kUnreleasedInstance);
      return Place{Place::How::kReplaces, instance->second};
    }
  } else if (member == members.end()) {
    if (joins) return Place{};
    return std::unexpected(GroupError::kUnknownMember);
  }
  if (!joins && member->second.record.guest) return std::unexpected(GroupError::kUnknownMember);
  if (const GroupError error = check_epoch(member->second, request); error != GroupError::kNone) {
    return std::unexpected(error);
  }
  return Place{Place::How::kKnown, request.member_id};
}

// The answer with the newest epoch may have been lost: the one before is good too, from a member that holds nothing that
// was taken from it.
GroupError ManagedMembers::check_epoch(const ManagedMember& member, const ReconcileRequest& request) const {
  const Holding& holding = member.holding;
  if (request.epoch == kJoinEpoch || request.epoch == holding.epoch) return GroupError::kNone;
  if (request.epoch > holding.epoch || request.epoch != holding.previous_epoch || !request.owned) {
    return GroupError::kFencedEpoch;
  }
  return only_first(sorted(*request.owned), holding.assigned).empty() ? GroupError::kNone : GroupError::kFencedEpoch;
}

ManagedRecord ManagedMembers::record_of(const ReconcileRequest& request, const Place& place) const {
  ManagedRecord record;
  if (place.how != Place::How::kNew) record = managed().members.at(place.id).record;
  if (place.how != Place::How::kKnown) record.id = request.member_id;
  if (record.id.empty()) record.id = context_.new_id().to_string();
  record.client_id = request.client_id;
  record.client_host = request.client_host;
  if (request.instance_id) record.instance_id = request.instance_id;
  if (request.rack) record.rack = unless_empty(request.rack);
  if (request.rebalance_timeout_ms) record.rebalance_timeout_ms = std::max(*request.rebalance_timeout_ms, 1);
  if (request.streams) record.streams = *request.streams;
  if (request.pattern) record.pattern = unless_empty(request.pattern);
  if (request.epoch == kJoinEpoch && !request.streams) record.streams = {};
  if (request.epoch == kJoinEpoch && !request.pattern) record.pattern.reset();
  if (request.assignor || request.epoch == kJoinEpoch) record.assignor = request.assignor;
  record.guest.reset();
  return record;
}

// ---- answering

ReconcileReply ManagedMembers::reconcile(const ReconcileRequest& request, MonoTime now, WallTime wall) {
  if (request.epoch < kJoinEpoch) return leave(request, wall);
  ReconcileReply reply{.error = GroupError::kNone, .member_id = request.member_id};
  const auto admitted = admit(request);
  if (!admitted) {
    reply.error = admitted.error();
    return reply;
  }
  const std::string& id = *admitted;
  divide_if_due();
  const PartitionList before = managed().members.at(id).holding.assigned;
  advance(id, request.owned ? std::optional(sorted(*request.owned)) : std::nullopt);
  set_deadlines(id, now);
  const Holding& holding = managed().members.at(id).holding;
  const bool told_all = request.rebalance_timeout_ms && (request.streams || request.pattern) && request.owned;
  reply.member_id = id;
  reply.epoch = holding.epoch;
  reply.heartbeat_interval_ms = context_.config.managed_heartbeat_interval_ms_of(state_.name);
  if (request.epoch == kJoinEpoch || told_all || holding.assigned != before) reply.assignment = holding.assigned;
  return reply;
}

std::expected<std::string, GroupError> ManagedMembers::admit(const ReconcileRequest& request) {
  const auto place = locate(request);
  if (!place) return std::unexpected(place.error());
  ManagedRecord record = record_of(request, *place);
  if (const GroupError error = take_in(*place, record); error != GroupError::kNone) return std::unexpected(error);
  return std::move(record.id);
}

GroupError ManagedMembers::take_in(const Place& place, const ManagedRecord& record) {
  const bool is_new = place.how == Place::How::kNew;
  const ManagedRecord* before = is_new ? nullptr : &managed().members.at(place.id).record;
  if (before != nullptr && *before == record) return GroupError::kNone;
  if (is_new && managed().members.size() >= context_.config.members_max) return GroupError::kGroupFull;
  if (!has_memory_for(before, record)) return GroupError::kNoMemory;
  if (!has_room_for_pattern(record.pattern)) return GroupError::kGroupTooLarge;
  if (record.pattern && !context_.patterns.find(*record.pattern)) return GroupError::kBadPattern;
  if (!fits(before, record)) return GroupError::kGroupTooLarge;
  const bool wants_the_same = before != nullptr && before->streams == record.streams &&
                              before->pattern == record.pattern && before->assignor == record.assignor;
  if (place.how == Place::How::kReplaces) {
    replace(place.id, record);
    if (wants_the_same) return GroupError::kNone;
  }
  put(record, !wants_the_same);
  return GroupError::kNone;
}

void ManagedMembers::put(const ManagedRecord& record, bool new_epoch) {
  if (const auto member = managed().members.find(record.id); member != managed().members.end()) {
    unindex(member->second.record);
  }
  log_(ManagedMemberPut{state_.name, managed().epoch + (new_epoch ? 1 : 0), record});
  if (new_epoch && dividing_ != nullptr) wants_anew_.insert(record.id);
  index(record);
  if (record.instance_id) instances_[*record.instance_id] = record.id;
}

void ManagedMembers::replace(const std::string& old_id, const ManagedRecord& record) {
  const std::string old = old_id;
  unindex(managed().members.at(old).record);
  log_(ManagedMemberReplaced{state_.name, old, record});
  index(record);
  instances_[*record.instance_id] = record.id;
  if (wants_anew_.erase(old) > 0) wants_anew_.insert(record.id);
  deadlines_.erase(old);
}

// ---- a member's way to its target

void ManagedMembers::advance(const std::string& id, const std::optional<PartitionList>& owned) {
  const ManagedMember& member = managed().members.at(id);
  Holding next = next_holding(member, owned);
  if (next != member.holding) hold(id, std::move(next));
}

Holding ManagedMembers::next_holding(const ManagedMember& member, const std::optional<PartitionList>& owned) const {
  const Holding& now = member.holding;
  if (!now.known && !owned) return now;
  if (!has_given_up(now.revoking, owned)) return now;
  Holding next = now;
  next.known = true;
  next.assigned = both(now.assigned, member.target);
  next.revoking = only_first(now.assigned, member.target);
  if (!has_given_up(next.revoking, owned)) return next;
  next.revoking.clear();
  const auto is_free = [&](const PartitionKey& key) {
    return (unknown_ == 0 && !held_.contains(key)) || std::ranges::binary_search(now.assigned, key) ||
           std::ranges::binary_search(now.revoking, key);
  };
  std::ranges::copy_if(only_first(member.target, next.assigned), std::back_inserter(next.assigned), is_free);
  std::ranges::sort(next.assigned);
  next.epoch = managed().target_epoch;
  if (next.epoch != now.epoch) next.previous_epoch = now.epoch;
  return next;
}

void ManagedMembers::hold(const std::string& id, Holding holding) {
  const Holding& before = managed().members.at(id).holding;
  release(before);
  log_(ManagedHolding{state_.name, id, std::move(holding)});
  const Holding& after = managed().members.at(id).holding;
  if (!after.known) ++unknown_;
  for (const PartitionList* list : {&after.assigned, &after.revoking}) {
    for (const PartitionKey& key : *list) CHECK(held_.insert(key).second, "a partition with two owners: " + describe());
  }
}

void ManagedMembers::release(const Holding& holding) {
  for (const PartitionKey& key : holding.assigned) held_.erase(key);
  for (const PartitionKey& key : holding.revoking) held_.erase(key);
  if (!holding.known) --unknown_;
}

// ---- leaving

ReconcileReply ManagedMembers::leave(const ReconcileRequest& request, WallTime wall) {
  ReconcileReply reply{.error = GroupError::kNone, .member_id = request.member_id, .epoch = request.epoch};
  const auto member = managed().members.find(request.member_id);
  if (request.instance_id) {
    const auto instance = instances_.find(*request.instance_id);
    if (instance == instances_.end()) {
      reply.error = GroupError::kUnknownMember;
    } else if (instance->second != request.member_id) {
      reply.error = GroupError::kFencedInstance;
    }
  } else if (member == managed().members.end()) {
    reply.error = GroupError::kUnknownMember;
  }
  if (reply.error == GroupError::kNone && member->second.record.guest) reply.error = GroupError::kUnknownMember;
  if (reply.error != GroupError::kNone) return reply;
  if (request.epoch == kLeaveEpoch || !member->second.record.instance_id) {
    remove({request.member_id}, wall);
    return reply;
  }
  // It reads nothing meanwhile; what it was to give up is free, the rest waits for it until its session ends.
  const Holding& holding = member->second.holding;
  if (holding.epoch != kAwayEpoch) {
    hold(request.member_id, {.epoch = kAwayEpoch,
                             .previous_epoch = holding.epoch,
                             .assigned = holding.assigned,
                             .revoking = {},
                             .known = holding.known});
  }
  deadlines_.at(request.member_id).revoke.reset();
  return reply;
}

void ManagedMembers::remove(const std::vector<std::string>& ids, WallTime wall) {
  for (const std::string& id : ids) {
    const ManagedMember& member = managed().members.at(id);
    release(member.holding);
    unindex(member.record);
    if (member.record.instance_id) instances_.erase(*member.record.instance_id);
    wants_anew_.erase(id);
    deadlines_.erase(id);
    log_(ManagedMemberGone{state_.name, managed().epoch + 1, wall, id});
  }
  if (!ids.empty()) divide_if_due();
}

void ManagedMembers::set_deadlines(const std::string& id, MonoTime now) {
  const ManagedMember& member = managed().members.at(id);
  Deadlines& deadlines = deadlines_[id];
  deadlines.session = now + (member.record.guest ? std::chrono::milliseconds(member.record.guest->session_timeout_ms)
                                                 : context_.config.managed_session_timeout(state_.name));
  wake_by(deadlines.session);
  if (member.holding.revoking.empty() && member.holding.known) {
    deadlines.revoke.reset();
  } else if (!deadlines.revoke) {
    deadlines.revoke = now + std::chrono::milliseconds(member.record.rebalance_timeout_ms);
    wake_by(*deadlines.revoke);
  }
}

// ---- cursors

GroupError ManagedMembers::check_commit(const CommitRequest& request) const {
  if (request.generation < 0 && empty()) return GroupError::kNone;
  const auto member = managed().members.find(request.member_id);
  if (member == managed().members.end()) return GroupError::kUnknownMember;
  if (const auto& guest = member->second.record.guest; guest) {
    return request.generation == member->second.holding.epoch ? GroupError::kNone : GroupError::kIllegalGeneration;
  }
  if (!request.knows_epochs) return GroupError::kUnsupported;
  return request.generation == member->second.holding.epoch ? GroupError::kNone : GroupError::kStaleEpoch;
}

GroupError ManagedMembers::check_fetch(const FetchCursorsRequest& request) const {
  if (request.member_id.empty() && request.epoch < 0) return GroupError::kNone;
  const auto member = managed().members.find(request.member_id);
  if (member == managed().members.end()) return GroupError::kUnknownMember;
  return request.epoch == member->second.holding.epoch ? GroupError::kNone : GroupError::kStaleEpoch;
}

}  // namespace polylog::broker
