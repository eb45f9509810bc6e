// One group: members that share work by generations, and the cursors committed in its name.
//
//   Empty -> PreparingRebalance: members join -> CompletingRebalance: the leader assigns -> Stable -> (someone joins,
//   leaves or falls silent) -> PreparingRebalance ...; without members it ends in Empty.
//
// A pure state machine: time and ids come in with calls, effects go out through GroupOutput. What must survive is a
// GroupState and changes by mutations only; the working copy of the roster beside it holds what a rebalance has not
// settled yet. After a restart the group carries on with the last settled roster, members get a fresh session deadline,
// and the next generation is above any that a member may have heard of.
// A managed group has the same cursors, and ManagedMembers in place of all of this: see managed_members.h. An empty group
// becomes whatever the first to join asks for; one that has members becomes managed if their subscriptions can be read,
// and member-led again when only such members are left. Its cursors stay.
// Not here: finding and dropping groups (group_table.h), parsing member metadata (the protocol layer).
// group.cc answers members, group_rebalance.cc moves between phases and minds the time, group_kinds.cc changes between the
// kinds, group_cursors.cc keeps the cursors.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "broker/groups/config.h"
#include "broker/groups/managed_members.h"
#include "broker/groups/mutations.h"
#include "broker/groups/output.h"
#include "broker/groups/requests.h"

namespace polylog::broker {

struct GroupContext {
  GroupConfig config;
  GroupOutput& output;
  const StreamDirectory& streams;
  std::function<base::Uuid()> new_id;
  size_t memory_bytes = 0;  // of all groups, as they were when they were last settled
  PatternIndex patterns{streams};
  uint64_t streams_version = 1;
  // Computes it off the core; then Group::divided() is called.
  std::function<void(const std::string& group, std::shared_ptr<Division>)> divide = {};

  bool has_memory_for(size_t more) const { return memory_bytes + more <= config.memory_bytes_max; }
};

class Group {
 public:
  // `absent_since`: the removal of the last group of this name, if any; replies depend on it too.
  Group(std::string name, GroupContext& context, base::Lsn absent_since);
  ~Group() { context_.memory_bytes -= charged_bytes_; }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  // --- rebuilding; then start() once
  void replay(const GroupMutation& mutation, base::Lsn lsn);
  void restore(GroupState state, base::Lsn stamp);
  void restore(Cursors more) { state_.cursors.merge(std::move(more)); }
  void start(base::MonoTime now, base::WallTime wall);

  // --- members
  void join(ReplyTo to, const JoinRequest& request, base::MonoTime now, base::WallTime wall);
  void sync(ReplyTo to, const SyncRequest& request, base::MonoTime now, base::WallTime wall);
  void heartbeat(ReplyTo to, const HeartbeatRequest& request, base::MonoTime now);
  void leave(ReplyTo to, const LeaveRequest& request, base::MonoTime now, base::WallTime wall);
  void reconcile(ReplyTo to, const ReconcileRequest& request, base::MonoTime now, base::WallTime wall);
  void session_closed(SessionId session, base::MonoTime now, base::WallTime wall);
  void divided(const Division& division);
  void session_timeout_changed(base::MonoTime now);

  // --- cursors
  void commit(ReplyTo to, const CommitRequest& request, base::MonoTime now, base::WallTime wall);
  void fetch_cursors(ReplyTo to, const FetchCursorsRequest& request);
  void delete_cursors(ReplyTo to, const DeleteCursorsRequest& request);
  void drop_stream(std::string_view stream);
  // Looks at `left` cursors at most, from `from` on, and counts them down. Where to go on; nothing: that was the last.
  std::optional<CursorKey> expire_cursors(base::WallTime wall, const std::optional<CursorKey>& from, size_t& left);
  Cursors take_cursors() { return std::exchange(state_.cursors, {}); }  // of a group that goes

  // --- time
  void on_time(base::MonoTime now, base::WallTime wall);
  std::optional<base::MonoTime> wake_at() const;  // never later than the next thing due

  // --- looking
  const std::string& name() const { return state_.name; }
  const GroupState& state() const { return state_; }
  bool is_managed() const { return state_.managed.has_value(); }
  GroupPhase phase() const { return is_managed() ? managed_.phase() : phase_; }
  const std::string& protocol_type() const { return protocol_type_; }
  base::Lsn lsn() const { return lsn_; }  // of the newest mutation; 0: nothing durable
  DescribeGroupsReply::Group view() const;
  DescribeManagedReply::Group managed_view() const;
  bool is_empty() const { return is_managed() ? managed_.empty() : phase_ == GroupPhase::kEmpty; }
  size_t member_count() const { return is_managed() ? state_.managed->members.size() : state_.roster.members.size(); }
  bool has_member(const std::string& id, const std::optional<std::string>& instance_id) const;
  size_t memory_bytes() const;  // about
  void recharge();              // counts anew what it takes of the cell's memory for groups
  bool is_idle() const { return is_empty() && pending_.empty(); }
  std::string describe() const;

 private:
  struct Member {
    MemberRecord record;
    base::MonoTime session_deadline;
    uint64_t join_order = 0;  // the leader is the first to have joined
    std::optional<ReplyTo> join_waiter;
    std::optional<ReplyTo> sync_waiter;
    bool knows_id = false;  // some reply has told it
    bool joined = false;    // since the rebalance began
    bool sync_due = false;  // joined this generation and has not synced yet
    // Its epoch, of a group that was managed: good until the first generation begins.
    std::optional<int32_t> epoch_before = std::nullopt;
  };

