#include "broker/groups/group_table.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace polylog::broker {

using base::Lsn;
using base::MonoTime;
using base::WallTime;

namespace {
constexpr size_t kGroupsPerSweep = 256;  // one loop turn's share of the search for expired cursors
}

GroupTable::GroupTable(Output& output, const StreamDirectory& streams, GroupConfig config,
                       std::function<base::Uuid()> new_id)
    : context_{config, output, streams, std::move(new_id)} {
  context_.divide = [this](const std::string& group, std::shared_ptr<Division> division) {
    context_.output.compute([division] { division->run(); }, [this, group, division] { divided(group, *division); });
  };
}

// --- rebuilding

base::Result<> GroupTable::restore(base::View snapshot, Lsn stamp) {
  CHECK(!started_, "restore after start");
  TRY_ASSIGN(GroupState state, decode_snapshot(snapshot));
  Group& group = find_or_create(state.name);
  group.restore(std::move(state), stamp);
  newest_lsn_ = std::max(newest_lsn_, stamp);
  return {};
}

base::Result<> GroupTable::restore_cursors(base::View part, Lsn stamp) {
  CHECK(!started_, "restore after start");
  TRY_ASSIGN(GroupCursors more, decode_cursors(part));
  Group* group = find(more.group);
  if (group == nullptr || group->lsn() != stamp)
    return base::fail(base::ErrorCode::kCorrupt, "a checkpoint's cursors do not follow their group");
  group->restore(std::move(more.cursors));
  return {};
}

base::Result<> GroupTable::apply(base::View mutation, Lsn lsn) {
  CHECK(!started_, "replay after start");
  TRY_ASSIGN(GroupMutation change, decode_group_mutation(mutation));
  Group& group = find_or_create(group_of(change));
  if (lsn <= group.lsn()) return {};
  newest_lsn_ = std::max(newest_lsn_, lsn);
  if (std::holds_alternative<GroupDeleted>(change)) {
    removal_lsn_ = std::max(removal_lsn_, lsn);
    forget(group.name());
  } else {
    group.replay(change, lsn);
  }
  return {};
}

void GroupTable::start(MonoTime now, WallTime wall) {
  CHECK(!started_, "started twice");
  started_ = true;
  next_sweep_ = now + std::chrono::milliseconds(context_.config.expiry_check_interval_ms);
  for (auto& [name, group] : groups_) {
    group->start(now, wall);
    group->recharge();
    if (const auto wake = group->wake_at()) {
      wakes_.emplace(*wake, name);
      wakes_by_group_[name] = *wake;
    }
  }
}

void GroupTable::configure(GroupConfig config, MonoTime now) {
  config.mutation_bytes_max = context_.config.mutation_bytes_max;
  const GroupConfig before = std::exchange(context_.config, std::move(config));
  std::set<std::string> named;
  for (const GroupConfig* either : {&before, &std::as_const(context_.config)}) {
    for (const auto& [name, times] : either->times_of) named.insert(name);
  }
  for (const std::string& name : named) {
    Group* group = find(name);
    if (group == nullptr) continue;
    if (before.managed_session_timeout(name) == context_.config.managed_session_timeout(name)) continue;
    group->session_timeout_changed(now);
    settle(*group, group->lsn());
  }
}

// --- finding

Group* GroupTable::find(const std::string& name) {
  const auto it = groups_.find(name);
  return it == groups_.end() ? nullptr : it->second.get();
}

const Group* GroupTable::find(const std::string& name) const {
  const auto it = groups_.find(name);
  return it == groups_.end() ? nullptr : it->second.get();
}

Group& GroupTable::find_or_create(const std::string& name) {
  std::unique_ptr<Group>& group = groups_[name];
  if (!group) group = std::make_unique<Group>(name, context_, removal_lsn_);
  return *group;
}

void GroupTable::settle(Group& group, Lsn lsn_before) {
  group.recharge();
  if (group.lsn() != lsn_before) {
    newest_lsn_ = std::max(newest_lsn_, group.lsn());
  }
  if (group.is_idle() && group.lsn() == Lsn{0}) return forget(std::string(group.name()));
  const auto it = wakes_by_group_.find(group.name());
  const std::optional<MonoTime> wake = group.wake_at();
  if (it != wakes_by_group_.end()) {
    if (wake == it->second) return;
    wakes_.erase({it->second, group.name()});
    wakes_by_group_.erase(it);
  }
  if (!wake) return;
  wakes_.emplace(*wake, group.name());
  wakes_by_group_[group.name()] = *wake;
}

