#include "broker/groups/requests.h"

namespace polylog::broker {

const char* name_of(GroupError error) {
  switch (error) {
    case GroupError::kNone: return "none";
    case GroupError::kInvalidGroupId: return "invalid_group_id";
    case GroupError::kUnknownMember: return "unknown_member";
    case GroupError::kIllegalGeneration: return "illegal_generation";
    case GroupError::kRebalanceInProgress: return "rebalance_in_progress";
    case GroupError::kMemberIdRequired: return "member_id_required";
    case GroupError::kFencedInstance: return "fenced_instance";
    case GroupError::kInconsistentProtocol: return "inconsistent_protocol";
    case GroupError::kInvalidSessionTimeout: return "invalid_session_timeout";
    case GroupError::kGroupFull: return "group_full";
    case GroupError::kNoMemory: return "no_memory";
    case GroupError::kGroupTooLarge: return "group_too_large";
    case GroupError::kWrongKind: return "wrong_kind";
    case GroupError::kFencedEpoch: return "fenced_epoch";
    case GroupError::kStaleEpoch: return "stale_epoch";
    case GroupError::kUnreleasedInstance: return "unreleased_instance";
    case GroupError::kBadPattern: return "bad_pattern";
    case GroupError::kUnsupported: return "unsupported";
    case GroupError::kUnavailable: return "unavailable";
    case GroupError::kNotEmpty: return "not_empty";
    case GroupError::kGroupNotFound: return "group_not_found";
    case GroupError::kSubscribed: return "subscribed";
    case GroupError::kMetadataTooLarge: return "metadata_too_large";
  }
  return "?";
}

const char* name_of(GroupPhase phase) {
  switch (phase) {
    case GroupPhase::kEmpty: return "empty";
    case GroupPhase::kPreparingRebalance: return "preparing_rebalance";
    case GroupPhase::kCompletingRebalance: return "completing_rebalance";
    case GroupPhase::kAssigning: return "assigning";
    case GroupPhase::kReconciling: return "reconciling";
    case GroupPhase::kStable: return "stable";
    case GroupPhase::kDead: return "dead";
  }
  return "?";
}

namespace {

using enum GroupError;

struct Unavailable {
  GroupReply operator()(const JoinRequest&) { return JoinReply{.error = kUnavailable}; }
  GroupReply operator()(const SyncRequest&) { return SyncReply{.error = kUnavailable}; }
  GroupReply operator()(const HeartbeatRequest&) { return HeartbeatReply{kUnavailable}; }
  GroupReply operator()(const LeaveRequest& r) {
    LeaveReply reply{.error = kUnavailable};
    for (const auto& member : r.members) reply.members.push_back({member.member_id, member.instance_id, kUnavailable});
    return reply;
  }
  GroupReply operator()(const CommitRequest& r) {
    CommitReply reply{.error = kUnavailable};
    for (const auto& entry : r.entries) reply.entries.push_back({entry.key, kUnavailable});
    return reply;
  }
  GroupReply operator()(const FetchCursorsRequest&) { return FetchCursorsReply{.error = kUnavailable}; }
  GroupReply operator()(const DeleteCursorsRequest&) { return DeleteCursorsReply{.error = kUnavailable}; }
  GroupReply operator()(const ReconcileRequest&) { return ReconcileReply{.error = kUnavailable}; }
  GroupReply operator()(const DescribeGroupsRequest& r) { return named<DescribeGroupsReply>(r.groups); }
  GroupReply operator()(const DescribeManagedRequest& r) { return named<DescribeManagedReply>(r.groups); }
  GroupReply operator()(const ListGroupsRequest&) { return ListGroupsReply{}; }
  GroupReply operator()(const DeleteGroupsRequest& r) { return named<DeleteGroupsReply>(r.groups); }

  template <typename Reply>
  static GroupReply named(const std::vector<std::string>& groups) {
    Reply reply;
    for (const std::string& name : groups) reply.groups.push_back({.name = name, .error = kUnavailable});
    return reply;
  }
};

struct MakeUnavailable {
  void operator()(JoinReply& r) { r = JoinReply{.error = kUnavailable}; }
  void operator()(SyncReply& r) { r = SyncReply{.error = kUnavailable}; }
  void operator()(HeartbeatReply& r) { r.error = kUnavailable; }
  void operator()(LeaveReply& r) { spoil(r.error, r.members); }
  void operator()(CommitReply& r) { spoil(r.error, r.entries); }
  void operator()(FetchCursorsReply& r) { r = FetchCursorsReply{.error = kUnavailable}; }
  void operator()(DeleteCursorsReply& r) { spoil(r.error, r.entries); }
  void operator()(ReconcileReply& r) { r = ReconcileReply{.error = kUnavailable}; }
  void operator()(DescribeGroupsReply& r) { spoil_each(r.groups); }
  void operator()(DescribeManagedReply& r) { spoil_each(r.groups); }
  void operator()(ListGroupsReply& r) { r.groups.clear(); }
  void operator()(DeleteGroupsReply& r) { spoil_each(r.groups); }

  template <typename List>
  void spoil_each(List& list) {
    for (auto& item : list) item.error = kUnavailable;
  }
  template <typename List>
  void spoil(GroupError& error, List& list) {
    error = kUnavailable;
    spoil_each(list);
  }
};

}  // namespace

GroupReply unavailable(const GroupRequest& request) { return std::visit(Unavailable{}, request); }
void make_unavailable(GroupReply& reply) { std::visit(MakeUnavailable{}, reply); }

}  // namespace polylog::broker
