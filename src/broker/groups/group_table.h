// All groups of one cell, on the core that owns the cell. Finds or creates the group a request names, wakes groups when
// their time comes, drops those that are empty and hold nothing. Deterministic: equal calls give equal effects.
// Not here: a clock, a disk, the catalog (the owner calls drop_stream, and lends a StreamDirectory), any wire format.
//
// Life: restore() and apply() in log order, then start() once, then everything else.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "broker/groups/group.h"

namespace polylog::broker {

class GroupTable {
 public:
  using Output = GroupOutput;
  static constexpr size_t kCursorsPerTurn =
      10'000;  // looked at, or let go, in one turn of the loop: a millisecond or two

  GroupTable(Output& output, const StreamDirectory& streams, GroupConfig config, std::function<base::Uuid()> new_id);

  // --- rebuilding
  base::Result<> restore(base::View snapshot,
                         base::Lsn stamp);  // of one group; its mutations up to `stamp` are skipped
  base::Result<> restore_cursors(base::View part,
                                 base::Lsn stamp);  // further ones of the group restored with that stamp
  base::Result<> apply(base::View mutation, base::Lsn lsn);
  void limit_mutations(size_t bytes_max) { context_.config.mutation_bytes_max = bytes_max; }  // before start()
  void start(base::MonoTime now, base::WallTime wall);
  // From now on; what runs already keeps the times it began with, but in a managed group whose own session timeout changed.
  void configure(GroupConfig config, base::MonoTime now);

  // --- requests; each is answered once through Output, unless its session closes first
  void join(ReplyTo to, const JoinRequest& request, base::MonoTime now, base::WallTime wall);
  void sync(ReplyTo to, const SyncRequest& request, base::MonoTime now, base::WallTime wall);
  void heartbeat(ReplyTo to, const HeartbeatRequest& request, base::MonoTime now, base::WallTime wall);
  void leave(ReplyTo to, const LeaveRequest& request, base::MonoTime now, base::WallTime wall);
  void commit(ReplyTo to, const CommitRequest& request, base::MonoTime now, base::WallTime wall);
  void fetch_cursors(ReplyTo to, const FetchCursorsRequest& request);
  void delete_cursors(ReplyTo to, const DeleteCursorsRequest& request);
  void reconcile(ReplyTo to, const ReconcileRequest& request, base::MonoTime now, base::WallTime wall);
  void describe(ReplyTo to, const DescribeGroupsRequest& request);
  void describe_managed(ReplyTo to, const DescribeManagedRequest& request);
  void list(ReplyTo to, const ListGroupsRequest& request);
  void remove(ReplyTo to, const DeleteGroupsRequest& request);

  // --- events
  void drop_stream(std::string_view stream);
  bool is_new_pattern(const std::string& text) { return context_.patterns.is_new(text); }
  // It came, grew or went: groups look when they are asked next. Patterns find it when compare_changes() got to it.
  void stream_changed(std::string_view name) {
    context_.patterns.stream_changed(name);
    ++context_.streams_version;
  }
  bool has_changes() const { return context_.patterns.has_changes(); }
  void compare_changes() {  // a turn's share
    context_.patterns.compare_some();
    ++context_.streams_version;
  }
  void session_closed(SessionId session, base::MonoTime now, base::WallTime wall);
  void on_time(base::MonoTime now, base::WallTime wall);
  std::optional<base::MonoTime> next_deadline() const;

  // --- checkpoints: equal states give equal bytes
  std::optional<std::vector<uint8_t>> snapshot(const std::string& group) const;  // nullopt: nothing durable; drop it
  // The same in parts, and the next part; nullopt, too, where the group is gone meanwhile.
  std::optional<SavedGroup> save(const std::string& group, size_t cursors_max) const;
  std::optional<SavedGroup> save_more(const std::string& group, const CursorKey& from, size_t cursors_max) const;
  base::Lsn stamp(const std::string& group) const;  // the lsn its snapshot reflects
  size_t size() const { return groups_.size(); }
  const Group* find(const std::string& name) const;
  // By name; null at the end.
  const Group* first() const { return groups_.empty() ? nullptr : groups_.begin()->second.get(); }
  const Group* next_after(const std::string& name) const;
  size_t memory_bytes() const { return context_.memory_bytes; }  // about, of all groups
  std::string describe_state() const;

 private:
  Group* find(const std::string& name);
  Group& find_or_create(const std::string& name);
  bool may_take_in(const std::string& group, const std::string& member,
                   const std::optional<std::string>& instance_id) const;
  void settle(Group& group, base::Lsn lsn_before);  // after every call into a group: may destroy it
  void destroy(Group& group);
  void divided(const std::string& group, const Division& division);
  void forget(const std::string& name);
  void sweep(base::MonoTime now, base::WallTime wall);
  template <typename Reply, typename Show>
  void describe_each(ReplyTo to, const std::vector<std::string>& groups, Show show);
  template <typename Reply>
  void answer_absent(ReplyTo to, Reply reply);

  GroupContext context_;
  std::map<std::string, std::unique_ptr<Group>> groups_;
  std::map<std::string, base::MonoTime> wakes_by_group_;
  std::set<std::pair<base::MonoTime, std::string>> wakes_;
  std::map<SessionId, std::set<std::string>> groups_by_session_;  // where it may have a waiting reply
  base::Lsn newest_lsn_;                                          // of any group: what a list of all depends on
  base::Lsn removal_lsn_;  // of the newest removal: what "no such group" depends on
  base::MonoTime next_sweep_;
  struct Place {
    std::string group;
    std::optional<CursorKey> cursor;  // of that group; none: the first
  };
  Place sweep_from_;  // where a sweep that was cut short goes on
  bool started_ = false;
};

}  // namespace polylog::broker