void GroupTable::destroy(Group& group) {
  if (group.lsn() != Lsn{0}) {
    removal_lsn_ = newest_lsn_ = context_.output.log(encode(GroupDeleted{group.name()}));
  }
  forget(std::string(group.name()));
}

void GroupTable::forget(const std::string& name) {
  if (const auto it = wakes_by_group_.find(name); it != wakes_by_group_.end()) {
    wakes_.erase({it->second, name});
    wakes_by_group_.erase(it);
  }
  const auto it = groups_.find(name);
  if (it == groups_.end()) return;
  if (started_ && it->second->state().cursors.size() > kCursorsPerTurn) {  // many cursors take long to let go
    auto cursors = std::make_shared<Cursors>(it->second->take_cursors());
    context_.output.compute([cursors] { *cursors = {}; }, [] {});
  }
  groups_.erase(it);
}

template <typename Reply>
void GroupTable::answer_absent(ReplyTo to, Reply reply) {
  context_.output.reply(to, std::move(reply), removal_lsn_);
}

// --- members

// When memory is used up, those who are in go on.
bool GroupTable::may_take_in(const std::string& group, const std::string& member,
                             const std::optional<std::string>& instance_id) const {
  if (context_.has_memory_for(1)) return true;
  const Group* found = find(group);
  return found != nullptr && found->has_member(member, instance_id);
}

void GroupTable::join(ReplyTo to, const JoinRequest& request, MonoTime now, WallTime wall) {
  const GroupConfig& config = context_.config;
  GroupError error = GroupError::kNone;
  if (request.group.empty()) {
    error = GroupError::kInvalidGroupId;
  } else if (request.session_timeout_ms < config.session_timeout_ms_min ||
             request.session_timeout_ms > config.session_timeout_ms_max) {
    error = GroupError::kInvalidSessionTimeout;
  } else if (!request.member_id.empty() && find(request.group) == nullptr) {
    error = GroupError::kUnknownMember;
  } else if (!may_take_in(request.group, request.member_id, request.instance_id)) {
    error = GroupError::kNoMemory;
  }
  if (error != GroupError::kNone) {
    JoinReply refusal;
    refusal.error = error;
    refusal.member_id = request.member_id;
    return answer_absent(to, std::move(refusal));
  }
  Group& group = find_or_create(request.group);
  const Lsn before = group.lsn();
  groups_by_session_[to.session].insert(request.group);
  group.join(to, request, now, wall);
  settle(group, before);
}

void GroupTable::sync(ReplyTo to, const SyncRequest& request, MonoTime now, WallTime wall) {
  Group* group = find(request.group);
  if (group == nullptr) {
    SyncReply refusal;
    refusal.error = request.group.empty() ? GroupError::kInvalidGroupId : GroupError::kUnknownMember;
    return answer_absent(to, std::move(refusal));
  }
  const Lsn before = group->lsn();
  groups_by_session_[to.session].insert(request.group);
  group->sync(to, request, now, wall);
  settle(*group, before);
}

void GroupTable::heartbeat(ReplyTo to, const HeartbeatRequest& request, MonoTime now, WallTime) {
  Group* group = find(request.group);
  if (group == nullptr) {
    return answer_absent(
        to, HeartbeatReply{request.group.empty() ? GroupError::kInvalidGroupId : GroupError::kUnknownMember});
  }
  const Lsn before = group->lsn();
  group->heartbeat(to, request, now);
  settle(*group, before);
}

void GroupTable::leave(ReplyTo to, const LeaveRequest& request, MonoTime now, WallTime wall) {
  Group* group = find(request.group);
  if (group == nullptr) {
    LeaveReply refusal;
    refusal.error = request.group.empty() ? GroupError::kInvalidGroupId : GroupError::kUnknownMember;
    for (const LeaveRequest::Member& member : request.members) {
      refusal.members.push_back({member.member_id, member.instance_id, refusal.error});
    }
    return answer_absent(to, std::move(refusal));
  }
  const Lsn before = group->lsn();
  group->leave(to, request, now, wall);
  settle(*group, before);
}

