// The durable form of groups: what is logged (mutations) and what is checkpointed (snapshots), and GroupState, the
// object both of them build. Live code changes a GroupState only by applying a mutation it has just logged, so that replay
// cannot differ. Not here: anything that lives only in memory (phases, waiting replies, deadlines; see group.h).
//
//   mutation    | type u8 | version u8 | body length u32 | body |
//   every body begins with the group's name
//     cursors committed   | name str | committed i64 | expires opt i64 | count uv | { stream str | partition u32 |
//                           offset i64 | leader epoch u32 | metadata str }* |
//     generation started  | name str | generation u32 |                  members may have heard of this number
//     membership          | name str | roster |                          replaces the one before
//     cursors deleted     | name str | count uv | { stream str | partition u32 }* |
//     group deleted       | name str |
//     managed begun       | name str | epoch u32 |                       the group changes its kind
//     managed ended       | name str | generation u32 | changed i64 |    and back
//     managed member      | name str | group epoch u32 | record |        new, or wants something else
//     managed replaced    | name str | old id str | record |             takes over what the old one has
//     managed gone        | name str | group epoch u32 | changed i64 | id str |
//     managed targets     | name str | epoch u32 | count uv | { id str | partitions }* |
//                           end opt: assignor u8, sizes |                only the last of a division has the end
//     managed holding     | name str | id str | holding |
//   roster      | generation u32 | changed i64 | type str | protocol str | leader str | count uv | member* |
//   member      | id str | instance opt str | client id str | client host str | session timeout u32 |
//               | rebalance timeout u32 | protocols: count uv, { name str | metadata str }* |
//               | subscriptions opt: count uv, { stream str }* | assignment str |
//   record      | id str | instance opt str | rack opt str | client id str | client host str | rebalance timeout u32 |
//               | streams: count uv, { name str }* | pattern opt str | assignor u8, 255: none |
//               | guest opt: session timeout u32, type str, protocols: count uv, { name str | metadata str }* |
//   holding     | epoch u32 | previous epoch u32 | assigned partitions | revoking partitions | known u8 |
//   partitions  | count uv | { stream 16 B | count uv | { gap uv | length uv }* }* |  runs of neighbouring indexes
//   sizes       | count uv | { stream 16 B | partitions u32 }* |
//   snapshot    | version u8 | name str | roster | generation started u32 | count uv | { stream str | partition u32 |
//                 offset i64 | leader epoch u32 | metadata str | committed i64 | expires opt i64 }* |
//                 managed opt: epoch u32, target epoch u32, assignor u8, changed i64, sizes,
//                 count uv, { record | holding | target partitions }* |                  from version 2 on
//
//   integers are little-endian; uv = LEB128; str = uv length, bytes; opt = u8 0, or 1 and the value; times: ms since
//   1970.
//   Members and cursors of a snapshot are sorted: equal states have equal bytes.
//
// To change a format: raise its version below, keep reading the older one, add a test with the older one's bytes.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "broker/groups/cursors.h"
#include "broker/groups/managed_state.h"
#include "broker/groups/requests.h"

namespace polylog::broker {

inline constexpr uint8_t kGroupMutationVersion = 1;
inline constexpr uint8_t kGroupSnapshotVersion = 2;
inline constexpr uint8_t kGroupSnapshotVersionMin = 1;

enum class GroupMutationType : uint8_t {
  kCursorsCommitted = 1,
  kGenerationStarted = 2,
  kMembership = 3,
  kCursorsDeleted = 4,
  kGroupDeleted = 5,
  kManagedBegun = 6,
  kManagedEnded = 7,
  kManagedMemberPut = 8,
  kManagedMemberReplaced = 9,
  kManagedMemberGone = 10,
  kManagedTargets = 11,
  kManagedHolding = 12,
};

struct MemberRecord {
  std::string id;
  std::optional<std::string> instance_id;
  std::string client_id;
  std::string client_host;
  int32_t session_timeout_ms = 0;
  int32_t rebalance_timeout_ms = 0;
  std::vector<GroupProtocol> protocols;
  Subscriptions subscriptions;
  std::string assignment;
};

// As a mutation has it, but for some numbers.
inline size_t bytes_of(const MemberRecord& record) {
  const size_t bytes = record.id.size() + record.instance_id.value_or("").size() + record.client_id.size() +
                       record.client_host.size() + record.assignment.size();
  return bytes + bytes_of(record.protocols) + bytes_of(record.subscriptions);
}

struct Roster {
  int32_t generation = 0;
  base::WallTime changed;  // of an empty group: since when it is empty
  std::string protocol_type;
  std::string protocol;
  std::string leader;
  std::vector<MemberRecord> members;  // sorted by id
};

struct CursorsCommitted {
  std::string group;
  base::WallTime committed;
  std::optional<base::WallTime> expires;
  std::vector<CommitRequest::Entry> entries;
};
struct GenerationStarted {
  std::string group;
  int32_t generation = 0;
};
struct MembershipChanged {
  std::string group;
  Roster roster;
};
struct CursorsDeleted {
  std::string group;
  std::vector<CursorKey> keys;
};
struct GroupDeleted {
  std::string group;
};
using GroupMutation = std::variant<CursorsCommitted, GenerationStarted, MembershipChanged, CursorsDeleted, GroupDeleted,
                                   ManagedBegun, ManagedEnded, ManagedMemberPut, ManagedMemberReplaced,
                                   ManagedMemberGone, ManagedTargets, ManagedHolding>;

struct GroupState {
  std::string name;
  Roster roster;
  int32_t generation_started = 0;  // the highest ever; a generation between it and the roster's was never synced
  Cursors cursors;
  std::optional<ManagedState> managed;  // then the roster is empty

  void apply(const GroupMutation& mutation);  // any but GroupDeleted, which ends the object
};

const std::string& group_of(const GroupMutation& mutation);

std::vector<uint8_t> encode(const GroupMutation& mutation);
base::Result<GroupMutation> decode_group_mutation(base::View bytes);

// All of it; or `cursors_max` of the cursors, the others in further parts. Each part shows its own moment: replay from
// the snapshot's stamp on brings all of them to the same one.
struct SavedGroup {
  std::vector<uint8_t> bytes;
  std::optional<CursorKey> next;  // where the next part begins
};
SavedGroup save_group(const GroupState& state, size_t cursors_max);
SavedGroup save_cursors(const GroupState& state, const CursorKey& from, size_t cursors_max);
inline std::vector<uint8_t> encode_snapshot(const GroupState& state) { return save_group(state, SIZE_MAX).bytes; }
base::Result<GroupState> decode_snapshot(base::View bytes);
struct GroupCursors {
  std::string group;
  Cursors cursors;
};
base::Result<GroupCursors> decode_cursors(base::View bytes);

}  // namespace polylog::broker
