// What sessions ask of the group engine, and what it answers. Everything owns its bytes: a reply may wait for a commit.
// Member metadata and assignments are opaque; the protocol layer fills `subscriptions` from them where it can read
// them.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"

namespace polylog::broker {

enum class GroupError : uint8_t {
  kNone,
  kInvalidGroupId,  // an empty name where a group needs one
  kUnknownMember,   // no such member, or a non-member touching a group that has members
  kIllegalGeneration,
  kRebalanceInProgress,   // join again
  kMemberIdRequired,      // join again with the id in the reply
  kFencedInstance,        // another member took over this instance id
  kInconsistentProtocol,  // protocol type differs, or no protocol that all members share
  kInvalidSessionTimeout,
  kGroupFull,
  kNoMemory,       // all groups of the cell together take what they may
  kGroupTooLarge,  // members' metadata and assignments do not fit one mutation
  kNotEmpty,
  kGroupNotFound,
  kSubscribed,          // cursors of a stream that members still read
  kMetadataTooLarge,    // of one cursor
  kWrongKind,           // the group is of the other kind and has members
  kFencedEpoch,         // of a managed group: the member is not what it believes; it has to give up all and join again
  kStaleEpoch,          // of a managed group: the member has moved on to a newer epoch
  kUnreleasedInstance,  // another member has this instance id and has not left
  kBadPattern,          // not a regular expression that can be had
  kUnsupported,         // this kind of group needs a newer form of the request
  kUnavailable,         // the cell that holds the group is closed: nothing is known of it
};
const char* name_of(GroupError error);

// Who divides the partitions: one of the members, or the group itself.
enum class GroupKind : uint8_t { kMemberLed, kManaged };

enum class GroupPhase : uint8_t {
  kEmpty,
  kPreparingRebalance,   // member-led
  kCompletingRebalance,  // member-led
  kAssigning,            // managed: the division is older than the membership
  kReconciling,          // managed: members are on their way to the division
  kStable,
  kDead,
};
const char* name_of(GroupPhase phase);

// What a string takes besides the object itself.
inline size_t heap_bytes(const std::string& text) {
  constexpr size_t kInlineBytes = 15, kBlockBytes = 24;  // of libstdc++ and malloc
  return text.size() <= kInlineBytes ? 0 : text.size() + kBlockBytes;
}

struct CursorKey {
  std::string stream;
  uint32_t partition = 0;
  friend auto operator<=>(const CursorKey&, const CursorKey&) = default;
};

// --- membership

struct GroupProtocol {
  std::string name;
  std::string metadata;
  friend bool operator==(const GroupProtocol&, const GroupProtocol&) = default;
};
// What they say, without what keeps it.
inline size_t bytes_of(const std::vector<GroupProtocol>& protocols) {
  size_t bytes = 0;
  for (const GroupProtocol& protocol : protocols) bytes += protocol.name.size() + protocol.metadata.size();
  return bytes;
}

using Subscriptions =
    std::optional<std::vector<std::string>>;  // stream names; nullopt: the metadata is opaque to us too

inline size_t bytes_of(const Subscriptions& streams) {
  size_t bytes = 0;
  for (size_t i = 0; streams && i < streams->size(); ++i) bytes += (*streams)[i].size();
  return bytes;
}

struct JoinRequest {
  std::string group;
  std::string member_id;  // empty: a new member
  std::optional<std::string> instance_id;
  std::string client_id;
  std::string client_host;
  int32_t session_timeout_ms = 0;
  std::optional<int32_t> rebalance_timeout_ms;  // nullopt: as the session timeout
  std::string protocol_type;
  std::vector<GroupProtocol> protocols;  // most wanted first
  Subscriptions subscriptions;
  std::vector<CursorKey> owned;      // what the member says that it holds, where that can be read
  bool can_retry_with_id = false;    // a new dynamic member is told its id first (kMemberIdRequired)
  bool can_skip_assignment = false;  // understands JoinReply::skip_assignment
};
inline size_t bytes_of(const JoinRequest& request) {
  return request.member_id.size() + request.client_id.size() + request.client_host.size() +
         bytes_of(request.protocols) + bytes_of(request.subscriptions);
}

struct JoinReply {
  struct Member {
    std::string member_id;
    std::optional<std::string> instance_id;
    std::string metadata;
  };
  GroupError error = GroupError::kNone;
  int32_t generation = -1;
  std::string protocol_type;
  std::string protocol;
  std::string leader;
  std::string member_id;
  std::vector<Member> members;  // for the leader only
  bool skip_assignment = false;
};

struct SyncRequest {
  struct Assignment {
    std::string member_id;
    std::string assignment;
  };
  std::string group;
  std::string member_id;
  std::optional<std::string> instance_id;
  int32_t generation = -1;
  std::optional<std::string> protocol_type;  // checked when given
  std::optional<std::string> protocol;       // checked when given
  std::vector<Assignment> assignments;       // from the leader only
};

struct SyncReply {
  GroupError error = GroupError::kNone;
  std::string protocol_type;
  std::string protocol;
  std::string assignment;
  std::optional<std::vector<base::PartitionKey>> partitions;  // instead of it, in a managed group
};

struct HeartbeatRequest {
  std::string group;
  std::string member_id;
  std::optional<std::string> instance_id;
  int32_t generation = -1;
};

struct HeartbeatReply {
  GroupError error = GroupError::kNone;
};

struct LeaveRequest {
  struct Member {
    std::string member_id;  // may be empty when instance_id is given
    std::optional<std::string> instance_id;
  };
  std::string group;
  std::vector<Member> members;
};

struct LeaveReply {
  struct Member {
    std::string member_id;
    std::optional<std::string> instance_id;
    GroupError error = GroupError::kNone;
  };
  GroupError error = GroupError::kNone;  // of the request as a whole; then `members` carry it too
  std::vector<Member> members;           // in request order
};

// --- managed groups: a member reports what it holds and wants, and is told what it may hold

enum class Assignor : uint8_t { kUniform = 0, kRange = 1 };  // assignor.h; durable numbers

// Instead of an epoch in a ReconcileRequest; kAwayEpoch: a member with an instance id, which will be back.
inline constexpr int32_t kJoinEpoch = 0, kLeaveEpoch = -1, kAwayEpoch = -2;

struct ReconcileRequest {
  std::string group;
  std::string member_id;  // empty: a new member, which leaves the choice to the group
  int32_t epoch = kJoinEpoch;
  std::optional<std::string> instance_id;
  std::string client_id;
  std::string client_host;
  // nullopt from here on: as said before
  std::optional<std::string> rack;
  std::optional<int32_t> rebalance_timeout_ms;
  std::optional<std::vector<std::string>> streams;
  std::optional<std::string> pattern;  // of stream names, besides `streams`; empty: none
  std::optional<Assignor> assignor;
  std::optional<std::vector<base::PartitionKey>> owned;
};

struct ReconcileReply {
  GroupError error = GroupError::kNone;
  std::string member_id;
  int32_t epoch = 0;
  int32_t heartbeat_interval_ms = 0;
  std::optional<std::vector<base::PartitionKey>> assignment;  // all that the member may hold; nullopt: as told before
};

// --- cursors

struct CommitRequest {
  struct Entry {
    CursorKey key;
    int64_t offset = -1;
    int32_t leader_epoch = -1;
    std::string metadata;
  };
  std::string group;
  std::string member_id;
  std::optional<std::string> instance_id;
  int32_t generation = -1;  // or epoch; -1: not a member
  std::optional<int64_t> retention_ms;
  std::vector<Entry> entries;
  bool knows_epochs = true;  // false: a form of the request from before managed groups
};

struct CommitReply {
  struct Entry {
    CursorKey key;
    GroupError error = GroupError::kNone;
  };
  GroupError error = GroupError::kNone;  // of the request as a whole; then the entries carry it too
  std::vector<Entry> entries;            // in request order
};

struct FetchCursorsRequest {
  std::string group;
  std::optional<std::vector<CursorKey>> keys;  // nullopt: all of them
  std::string member_id = {};                  // with `epoch`: checked if the group is managed
  int32_t epoch = -1;                          // -1: not a member
};

struct FetchCursorsReply {
  struct Entry {
    CursorKey key;
    int64_t offset = -1;  // -1: nothing committed
    int32_t leader_epoch = -1;
    std::string metadata;
  };
  GroupError error = GroupError::kNone;
  std::vector<Entry> entries;  // in request order; sorted when all were asked for
};

struct DeleteCursorsRequest {
  std::string group;
  std::vector<CursorKey> keys;
};

struct DeleteCursorsReply {
  struct Entry {
    CursorKey key;
    GroupError error = GroupError::kNone;
  };
  GroupError error = GroupError::kNone;
  std::vector<Entry> entries;  // in request order; empty if the request failed as a whole
};

// --- groups

struct DescribeGroupsRequest {
  std::vector<std::string> groups;
};

struct DescribeGroupsReply {
  struct Member {
    std::string member_id;
    std::optional<std::string> instance_id;
    std::string client_id;
    std::string client_host;
    std::string metadata;  // for the chosen protocol; empty unless the group is stable
    std::string assignment;
  };
  struct Group {
    std::string name;
    GroupError error = GroupError::kNone;  // kGroupNotFound goes with phase kDead
    GroupPhase phase = GroupPhase::kDead;
    int32_t generation = -1;
    std::string protocol_type;
    std::string protocol;  // empty unless the group is stable
    std::vector<Member> members;
  };
  std::vector<Group> groups;
};

struct DescribeManagedRequest {
  std::vector<std::string> groups;
};

struct DescribeManagedReply {
  struct Member {
    std::string member_id;
    std::optional<std::string> instance_id;
    std::optional<std::string> rack;
    int32_t epoch = 0;
    std::string client_id;
    std::string client_host;
    std::vector<std::string> streams;
    std::optional<std::string> pattern;
    bool is_guest = false;  // speaks as in member-led groups
    std::vector<base::PartitionKey> assigned;
    std::vector<base::PartitionKey> target;
  };
  struct Group {
    std::string name;
    GroupError error = GroupError::kNone;  // kGroupNotFound too if it is member-led
    GroupPhase phase = GroupPhase::kDead;
    int32_t epoch = 0;
    int32_t target_epoch = 0;
    Assignor assignor = Assignor::kUniform;
    std::vector<Member> members;
  };
  std::vector<Group> groups;
};

struct ListGroupsRequest {
  std::vector<GroupPhase> phases;  // empty: any
};

struct ListGroupsReply {
  struct Group {
    std::string name;
    std::string protocol_type;  // empty: managed, or only cursors, never a member
    GroupPhase phase = GroupPhase::kEmpty;
    GroupKind kind = GroupKind::kMemberLed;
  };
  std::vector<Group> groups;  // sorted by name
};

struct DeleteGroupsRequest {
  std::vector<std::string> groups;
};

struct DeleteGroupsReply {
  struct Group {
    std::string name;
    GroupError error = GroupError::kNone;
  };
  std::vector<Group> groups;
};

using GroupRequest = std::variant<JoinRequest, SyncRequest, HeartbeatRequest, LeaveRequest, CommitRequest,
                                  FetchCursorsRequest, DescribeGroupsRequest, ListGroupsRequest, DeleteGroupsRequest,
                                  DeleteCursorsRequest, ReconcileRequest, DescribeManagedRequest>;
using GroupReply =
    std::variant<JoinReply, SyncReply, HeartbeatReply, LeaveReply, CommitReply, FetchCursorsReply, DeleteCursorsReply,
                 DescribeGroupsReply, ListGroupsReply, DeleteGroupsReply, ReconcileReply, DescribeManagedReply>;

// The answer that says kUnavailable to everything asked for (a list says nothing).
GroupReply unavailable(const GroupRequest& request);
// Takes back what an answer said, when it turns out that it cannot become durable.
void make_unavailable(GroupReply& reply);

}  // namespace polylog::broker