void GroupTable::reconcile(ReplyTo to, const ReconcileRequest& request, MonoTime now, WallTime wall) {
  GroupError error = GroupError::kNone;
  if (request.group.empty()) error = GroupError::kInvalidGroupId;
  if (request.epoch != kJoinEpoch && find(request.group) == nullptr) error = GroupError::kUnknownMember;
  if (request.epoch == kJoinEpoch && !may_take_in(request.group, request.member_id, request.instance_id))
    error = GroupError::kNoMemory;
  if (error != GroupError::kNone) {
    return answer_absent(to, ReconcileReply{.error = error, .member_id = request.member_id});
  }
  Group& group = find_or_create(request.group);
  const Lsn before = group.lsn();
  group.reconcile(to, request, now, wall);
  settle(group, before);
}

void GroupTable::divided(const std::string& name, const Division& division) {
  Group* group = find(name);
  if (group == nullptr) return;
  const Lsn before = group->lsn();
  group->divided(division);
  settle(*group, before);
}

// --- cursors

void GroupTable::commit(ReplyTo to, const CommitRequest& request, MonoTime now, WallTime wall) {
  if (request.generation >= 0 && find(request.group) == nullptr) {
    CommitReply refusal;
    refusal.error = GroupError::kGroupNotFound;
    for (const CommitRequest::Entry& entry : request.entries) refusal.entries.push_back({entry.key, refusal.error});
    return answer_absent(to, std::move(refusal));
  }
  Group& group = find_or_create(request.group);
  const Lsn before = group.lsn();
  group.recharge();
  group.commit(to, request, now, wall);
  settle(group, before);
}

void GroupTable::fetch_cursors(ReplyTo to, const FetchCursorsRequest& request) {
  if (Group* group = find(request.group)) return group->fetch_cursors(to, request);
  FetchCursorsReply nothing;
  for (const CursorKey& key : request.keys.value_or(std::vector<CursorKey>{})) {
    nothing.entries.push_back({key, -1, -1, {}});
  }
  answer_absent(to, std::move(nothing));
}

void GroupTable::delete_cursors(ReplyTo to, const DeleteCursorsRequest& request) {
  Group* group = find(request.group);
  if (group == nullptr) return answer_absent(to, DeleteCursorsReply{GroupError::kGroupNotFound, {}});
  const Lsn before = group->lsn();
  group->delete_cursors(to, request);
  settle(*group, before);
}

// --- groups

template <typename Reply, typename Show>
void GroupTable::describe_each(ReplyTo to, const std::vector<std::string>& groups, Show show) {
  Reply answer;
  Lsn after = removal_lsn_;
  for (const std::string& name : groups) {
    if (const Group* group = find(name)) {
      answer.groups.push_back(show(*group));
      after = std::max(after, group->lsn());
    } else {
      auto& dead = answer.groups.emplace_back();
      dead.name = name;
      dead.error = GroupError::kGroupNotFound;
    }
  }
  context_.output.reply(to, std::move(answer), after);
}

void GroupTable::describe(ReplyTo to, const DescribeGroupsRequest& request) {
  describe_each<DescribeGroupsReply>(to, request.groups, [](const Group& group) { return group.view(); });
}

void GroupTable::describe_managed(ReplyTo to, const DescribeManagedRequest& request) {
  describe_each<DescribeManagedReply>(to, request.groups, [](const Group& group) { return group.managed_view(); });
}

void GroupTable::list(ReplyTo to, const ListGroupsRequest& request) {
  ListGroupsReply answer;
  for (const auto& [name, group] : groups_) {
    const GroupPhase phase = group->phase();
    if (!request.phases.empty() && std::ranges::find(request.phases, phase) == request.phases.end()) continue;
    const GroupKind kind = group->is_managed() ? GroupKind::kManaged : GroupKind::kMemberLed;
    answer.groups.push_back({name, group->protocol_type(), phase, kind});
  }
  context_.output.reply(to, std::move(answer), newest_lsn_);
}

