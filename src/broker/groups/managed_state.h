// The durable part of a managed group and the mutations that change it: who takes part, what each member shall hold (its
// target) and what it may hold now. Drawn in mutations.h. Changed by apply() only, live and in replay alike: no clock, no
// catalog, no chance. The rules are in managed_members.h.
//
//   epoch         of the group: rises whenever the membership, a subscription or a subscribed stream changes
//   target_epoch  the epoch that the targets were computed for
//   member epoch  the target_epoch that the member has heard of; it stays behind while the member has to give up
//                 partitions. Each is logged before a member can hear of it, so none is used twice.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "base/wire.h"
#include "broker/groups/assignor.h"
#include "broker/groups/requests.h"
#include "broker/groups/stream_names.h"

namespace polylog::broker {

using PartitionList = std::vector<base::PartitionKey>;  // ascending, each once

// A member that joins, syncs and heartbeats as if a member led the group; its generation is its epoch.
struct ManagedGuest {
  int32_t session_timeout_ms = 0;
  std::string protocol_type;
  std::vector<GroupProtocol> protocols;
  friend bool operator==(const ManagedGuest&, const ManagedGuest&) = default;
};

struct ManagedRecord {
  std::string id;
  std::optional<std::string> instance_id;
  std::optional<std::string> rack;
  std::string client_id;
  std::string client_host;
  int32_t rebalance_timeout_ms = 0;
  StreamNames streams;
  std::optional<std::string> pattern;  // never empty
  std::optional<Assignor> assignor;
  std::optional<ManagedGuest> guest;
  friend bool operator==(const ManagedRecord&, const ManagedRecord&) = default;
};

struct Holding {
  int32_t epoch = 0;           // kAwayEpoch: left for a while
  int32_t previous_epoch = 0;  // what it was before: its owner may not have heard of `epoch` yet
  PartitionList assigned;
  PartitionList revoking;  // told to give up, not yet heard that it did: nobody else may have them
  bool known = true;       // false: from before the group was managed; until it says, it may hold anything
  friend bool operator==(const Holding&, const Holding&) = default;
};

struct ManagedMember {
  ManagedRecord record;
  Holding holding;
  PartitionList target;
  friend bool operator==(const ManagedMember&, const ManagedMember&) = default;
};

// --- mutations

struct ManagedBegun {  // the group becomes managed; members it has follow
  std::string group;
  int32_t epoch = 0;
};
struct ManagedEnded {  // the group becomes member-led; members it has follow
  std::string group;
  int32_t generation = 0;
  base::WallTime changed;
};
struct ManagedMemberPut {  // joined, or wants something else
  std::string group;
  int32_t epoch = 0;
  ManagedRecord record;
};
struct ManagedMemberReplaced {  // somebody new takes over what `old_id` has
  std::string group;
  std::string old_id;
  ManagedRecord record;
};
struct ManagedMemberGone {
  std::string group;
  int32_t epoch = 0;
  base::WallTime changed;
  std::string id;
};
struct ManagedTargetsEnd {
  Assignor assignor = Assignor::kUniform;
  StreamSizes sizes;
};
struct
    ManagedTargets {  // those that changed; many are spread over several mutations, of which only the last has an end
  struct Target {
    std::string id;
    PartitionList partitions;
  };
  std::string group;
  int32_t epoch = 0;
  std::vector<Target> targets;
  std::optional<ManagedTargetsEnd> end;
};
struct ManagedHolding {
  std::string group;
  std::string id;
  Holding holding;
};

struct ManagedState {
  int32_t epoch = 0;
  int32_t target_epoch = 0;
  Assignor assignor = Assignor::kUniform;
  base::WallTime changed;  // of an empty group: since when it is empty
  StreamSizes sizes;       // what the targets divide
  std::map<std::string, ManagedMember> members;
  friend bool operator==(const ManagedState&, const ManagedState&) = default;

  void apply(const ManagedMemberPut& m);
  void apply(const ManagedMemberReplaced& m);
  void apply(const ManagedMemberGone& m);
  void apply(const ManagedTargets& m);
  void apply(const ManagedHolding& m);
};

namespace group_codec {

// Bodies behind the group's name.
void put(base::Writer& w, const ManagedBegun& m);
void put(base::Writer& w, const ManagedEnded& m);
void put(base::Writer& w, const ManagedMemberPut& m);
void put(base::Writer& w, const ManagedMemberReplaced& m);
void put(base::Writer& w, const ManagedMemberGone& m);
void put(base::Writer& w, const ManagedTargets& m);
void put(base::Writer& w, const ManagedHolding& m);
void get(base::Reader& r, ManagedBegun& m);
void get(base::Reader& r, ManagedEnded& m);
void get(base::Reader& r, ManagedMemberPut& m);
void get(base::Reader& r, ManagedMemberReplaced& m);
void get(base::Reader& r, ManagedMemberGone& m);
void get(base::Reader& r, ManagedTargets& m);
void get(base::Reader& r, ManagedHolding& m);
// Of a snapshot.
void put(base::Writer& w, const ManagedState& state);
void get(base::Reader& r, ManagedState& state);

}  // namespace group_codec

}  // namespace polylog::broker
