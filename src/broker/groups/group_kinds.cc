// How a group changes between its two kinds, and what members of the one kind are told in a group of the other.
#include <algorithm>

#include "broker/groups/group.h"

namespace polylog::broker {

using base::MonoTime;
using base::WallTime;

void Group::reconcile(ReplyTo to, const ReconcileRequest& request, MonoTime now, WallTime wall) {
  if (!is_managed()) {
    const GroupError error = become_managed(request, now);
    if (error != GroupError::kNone) return reply(to, ReconcileReply{.error = error, .member_id = request.member_id});
  }
  ReconcileReply answer = managed_.reconcile(request, now, wall);
  hand_over_to_guests(now, wall);
  reply(to, std::move(answer));
}

// Who was never told its id cannot ask with it.
bool Group::becomes_guest(const Member& member) { return member.knows_id || member.record.instance_id; }

bool Group::has_room_beside_guests(const ReconcileRequest& request) const {
  if (request.instance_id && static_ids_.contains(*request.instance_id)) return true;  // takes that one's place
  const auto guests = std::ranges::count_if(members_, [](const auto& entry) { return becomes_guest(entry.second); });
  return static_cast<size_t>(guests) < context_.config.members_max;
}

Roster Group::future_guests() const {
  Roster roster{.generation = generation_, .protocol_type = protocol_type_};
  for (const auto& [id, member] : members_) {
    if (becomes_guest(member)) roster.members.push_back(member.record);
  }
  return roster;
}

// What the group would say if it were managed, tried out on one that is thrown away: who is refused changes nothing.
GroupError Group::rehearse(const ReconcileRequest& request, const Roster& guests, MonoTime now) {
  GroupState state;
  state.name = name();
  ManagedMembers trial(state, managed_context(), [&](const GroupMutation& mutation) { state.apply(mutation); });
  state.apply(ManagedBegun{name(), generation_});
  trial.start(now);
  trial.adopt(guests, now);
  const auto admitted = trial.admit(request);
  return admitted ? GroupError::kNone : admitted.error();
}

// Numbers go on from one kind to the other: a commit that was late by a whole life of the group is still told apart.
GroupError Group::become_managed(const ReconcileRequest& request, MonoTime now) {
  if (request.epoch != kJoinEpoch) return GroupError::kUnknownMember;
  if (phase_ != GroupPhase::kEmpty && !all_subscriptions_known()) return GroupError::kWrongKind;
  if (!has_room_beside_guests(request)) return GroupError::kGroupFull;
  const Roster guests = future_guests();
  if (const GroupError error = rehearse(request, guests, now); error != GroupError::kNone) return error;
  for (auto& [id, member] : members_) {
    JoinReply again;
    again.error = GroupError::kRebalanceInProgress;
    again.member_id = id;
    answer_join(member, std::move(again));
    answer_sync(member, GroupError::kRebalanceInProgress);
  }
  members_.clear();
  member_bytes_ = 0;
  static_ids_.clear();
  join_deadline_.reset();
  sync_deadline_.reset();
  phase_ = GroupPhase::kEmpty;
  log(ManagedBegun{name(), std::max(generation_, state_.generation_started)});
  managed_.start(now);
  managed_.adopt(guests, now);
  return GroupError::kNone;
}

void Group::become_member_led() {
  log(ManagedEnded{name(), state_.managed->epoch, state_.managed->changed});
  adopt_roster();
}

void Group::divided(const Division& division) {
  if (is_managed()) managed_.divided(division);
}

void Group::session_timeout_changed(MonoTime now) {
  if (is_managed()) managed_.session_timeout_changed(now);
}

// When the last who is not a guest has gone. A group whose roster does not fit stays managed.
void Group::hand_over_to_guests(MonoTime now, WallTime wall) {
  if (!is_managed() || !managed_.only_guests()) return;
  MembershipChanged change{name(), managed_.guest_roster()};
  change.roster.changed = wall;
  const std::vector<uint8_t> encoded = encode(change);
  if (encoded.size() > context_.config.mutation_bytes_max) return;
  std::map<std::string, int32_t> epochs;
  for (const auto& [id, member] : state_.managed->members) epochs[id] = member.holding.epoch;
  log(ManagedEnded{name(), state_.managed->epoch, wall});
  log(change, encoded);
  adopt_roster();
  for (auto& [id, member] : members_) {
    member.epoch_before = epochs.at(id);
    refresh_session(member, now);
  }
  prepare_rebalance(now, wall);
}

// And nobody has assigned since: a roster of no assignments, older than the group's last number. Its members believe that the
// group is still managed, and somebody's partitions are nobody's.
bool Group::was_handed_over() const {
  const Roster& roster = state_.roster;
  return !roster.members.empty() && roster.generation < state_.generation_started &&
         std::ranges::all_of(roster.members, [](const MemberRecord& member) { return member.assignment.empty(); });
}

// ---- guests

void Group::join_as_guest(ReplyTo to, const JoinRequest& request, MonoTime now) {
  if (!managed_.shares_a_protocol(request)) {
    return refuse_join(to, GroupError::kInconsistentProtocol, request.member_id);
  }
  std::string id = request.member_id;
  if (!id.empty() && pending_.erase(id) == 0 && !managed_.has_guest(id)) {
    return refuse_join(to, GroupError::kUnknownMember, std::move(id));
  }
  if (!id.empty()) return reply(to, managed_.join_guest(request, id, now));
  id = new_member_id(request);
  if (request.instance_id || !request.can_retry_with_id) return reply(to, managed_.join_guest(request, id, now));
  if (pending_.size() >= context_.config.members_max) return refuse_join(to, GroupError::kGroupFull);
  pending_[id] = now + std::chrono::milliseconds(request.session_timeout_ms);
  refuse_join(to, GroupError::kMemberIdRequired, std::move(id));
}

void Group::leave_managed(ReplyTo to, const LeaveRequest& request, MonoTime now, WallTime wall) {
  LeaveReply answer;
  for (const LeaveRequest::Member& leaver : request.members) {
    GroupError error = GroupError::kNone;
    if (pending_.erase(leaver.member_id) == 0) {
      error = managed_.remove_member(leaver.member_id, leaver.instance_id, wall);
    }
    answer.members.push_back({leaver.member_id, leaver.instance_id, error});
  }
  hand_over_to_guests(now, wall);
  reply(to, std::move(answer));
}

void Group::managed_on_time(MonoTime now, WallTime wall) {
  std::erase_if(pending_, [&](const auto& entry) { return entry.second <= now; });
  managed_.on_time(now, wall);
  hand_over_to_guests(now, wall);
}

std::optional<MonoTime> Group::wake_at() const {
  if (!is_managed()) return wake_at_;
  std::optional<MonoTime> wake = managed_.wake_at();
  for (const auto& [id, deadline] : pending_) wake = wake ? std::min(*wake, deadline) : deadline;
  return wake;
}

}  // namespace polylog::broker
