#include "broker/groups/group.h"

#include <utility>

#include "base/check.h"

namespace polylog::broker {

using base::MonoTime;
using base::WallTime;

Group::Group(std::string name, GroupContext& context, base::Lsn absent_since)
    : context_(context),
      absent_since_(absent_since),
      managed_(state_, managed_context(), [this](const GroupMutation& mutation) { log(mutation); }) {
  state_.name = std::move(name);
}

ManagedMembers::Context Group::managed_context() {
  return {.config = context_.config,
          .streams = context_.streams,
          .memory_bytes = context_.memory_bytes,
          .streams_version = context_.streams_version,
          .new_id = context_.new_id,
          .patterns = context_.patterns,
          .divide = context_.divide};
}

namespace {
// At least a moment, whatever the client says: a deadline must lie ahead.
int32_t rebalance_timeout_of(const JoinRequest& request) {
  return std::max(request.rebalance_timeout_ms.value_or(request.session_timeout_ms), 1);
}
}  // namespace

// --- memory

namespace {
constexpr size_t kGroupBytes = 1536;  // with its places in the table
constexpr size_t kMemberBytes = 512;
constexpr size_t kPendingBytes = 512;  // with the longest id
constexpr size_t kRecordCopies = 2;    // as it is at work and as it is durable
constexpr size_t kIdPrefixBytesMax = 255;
constexpr size_t kAssignmentBytesFree = 4 * base::limits::kKiB;  // of a member, however little memory is left

}  // namespace

// What a client says of itself may be long; an id of its own need not be.
std::string Group::new_member_id(const JoinRequest& request) const {
  return request.instance_id.value_or(request.client_id).substr(0, kIdPrefixBytesMax) + "-" +
         context_.new_id().to_string();
}

size_t Group::memory_bytes() const {
  const size_t members = is_managed() ? managed_.memory_bytes() : kRecordCopies * member_bytes_;
  return kGroupBytes + 4 * name().size() + state_.cursors.bytes() + members +
         (members_.size() + member_count()) * kMemberBytes + pending_.size() * kPendingBytes;
}

void Group::recharge() {
  context_.memory_bytes -= charged_bytes_;
  charged_bytes_ = memory_bytes();
  context_.memory_bytes += charged_bytes_;
}

bool Group::has_member(const std::string& id, const std::optional<std::string>& instance_id) const {
  if (pending_.contains(id)) return true;
  if (is_managed()) return managed_.has_member(id, instance_id);
  return members_.contains(id) || (instance_id && static_ids_.contains(*instance_id));
}

void Group::recount_members() {
  member_bytes_ = 0;
  for (const auto& [id, member] : members_) member_bytes_ += bytes_of(member.record);
}

// --- durable state

void Group::log(const GroupMutation& mutation, base::View encoded) {
  lsn_ = context_.output.log(encoded);
  state_.apply(mutation);
}

void Group::replay(const GroupMutation& mutation, base::Lsn lsn) {
  if (lsn <= lsn_) return;  // the checkpoint this group came from has it already
  state_.apply(mutation);
  lsn_ = lsn;
}

void Group::restore(GroupState state, base::Lsn stamp) {
  CHECK(state.name == state_.name, "snapshot of " + state.name + " restored as " + state_.name);
  state_ = std::move(state);
  lsn_ = stamp;
}

void Group::start(MonoTime now, WallTime wall) {
  if (is_managed()) return managed_.start(now);
  adopt_roster();
  for (auto& [id, member] : members_) refresh_session(member, now);
  if (was_handed_over()) prepare_rebalance(now, wall);
}

void Group::adopt_roster() {
  const Roster& roster = state_.roster;
  generation_ = roster.generation;
  protocol_type_ = roster.protocol_type;
  protocol_ = roster.protocol;
  leader_ = roster.leader;
  phase_ = roster.members.empty() ? GroupPhase::kEmpty : GroupPhase::kStable;
  for (const MemberRecord& record : roster.members) {
    Member& member = members_[record.id];
    member.record = record;
    member_bytes_ += bytes_of(record);
    member.join_order = ++joins_;
    member.knows_id = true;
    if (record.instance_id) static_ids_[*record.instance_id] = record.id;
  }
}

// --- join

void Group::join(ReplyTo to, const JoinRequest& request, MonoTime now, WallTime wall) {
  if (is_managed()) {
    if (!managed_.empty()) return join_as_guest(to, request, now);
    if (!request.member_id.empty()) return refuse_join(to, GroupError::kUnknownMember, request.member_id);
  }
  if (!has_room_for(request) || !roster_fits(request)) {
    const bool known = members_.contains(request.member_id);
    refuse_join(to, GroupError::kGroupFull);
    if (!known) return;
    remove_member(request.member_id, GroupError::kGroupFull);
    return after_removal(true, now, wall);
  }
  if (const size_t more = growth(request); more > 0 && !context_.has_memory_for(kRecordCopies * more)) {
    const bool was_expected = pending_.erase(request.member_id) > 0;
    refuse_join(to, GroupError::kNoMemory, request.member_id);
    if (was_expected) after_removal(false, now, wall);  // nobody waits for it any more
    return;
  }
  if (!shares_a_protocol(request)) return refuse_join(to, GroupError::kInconsistentProtocol, request.member_id);
  if (is_managed()) become_member_led();  // not before it is sure that somebody may join
  if (request.member_id.empty()) return join_new(to, request, now, wall);
  join_known(to, request, now, wall);
}

bool Group::has_room_for(const JoinRequest& request) const {
  const size_t members_max = context_.config.members_max;
  if (request.instance_id && static_ids_.contains(*request.instance_id)) return true;  // takes its own place again
  switch (phase_) {
    case GroupPhase::kEmpty: return pending_.size() < members_max || pending_.contains(request.member_id);
    case GroupPhase::kPreparingRebalance: {
      const auto member = members_.find(request.member_id);
      if (member != members_.end() && member->second.joined) return true;
      size_t taken = pending_.size() - pending_.count(request.member_id);
      for (const auto& [id, other] : members_) taken += other.joined;
      return taken < members_max;
    }
    case GroupPhase::kCompletingRebalance:
    case GroupPhase::kStable:
      return members_.contains(request.member_id) ||
             members_.size() + pending_.size() - pending_.count(request.member_id) < members_max;
    case GroupPhase::kAssigning:
    case GroupPhase::kReconciling:
    case GroupPhase::kDead: break;
  }
  return false;
}

// What does not fit a mutation could never be settled.
bool Group::roster_fits(const JoinRequest& request) const {
  constexpr size_t kNumbersBytes = 32, kRosterBytes = 1024;  // of a member, and of all together with a new member's id
  const size_t others = (members_.size() + 1) * kNumbersBytes + kRosterBytes;
  return member_bytes_ + growth(request) + others <= context_.config.mutation_bytes_max;
}

// How much more the member, which may be there already, has to say.
size_t Group::growth(const JoinRequest& request) const {
  const std::string* id = &request.member_id;
  if (request.instance_id) {
    if (const auto it = static_ids_.find(*request.instance_id); it != static_ids_.end()) id = &it->second;
  }
  const auto member = members_.find(*id);
  const size_t before = member == members_.end() ? 0 : bytes_of(member->second.record);
  return std::max(bytes_of(request), before) - before;
}

bool Group::shares_a_protocol(const JoinRequest& request) const {
  if (request.protocol_type.empty() || request.protocols.empty()) return false;
  if (members_.empty()) return true;
  if (request.protocol_type != protocol_type_) return false;
  std::string own_id = request.member_id;
  if (request.instance_id) {
    if (const auto it = static_ids_.find(*request.instance_id); it != static_ids_.end()) own_id = it->second;
  }
  for (const GroupProtocol& protocol : request.protocols) {
    if (all_support(protocol.name, own_id)) return true;
  }
  return false;
}

void Group::join_new(ReplyTo to, const JoinRequest& request, MonoTime now, WallTime wall) {
  if (request.instance_id && static_ids_.contains(*request.instance_id)) return replace_static(to, request, now, wall);
  std::string id = new_member_id(request);
  if (!request.instance_id && request.can_retry_with_id) {
    const MonoTime deadline = now + std::chrono::milliseconds(request.session_timeout_ms);
    pending_[id] = deadline;
    wake_by(deadline);
    return refuse_join(to, GroupError::kMemberIdRequired, std::move(id));
  }
  wait_for_rebalance(add_member(std::move(id), request), to, now, wall);
}

void Group::join_known(ReplyTo to, const JoinRequest& request, MonoTime now, WallTime wall) {
  const std::string& id = request.member_id;
  if (!request.instance_id && pending_.erase(id) > 0) {
    Member& member = add_member(id, request);
    member.knows_id = true;
    return wait_for_rebalance(member, to, now, wall);
  }
  if (const GroupError error = check_member(id, request.instance_id); error != GroupError::kNone) {
    return refuse_join(to, error, id);
  }
  Member& member = members_.at(id);
  member.knows_id = true;
  const bool unchanged = member.record.protocols == request.protocols;
  const bool answer_now =
      unchanged && (phase_ == GroupPhase::kCompletingRebalance || (phase_ == GroupPhase::kStable && id != leader_));
  if (!answer_now) {
    member_bytes_ -= bytes_of(member.record);
    member.record.protocols = request.protocols;
    member.record.subscriptions = request.subscriptions;
    member.record.client_id = request.client_id;
    member.record.client_host = request.client_host;
    member_bytes_ += bytes_of(member.record);
    member.record.session_timeout_ms = request.session_timeout_ms;
    member.record.rebalance_timeout_ms = rebalance_timeout_of(request);
    return wait_for_rebalance(member, to, now, wall);
  }
  refresh_session(member, now);
  reply(to, current_generation(member));
}

// A static member came back without its id: it gets a new one, whoever still uses the old one is fenced.
void Group::replace_static(ReplyTo to, const JoinRequest& request, MonoTime now, WallTime wall) {
  const std::string old_id = static_ids_.at(*request.instance_id);
  const std::string leader_before = leader_;
  auto node = members_.extract(old_id);
  Member old = std::move(node.mapped());
  member_bytes_ -= bytes_of(old.record);
  JoinReply fenced;
  fenced.error = GroupError::kFencedInstance;
  fenced.member_id = old_id;
  answer_join(old, std::move(fenced));
  answer_sync(old, GroupError::kFencedInstance);

  std::string id = new_member_id(request);
  if (leader_ == old_id) leader_ = id;
  Member& member = add_member(std::move(id), request);
  member.join_order = old.join_order;
  member.sync_due = old.sync_due;
  member.record.assignment = std::move(old.record.assignment);
  member_bytes_ += member.record.assignment.size();
  const bool same_work = old.record.subscriptions == member.record.subscriptions;
  if (phase_ == GroupPhase::kStable && same_work && select_protocol() == protocol_) {
    refresh_session(member, now);
    if (keep_roster_of_replaced(to, request, member.record.id, leader_before, wall)) return;
  }
  wait_for_rebalance(member, to, now, wall);
}

// Nothing changed but the id: no rebalance. A leader that cannot be told to skip the assignment is shown its old id as
// the leader's, so that it does not assign.
bool Group::keep_roster_of_replaced(ReplyTo to, const JoinRequest& request, const std::string& id,
                                    const std::string& leader_before, WallTime wall) {
  if (!settle_roster(wall)) return false;
  Member& member = members_.at(id);
  member.knows_id = true;
  JoinReply answer = current_generation(member);
  if (request.can_skip_assignment) {
    answer.skip_assignment = id == leader_;
  } else {
    answer.leader = leader_before;
    answer.members.clear();
  }
  reply(to, std::move(answer));
  return true;
}

Group::Member& Group::add_member(std::string id, const JoinRequest& request) {
  if (members_.empty()) protocol_type_ = request.protocol_type;
  if (request.instance_id) static_ids_[*request.instance_id] = id;
  Member& member = members_[id];
  member.join_order = ++joins_;
  member.record = MemberRecord{
      .id = std::move(id),
      .instance_id = request.instance_id,
      .client_id = request.client_id,
      .client_host = request.client_host,
      .session_timeout_ms = request.session_timeout_ms,
      .rebalance_timeout_ms = rebalance_timeout_of(request),
      .protocols = request.protocols,
      .subscriptions = request.subscriptions,
      .assignment = {},
  };
  member_bytes_ += bytes_of(member.record);
  newcomer_ = true;
  return member;
}

void Group::wait_for_rebalance(Member& member, ReplyTo to, MonoTime now, WallTime wall) {
  JoinReply superseded;  // an earlier try of the same member, e.g. on a connection it gave up
  superseded.error = GroupError::kRebalanceInProgress;
  superseded.member_id = member.record.id;
  answer_join(member, std::move(superseded));
  member.join_waiter = to;
  member.joined = true;
  refresh_session(member, now);
  if (phase_ == GroupPhase::kPreparingRebalance) {
    complete_join_if_all_here(now, wall);
  } else {
    prepare_rebalance(now, wall);
  }
}

void Group::refuse_join(ReplyTo to, GroupError error, std::string member_id) {
  JoinReply refusal;
  refusal.error = error;
  refusal.member_id = std::move(member_id);
  reply(to, std::move(refusal));
}

void Group::answer_join(Member& member, JoinReply answer) {
  if (!member.join_waiter) return;
  member.knows_id = true;
  reply(*std::exchange(member.join_waiter, std::nullopt), std::move(answer));
}

JoinReply Group::current_generation(const Member& member) const {
  JoinReply answer;
  answer.generation = generation_;
  answer.protocol_type = protocol_type_;
  answer.protocol = protocol_;
  answer.leader = leader_;
  answer.member_id = member.record.id;
  if (member.record.id == leader_) answer.members = roster_for_leader();
  return answer;
}

namespace {
std::string metadata_for(const MemberRecord& record, const std::string& protocol) {
  for (const GroupProtocol& candidate : record.protocols) {
    if (candidate.name == protocol) return candidate.metadata;
  }
  return {};
}
}  // namespace

std::vector<JoinReply::Member> Group::roster_for_leader() const {
  std::vector<JoinReply::Member> roster;
  roster.reserve(members_.size());
  for (const auto& [id, member] : members_) {
    roster.push_back({id, member.record.instance_id, metadata_for(member.record, protocol_)});
  }
  return roster;
}

// --- sync

GroupError Group::check_member(const std::string& id, const std::optional<std::string>& instance_id) const {
  if (instance_id) {
    const auto it = static_ids_.find(*instance_id);
    if (it == static_ids_.end()) return GroupError::kUnknownMember;
    if (it->second != id) return GroupError::kFencedInstance;
  }
  return members_.contains(id) ? GroupError::kNone : GroupError::kUnknownMember;
}

GroupError Group::check_sync(const SyncRequest& request) const {
  if (const GroupError error = check_member(request.member_id, request.instance_id); error != GroupError::kNone) {
    return error;
  }
  if (request.generation != generation_) return GroupError::kIllegalGeneration;
  if (request.protocol_type && *request.protocol_type != protocol_type_) return GroupError::kInconsistentProtocol;
  if (request.protocol && *request.protocol != protocol_) return GroupError::kInconsistentProtocol;
  if (phase_ == GroupPhase::kPreparingRebalance) return GroupError::kRebalanceInProgress;
  return GroupError::kNone;
}

void Group::sync(ReplyTo to, const SyncRequest& request, MonoTime now, WallTime wall) {
  if (is_managed()) return reply(to, managed_.sync_guest(request, now));
  if (const GroupError error = check_sync(request); error != GroupError::kNone) {
    return reply(to, SyncReply{.error = error, .protocol_type = {}, .protocol = {}, .assignment = {}});
  }
  Member& member = members_.at(request.member_id);
  answer_sync(member, GroupError::kRebalanceInProgress);  // an earlier try of the same member
  member.sync_waiter = to;
  member.sync_due = false;
  refresh_session(member, now);
  if (phase_ == GroupPhase::kStable) return answer_sync(member, GroupError::kNone);
  if (request.member_id != leader_) return;
  if (!may_assign(request)) {
    fail_syncs(GroupError::kGroupTooLarge);
    return prepare_rebalance(now, wall);
  }

  for (auto& [id, other] : members_) other.record.assignment.clear();
  for (const SyncRequest::Assignment& given : request.assignments) {
    if (const auto it = members_.find(given.member_id); it != members_.end()) {
      it->second.record.assignment = given.assignment;
    }
  }
  recount_members();
  if (!settle_roster(wall)) {
    fail_syncs(GroupError::kGroupTooLarge);
    return prepare_rebalance(now, wall);
  }
  phase_ = GroupPhase::kStable;
  for (auto& [id, other] : members_) {
    if (!other.sync_waiter) continue;
    refresh_session(other, now);
    answer_sync(other, GroupError::kNone);
  }
}

void Group::answer_sync(Member& member, GroupError error) {
  if (!member.sync_waiter) return;
  SyncReply answer{.error = error, .protocol_type = {}, .protocol = {}, .assignment = {}};
  if (error == GroupError::kNone) {
    answer.protocol_type = protocol_type_;
    answer.protocol = protocol_;
    answer.assignment = member.record.assignment;
  }
  reply(*std::exchange(member.sync_waiter, std::nullopt), std::move(answer));
}

// --- heartbeat, leave, looking

bool Group::may_assign(const SyncRequest& request) const {
  size_t bytes = 0;
  for (const SyncRequest::Assignment& given : request.assignments) bytes += given.assignment.size();
  const size_t free = members_.size() * kAssignmentBytesFree;
  return bytes <= free || context_.has_memory_for(kRecordCopies * (bytes - free));
}

bool Group::is_generation_of(const std::string& id, int32_t generation) const {
  return generation == generation_ || members_.at(id).epoch_before == generation;
}

void Group::heartbeat(ReplyTo to, const HeartbeatRequest& request, MonoTime now) {
  if (is_managed()) return reply(to, HeartbeatReply{managed_.beat_guest(request, now)});
  GroupError error = check_member(request.member_id, request.instance_id);
  if (error == GroupError::kNone && !is_generation_of(request.member_id, request.generation)) {
    error = GroupError::kIllegalGeneration;
  }
  if (error == GroupError::kNone) {
    refresh_session(members_.at(request.member_id), now);
    if (phase_ == GroupPhase::kPreparingRebalance) error = GroupError::kRebalanceInProgress;
  }
  reply(to, HeartbeatReply{error});
}

void Group::leave(ReplyTo to, const LeaveRequest& request, MonoTime now, WallTime wall) {
  if (is_managed()) return leave_managed(to, request, now, wall);
  LeaveReply answer;
  bool lost_id = false;
  bool lost_member = false;
  for (const LeaveRequest::Member& leaver : request.members) {
    std::string id = leaver.member_id;
    if (id.empty() && leaver.instance_id) {
      if (const auto it = static_ids_.find(*leaver.instance_id); it != static_ids_.end()) id = it->second;
    }
    GroupError error = GroupError::kNone;
    if (pending_.erase(id) > 0) {
      lost_id = true;
    } else if (error = check_member(id, leaver.instance_id); error == GroupError::kNone) {
      remove_member(id, GroupError::kUnknownMember);
      lost_member = true;
    }
    answer.members.push_back({leaver.member_id, leaver.instance_id, error});
  }
  if (lost_id || lost_member) after_removal(lost_member, now, wall);
  reply(to, std::move(answer));
}

// A member that joined counts as here even if its connection is gone: it will ask again, or its session will time out.
// One that was never told its id cannot ask again, so it is dropped at once, unless its instance id finds it.
void Group::session_closed(SessionId session, MonoTime now, WallTime wall) {
  std::vector<std::string> lost;
  for (auto& [id, member] : members_) {
    if (member.sync_waiter && member.sync_waiter->session == session) member.sync_waiter.reset();
    if (member.join_waiter && member.join_waiter->session == session) {
      member.join_waiter.reset();
      if (!member.knows_id && !member.record.instance_id) lost.push_back(id);
    }
  }
  for (const std::string& id : lost) remove_member(id, GroupError::kUnknownMember);
  if (!lost.empty()) after_removal(true, now, wall);
}

void Group::refresh_session(Member& member, MonoTime now) {
  member.session_deadline = now + std::chrono::milliseconds(member.record.session_timeout_ms);
  wake_by(member.session_deadline);
}

DescribeGroupsReply::Group Group::view() const {
  DescribeGroupsReply::Group view;
  view.name = name();
  if (is_managed()) {
    view.error = GroupError::kGroupNotFound;
    return view;
  }
  view.phase = phase_;
  view.generation = generation_;
  view.protocol_type = protocol_type_;
  const bool stable = phase_ == GroupPhase::kStable;
  if (stable) view.protocol = protocol_;
  for (const auto& [id, member] : members_) {
    const MemberRecord& record = member.record;
    view.members.push_back({id, record.instance_id, record.client_id, record.client_host,
                            stable ? metadata_for(record, protocol_) : std::string(), record.assignment});
  }
  return view;
}

DescribeManagedReply::Group Group::managed_view() const {
  if (is_managed()) return managed_.view();
  DescribeManagedReply::Group view;
  view.name = name();
  view.error = GroupError::kGroupNotFound;
  return view;
}

std::string Group::describe() const {
  std::string text = "group " + name() + " phase=" + name_of(phase_) + " generation=" + std::to_string(generation_) +
                     " protocol=" + protocol_type_ + "/" + protocol_ + " leader=" + leader_ +
                     " lsn=" + std::to_string(lsn_.value) + " cursors=" + std::to_string(state_.cursors.size()) +
                     " pending=" + std::to_string(pending_.size());
  if (is_managed()) text += " " + managed_.describe();
  for (const auto& [id, member] : members_) {
    text += "\n  member " + id + (member.join_waiter ? " joining" : "") + (member.sync_waiter ? " syncing" : "") +
            (member.joined ? " joined" : "") + (member.sync_due ? " sync_due" : "");
  }
  return text;
}

}  // namespace polylog::broker
