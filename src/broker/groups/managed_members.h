// The members of one managed group: who is in, what each shall hold, and how each gets there without two ever holding the
// same partition. A pure state machine over GroupState::managed: time comes in with calls, changes go out as mutations.
//
//   a member's way to its target, a step whenever it reports:
//     holds too much   ─► told what to keep; the rest is `revoking`, held for it until it reports that it gave it up
//     gave it up       ─► gets the target's epoch, and of the target what nobody holds
//     target not free  ─► gets the rest as others give it up
//   who does not give up within its rebalance timeout, or is silent for the session timeout, is out
//
// Guests are members that speak as in member-led groups: a heartbeat tells them to join again when there is something to
// give up or to get, the join says what they own, the sync what they have. A member-led group whose subscriptions we can
// read becomes managed with all its members as guests; until each has joined again, nobody knows what it holds, and so
// nothing is free.
//
// Not here: cursors, and the change between the kinds of groups (group.h); how partitions are divided (assignor.h).
// managed_members.cc answers members, managed_guests.cc guests, managed_targets.cc divides, managed_views.cc shows and minds the time.
#pragma once

#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/time.h"
#include "broker/groups/config.h"
#include "broker/groups/division.h"
#include "broker/groups/mutations.h"
#include "broker/groups/pattern_index.h"
#include "broker/groups/stream_directory.h"

namespace polylog::broker {

class ManagedMembers {
 public:
  struct Context {
    const GroupConfig& config;
    const StreamDirectory& streams;
    const size_t& memory_bytes;       // of all groups
    const uint64_t& streams_version;  // rises with every stream that comes, grows or goes
    const std::function<base::Uuid()>& new_id;
    PatternIndex& patterns;
    const std::function<void(const std::string& group, std::shared_ptr<Division>)>& divide;
  };
  // `log` stages a mutation and applies it to `state`.
  ManagedMembers(const GroupState& state, Context context, std::function<void(const GroupMutation&)> log);

  void start(base::MonoTime now);  // after replay, and when the group becomes managed

  // Anything below needs a managed group.
  ReconcileReply reconcile(const ReconcileRequest& request, base::MonoTime now, base::WallTime wall);
  // The first half of it: whether the member may be in and want what it wants; then it is in, with the id that is returned.
  std::expected<std::string, GroupError> admit(const ReconcileRequest& request);
  GroupError check_commit(const CommitRequest& request) const;
  GroupError check_fetch(const FetchCursorsRequest& request) const;

  // --- guests
  void adopt(const Roster& roster, base::MonoTime now);  // after start()
  bool has_guest(const std::string& id) const;
  bool shares_a_protocol(const JoinRequest& request) const;
  JoinReply join_guest(const JoinRequest& request, const std::string& id, base::MonoTime now);
  SyncReply sync_guest(const SyncRequest& request, base::MonoTime now);
  GroupError beat_guest(const HeartbeatRequest& request, base::MonoTime now);
  GroupError remove_member(const std::string& id, const std::optional<std::string>& instance_id, base::WallTime wall);
  bool only_guests() const;
  Roster guest_roster() const;  // of a group of guests only

  void session_timeout_changed(base::MonoTime now);  // everybody's time begins anew
  void divided(const Division& division);            // what Context::divide was given has its outcome
  void on_time(base::MonoTime now, base::WallTime wall);
  std::optional<base::MonoTime> wake_at() const { return wake_at_; }

  bool empty() const { return managed().members.empty(); }
  bool has_member(const std::string& id, const std::optional<std::string>& instance_id) const;
  size_t memory_bytes() const;  // about
  GroupPhase phase() const;
  bool is_subscribed(const std::string& stream) const;
  DescribeManagedReply::Group view() const;
  std::string describe() const;