  // group_kinds.cc
  GroupError become_managed(const ReconcileRequest& request, base::MonoTime now);
  static bool becomes_guest(const Member& member);
  bool has_room_beside_guests(const ReconcileRequest& request) const;
  Roster future_guests() const;
  ManagedMembers::Context managed_context();
  GroupError rehearse(const ReconcileRequest& request, const Roster& guests, base::MonoTime now);
  void become_member_led();
  bool was_handed_over() const;
  void hand_over_to_guests(base::MonoTime now, base::WallTime wall);
  void join_as_guest(ReplyTo to, const JoinRequest& request, base::MonoTime now);
  void leave_managed(ReplyTo to, const LeaveRequest& request, base::MonoTime now, base::WallTime wall);
  void managed_on_time(base::MonoTime now, base::WallTime wall);

  // group.cc
  void join_new(ReplyTo to, const JoinRequest& request, base::MonoTime now, base::WallTime wall);
  void join_known(ReplyTo to, const JoinRequest& request, base::MonoTime now, base::WallTime wall);
  void replace_static(ReplyTo to, const JoinRequest& request, base::MonoTime now, base::WallTime wall);
  bool keep_roster_of_replaced(ReplyTo to, const JoinRequest& request, const std::string& id,
                               const std::string& leader_before, base::WallTime wall);
  Member& add_member(std::string id, const JoinRequest& request);
  void wait_for_rebalance(Member& member, ReplyTo to, base::MonoTime now, base::WallTime wall);
  bool has_room_for(const JoinRequest& request) const;
  bool roster_fits(const JoinRequest& request) const;
  size_t growth(const JoinRequest& request) const;
  bool may_assign(const SyncRequest& request) const;
  void recount_members();
  std::string new_member_id(const JoinRequest& request) const;
  bool shares_a_protocol(const JoinRequest& request) const;
  GroupError check_member(const std::string& id, const std::optional<std::string>& instance_id) const;
  GroupError check_sync(const SyncRequest& request) const;
  bool is_generation_of(const std::string& id, int32_t generation) const;
  void refresh_session(Member& member, base::MonoTime now);
  JoinReply current_generation(const Member& member) const;
  std::vector<JoinReply::Member> roster_for_leader() const;
  void refuse_join(ReplyTo to, GroupError error, std::string member_id = {});
  void answer_join(Member& member, JoinReply reply);
  void answer_sync(Member& member, GroupError error);
  template <typename Reply>
  void reply(ReplyTo to, Reply reply);

  // group_rebalance.cc
  void prepare_rebalance(base::MonoTime now, base::WallTime wall);
  void after_removal(bool lost_member, base::MonoTime now, base::WallTime wall);
  void complete_join_if_all_here(base::MonoTime now, base::WallTime wall);
  void complete_join(base::MonoTime now, base::WallTime wall);
  void begin_generation(base::MonoTime now);
  void become_empty(base::WallTime wall);
  bool elect_leader();
  std::string select_protocol() const;
  bool all_support(const std::string& protocol, const std::string& except_id = {}) const;
  bool settle_roster(base::WallTime wall);
  void fail_syncs(GroupError error);
  void remove_member(const std::string& id, GroupError told);
  void expire_pending(base::MonoTime now, base::WallTime wall);
  void expire_sessions(base::MonoTime now, base::WallTime wall);
  void expire_join(base::MonoTime now, base::WallTime wall);
  void expire_sync(base::MonoTime now, base::WallTime wall);
  base::Duration rebalance_timeout() const;
  void wake_by(base::MonoTime time);
  void recompute_wake();

  // group_cursors.cc
  GroupError check_commit(const CommitRequest& request) const;
  bool all_subscriptions_known() const;
  bool is_subscribed(const std::string& stream) const;
  bool cursors_age(const std::string& stream) const;
  bool is_expired(const Cursor& cursor, base::WallTime wall) const;
  void log_deleted_cursors(std::vector<CursorKey> keys);

  void log(const GroupMutation& mutation) { log(mutation, encode(mutation)); }
  void log(const GroupMutation& mutation, base::View encoded);
  void adopt_roster();

  GroupContext& context_;

  // --- durable: changed by mutations only
  GroupState state_;
  base::Lsn lsn_;
  base::Lsn absent_since_;

  // --- in memory
  GroupPhase phase_ = GroupPhase::kEmpty;
  int32_t generation_ = 0;
  std::string protocol_type_;
  std::string protocol_;
  std::string leader_;
  std::map<std::string, Member> members_;
  std::map<std::string, std::string> static_ids_;  // instance id -> member id
  std::map<std::string, base::MonoTime> pending_;  // ids handed out, not used yet -> deadline
  uint64_t joins_ = 0;
  size_t member_bytes_ = 0;   // of the records in members_: what they say, once
  size_t charged_bytes_ = 0;  // counted in the context
  ManagedMembers managed_;    // of a managed group

  bool initial_delay_ = false;  // PreparingRebalance of a group that was empty
  bool newcomer_ = false;       // since the delay was last extended
  base::Duration delay_left_{};
  std::optional<base::MonoTime> join_deadline_;
  std::optional<base::MonoTime> sync_deadline_;
  std::optional<base::MonoTime> wake_at_;
};

template <typename Reply>
void Group::reply(ReplyTo to, Reply reply) {
  context_.output.reply(to, std::move(reply), std::max(lsn_, absent_since_));
}

}  // namespace polylog::broker