void GroupTable::remove(ReplyTo to, const DeleteGroupsRequest& request) {
  DeleteGroupsReply answer;
  for (const std::string& name : request.groups) {
    Group* group = find(name);
    GroupError error = GroupError::kNone;
    if (group == nullptr) {
      error = GroupError::kGroupNotFound;
    } else if (!group->is_empty()) {
      error = GroupError::kNotEmpty;
    } else {
      destroy(*group);
    }
    answer.groups.push_back({name, error});
  }
  context_.output.reply(to, std::move(answer), newest_lsn_);
}

// --- events

void GroupTable::drop_stream(std::string_view stream) {
  for (auto& [name, group] : groups_) {
    const Lsn before = group->lsn();
    group->drop_stream(stream);
    if (group->lsn() == before) continue;
    group->recharge();
    newest_lsn_ = std::max(newest_lsn_, group->lsn());
  }
}

void GroupTable::session_closed(SessionId session, MonoTime now, WallTime wall) {
  const auto node = groups_by_session_.extract(session);
  if (node.empty()) return;
  for (const std::string& name : node.mapped()) {
    Group* group = find(name);
    if (group == nullptr) continue;
    const Lsn before = group->lsn();
    group->session_closed(session, now, wall);
    settle(*group, before);
  }
}

void GroupTable::on_time(MonoTime now, WallTime wall) {
  while (!wakes_.empty() && wakes_.begin()->first <= now) {
    Group& group = *groups_.at(wakes_.begin()->second);
    const Lsn before = group.lsn();
    group.on_time(now, wall);
    settle(group, before);
  }
  if (!groups_.empty() && next_sweep_ <= now) sweep(now, wall);
}

std::optional<MonoTime> GroupTable::next_deadline() const {
  if (groups_.empty()) return std::nullopt;
  return wakes_.empty() ? next_sweep_ : std::min(next_sweep_, wakes_.begin()->first);
}

// Expires cursors and drops groups that are empty and hold none, a share a call.
void GroupTable::sweep(MonoTime now, WallTime wall) {
  size_t cursors_left = kCursorsPerTurn;
  auto it = groups_.lower_bound(sweep_from_.group);
  if (it == groups_.end() || it->first != sweep_from_.group) sweep_from_.cursor.reset();
  for (size_t seen = 0; seen < kGroupsPerSweep && it != groups_.end(); ++seen) {
    Group& group = *(it++)->second;
    const Lsn before = group.lsn();
    const auto next = group.expire_cursors(wall, std::exchange(sweep_from_.cursor, std::nullopt), cursors_left);
    if (next) {
      sweep_from_ = {group.name(), next};
      return settle(group, before);
    }
    if (group.is_idle() && group.state().cursors.empty()) {
      destroy(group);
    } else {
      settle(group, before);
    }
  }
  if (it != groups_.end()) {
    sweep_from_ = {it->first, std::nullopt};
    return;
  }
  sweep_from_ = {};
  next_sweep_ = now + std::chrono::milliseconds(context_.config.expiry_check_interval_ms);
}

// --- checkpoints

std::optional<std::vector<uint8_t>> GroupTable::snapshot(const std::string& name) const {
  auto saved = save(name, SIZE_MAX);
  return saved ? std::optional(std::move(saved->bytes)) : std::nullopt;
}

std::optional<SavedGroup> GroupTable::save(const std::string& name, size_t cursors_max) const {
  const Group* group = find(name);
  if (group == nullptr || group->lsn() == Lsn{0}) return std::nullopt;
  return save_group(group->state(), cursors_max);
}

std::optional<SavedGroup> GroupTable::save_more(const std::string& name, const CursorKey& from,
                                                size_t cursors_max) const {
  const Group* group = find(name);
  if (group == nullptr) return std::nullopt;
  return save_cursors(group->state(), from, cursors_max);
}

Lsn GroupTable::stamp(const std::string& name) const {
  const Group* group = find(name);
  return group == nullptr ? removal_lsn_ : group->lsn();
}

const Group* GroupTable::next_after(const std::string& name) const {
  const auto next = groups_.upper_bound(name);
  return next == groups_.end() ? nullptr : next->second.get();
}

std::string GroupTable::describe_state() const {
  std::string text;
  for (const auto& [name, group] : groups_) text += group->describe() + "\n";
  return text;
}

}  // namespace polylog::broker