 private:
  // Beside a member's durable part.
  struct Deadlines {
    base::MonoTime session;
    std::optional<base::MonoTime> revoke;
  };
  struct Place {  // where a request finds its member
    enum class How : uint8_t { kNew, kKnown, kReplaces } how = How::kNew;
    std::string id;  // kReplaces: of the one to be replaced
  };
  struct Pattern {
    std::shared_ptr<const PatternIndex::Matched> matched;  // null: from a version that knew more expressions
    size_t users = 0;
  };
  struct Streams {         // what names and patterns stand for
    uint64_t version = 0;  // of the streams that there are
    std::shared_ptr<const StreamSizes> sizes;
    std::shared_ptr<const StreamIds> ids;  // of the names
    size_t weight_bytes = 0;               // an upper bound of what a list of all partitions takes in a mutation
  };

  const ManagedState& managed() const { return *state_.managed; }

  // managed_members.cc
  std::expected<Place, GroupError> locate(const ReconcileRequest& request) const;
  GroupError check_epoch(const ManagedMember& member, const ReconcileRequest& request) const;
  ManagedRecord record_of(const ReconcileRequest& request, const Place& place) const;
  GroupError take_in(const Place& place, const ManagedRecord& record);
  bool has_memory_for(const ManagedRecord* before, const ManagedRecord& record) const;
  void put(const ManagedRecord& record, bool new_epoch);
  void replace(const std::string& old_id, const ManagedRecord& record);
  void advance(const std::string& id, const std::optional<PartitionList>& owned);
  Holding next_holding(const ManagedMember& member, const std::optional<PartitionList>& owned) const;
  void hold(const std::string& id, Holding holding);
  void release(const Holding& holding);
  ReconcileReply leave(const ReconcileRequest& request, base::WallTime wall);
  void remove(const std::vector<std::string>& ids, base::WallTime wall);
  void set_deadlines(const std::string& id, base::MonoTime now);

  // managed_guests.cc
  GroupError check_guest(const std::string& id, const std::optional<std::string>& instance_id) const;
  ManagedRecord guest_record(const JoinRequest& request, const std::string& id) const;
  PartitionList keys_of(const std::vector<CursorKey>& named) const;
  bool must_join_again(const ManagedMember& member) const;
  std::string common_protocol() const;

  // managed_targets.cc
  void index(const ManagedRecord& record);
  void unindex(const ManagedRecord& record);
  bool has_room_for_pattern(const std::optional<std::string>& pattern) const;
  bool fits(const ManagedRecord* before, const ManagedRecord& record);
  Streams resolve() const;
  const Streams& resolved();
  void divide_if_due();
  void divide(std::shared_ptr<const StreamSizes> sizes);
  std::shared_ptr<Division> division_of(std::shared_ptr<const StreamSizes> sizes);
  void take_over(const Division& division);
  const ManagedMember* member_of(const Division::Member& divided) const;
  Assignor preferred_assignor() const;
  void log_targets(std::vector<ManagedTargets::Target> changed, ManagedTargetsEnd end, int32_t epoch);

  // managed_views.cc
  bool is_settled(const ManagedMember& member) const;
  void wake_by(base::MonoTime time);

  const GroupState& state_;
  Context context_;
  std::function<void(const GroupMutation&)> log_;

  // --- in memory; rebuilt by start()
  std::map<std::string, Deadlines> deadlines_;
  std::map<std::string, std::string> instances_;  // instance id -> member id
  std::map<std::string, size_t> names_;           // subscribed to -> by how many
  std::map<std::string, Pattern> patterns_;
  size_t record_bytes_ = 0;                      // of the members' records: what they say
  std::unordered_set<base::PartitionKey> held_;  // assigned or revoking: not free
  size_t unknown_ = 0;                           // members whose holding is not known: nothing is free
  uint64_t streams_seen_ = 0;                    // version that the targets were last compared with
  std::shared_ptr<Division> dividing_;           // off the core: its outcome is awaited
  std::unordered_set<std::string> wants_anew_;   // members whose wishes `dividing_` does not know
  std::optional<Streams> resolved_;              // of all that is subscribed to; none: something else is now
  std::optional<base::MonoTime> wake_at_;
};

}  // namespace polylog::broker
