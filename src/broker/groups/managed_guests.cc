// Guests of a managed group: members that speak as in member-led groups.
#include <algorithm>
#include <utility>

#include "broker/groups/managed_members.h"

namespace polylog::broker {

using base::MonoTime;
using base::WallTime;

namespace {

// At least a moment, whatever the client says.
int32_t positive(int32_t timeout_ms) { return std::max(timeout_ms, 1); }

bool supports(const ManagedGuest& guest, const std::string& protocol) {
  return std::ranges::any_of(guest.protocols, [&](const GroupProtocol& own) { return own.name == protocol; });
}

ManagedRecord record_of_member(const MemberRecord& member, const std::string& protocol_type) {
  return {.id = member.id,
          .instance_id = member.instance_id,
          .client_id = member.client_id,
          .client_host = member.client_host,
          .rebalance_timeout_ms = member.rebalance_timeout_ms,
          .streams = member.subscriptions.value_or(std::vector<std::string>{}),
          .guest = ManagedGuest{member.session_timeout_ms, protocol_type, member.protocols}};
}

}  // namespace

// ---- from a member-led group and back

void ManagedMembers::adopt(const Roster& roster, MonoTime now) {
  for (const MemberRecord& member : roster.members) {
    put(record_of_member(member, roster.protocol_type), /*new_epoch=*/true);
    hold(member.id, {.epoch = roster.generation, .previous_epoch = roster.generation, .known = false});
    set_deadlines(member.id, now);
  }
}

bool ManagedMembers::only_guests() const {
  return !empty() && std::ranges::all_of(managed().members,
                                         [](const auto& entry) { return entry.second.record.guest.has_value(); });
}

Roster ManagedMembers::guest_roster() const {
  const ManagedMember& first = managed().members.begin()->second;
  Roster roster{.generation = 0,
                .protocol_type = first.record.guest->protocol_type,
                .protocol = common_protocol(),
                .leader = first.record.id};
  for (const auto& [id, member] : managed().members) {
    const ManagedRecord& record = member.record;
    roster.generation = std::max(roster.generation, member.holding.epoch);  // most are there
    roster.members.push_back({.id = id,
                              .instance_id = record.instance_id,
                              .client_id = record.client_id,
                              .client_host = record.client_host,
                              .session_timeout_ms = record.guest->session_timeout_ms,
                              .rebalance_timeout_ms = record.rebalance_timeout_ms,
                              .protocols = record.guest->protocols,
                              .subscriptions = record.streams.list()});
  }
  return roster;
}

// ---- who asks

bool ManagedMembers::has_guest(const std::string& id) const {
  const auto member = managed().members.find(id);
  return member != managed().members.end() && member->second.record.guest;
}

GroupError ManagedMembers::check_guest(const std::string& id, const std::optional<std::string>& instance_id) const {
  if (instance_id) {
    const auto instance = instances_.find(*instance_id);
    if (instance == instances_.end()) return GroupError::kUnknownMember;
    if (instance->second != id) return GroupError::kFencedInstance;
  }
  return has_guest(id) ? GroupError::kNone : GroupError::kUnknownMember;
}

// Guests must have one, for the day when they lead the group again.
bool ManagedMembers::shares_a_protocol(const JoinRequest& request) const {
  if (!request.subscriptions) return false;
  return std::ranges::any_of(request.protocols, [&](const GroupProtocol& protocol) {
    return std::ranges::all_of(managed().members, [&](const auto& entry) {
      const auto& guest = entry.second.record.guest;
      const bool is_self = entry.first == request.member_id ||
                           (request.instance_id && entry.second.record.instance_id == request.instance_id);
      return !guest || is_self || (guest->protocol_type == request.protocol_type && supports(*guest, protocol.name));
    });
  });
}

std::string ManagedMembers::common_protocol() const {
  for (const auto& [id, member] : managed().members) {
    if (!member.record.guest) continue;
    for (const GroupProtocol& protocol : member.record.guest->protocols) {
      const bool is_common = std::ranges::all_of(managed().members, [&](const auto& entry) {
        const auto& guest = entry.second.record.guest;
        return !guest || supports(*guest, protocol.name);
      });
      if (is_common) return protocol.name;
    }
    break;
  }
  return {};
}

ManagedRecord ManagedMembers::guest_record(const JoinRequest& request, const std::string& id) const {
  return record_of_member(
      {.id = id,
       .instance_id = request.instance_id,
       .client_id = request.client_id,
       .client_host = request.client_host,
       .session_timeout_ms = positive(request.session_timeout_ms),
       .rebalance_timeout_ms = positive(request.rebalance_timeout_ms.value_or(request.session_timeout_ms)),
       .protocols = request.protocols,
       .subscriptions = request.subscriptions},
      request.protocol_type);
}

PartitionList ManagedMembers::keys_of(const std::vector<CursorKey>& named) const {
  PartitionList keys;
  for (const CursorKey& name : named) {
    const auto stream = context_.streams.find_stream(name.stream);
    if (stream && name.partition < stream->partition_count) keys.push_back({stream->id, name.partition});
  }
  std::ranges::sort(keys);
  const auto repeated = std::ranges::unique(keys);
  keys.erase(repeated.begin(), repeated.end());
  return keys;
}

// ---- answering

// `id`: the member's, or the one that a new member gets.
JoinReply ManagedMembers::join_guest(const JoinRequest& request, const std::string& id, MonoTime now) {
  JoinReply reply{.error = check_guest(id, request.instance_id), .member_id = id};
  Place place{Place::How::kKnown, id};
  if (!managed().members.contains(id)) {
    const auto instance = request.instance_id ? instances_.find(*request.instance_id) : instances_.end();
    place = instance == instances_.end() ? Place{} : Place{Place::How::kReplaces, instance->second};
    reply.error = GroupError::kNone;
  }
  if (reply.error == GroupError::kNone) reply.error = take_in(place, guest_record(request, id));
  if (reply.error != GroupError::kNone) return reply;
  PartitionList owned = keys_of(request.owned);
  if (const Holding& holding = managed().members.at(id).holding; !holding.known) {
    PartitionList its_own;
    std::ranges::copy_if(owned, std::back_inserter(its_own), [&](const auto& key) { return !held_.contains(key); });
    hold(id, {.epoch = holding.epoch, .previous_epoch = holding.previous_epoch, .assigned = std::move(its_own)});
  }
  divide_if_due();
  advance(id, owned);
  set_deadlines(id, now);
  reply.generation = managed().members.at(id).holding.epoch;
  reply.protocol_type = request.protocol_type;
  reply.protocol = common_protocol();
  return reply;
}

SyncReply ManagedMembers::sync_guest(const SyncRequest& request, MonoTime now) {
  SyncReply reply{.error = check_guest(request.member_id, request.instance_id)};
  if (reply.error != GroupError::kNone) return reply;
  const ManagedMember& member = managed().members.at(request.member_id);
  if (request.generation != member.holding.epoch) reply.error = GroupError::kIllegalGeneration;
  if (!member.holding.known) reply.error = GroupError::kRebalanceInProgress;
  if (request.protocol_type.value_or(member.record.guest->protocol_type) != member.record.guest->protocol_type) {
    reply.error = GroupError::kInconsistentProtocol;
  }
  if (reply.error != GroupError::kNone) return reply;
  set_deadlines(request.member_id, now);
  reply.protocol_type = member.record.guest->protocol_type;
  reply.protocol = request.protocol.value_or(common_protocol());
  reply.partitions = member.holding.assigned;
  return reply;
}

GroupError ManagedMembers::beat_guest(const HeartbeatRequest& request, MonoTime now) {
  if (const GroupError error = check_guest(request.member_id, request.instance_id); error != GroupError::kNone) {
    return error;
  }
  const ManagedMember& member = managed().members.at(request.member_id);
  if (request.generation != member.holding.epoch) return GroupError::kIllegalGeneration;
  divide_if_due();
  const std::optional<MonoTime> told = deadlines_.at(request.member_id).revoke;
  set_deadlines(request.member_id, now);
  if (!must_join_again(member)) return GroupError::kNone;
  // From the first time that it was told.
  Deadlines& deadlines = deadlines_.at(request.member_id);
  deadlines.revoke = told.value_or(now + std::chrono::milliseconds(member.record.rebalance_timeout_ms));
  wake_by(*deadlines.revoke);
  return GroupError::kRebalanceInProgress;
}

bool ManagedMembers::must_join_again(const ManagedMember& member) const {
  if (!member.holding.known || !member.holding.revoking.empty()) return true;
  return next_holding(member, member.holding.assigned) != member.holding;
}

GroupError ManagedMembers::remove_member(const std::string& id, const std::optional<std::string>& instance_id,
                                         WallTime wall) {
  std::string leaver = id;
  if (instance_id) {
    const auto instance = instances_.find(*instance_id);
    if (instance == instances_.end()) return GroupError::kUnknownMember;
    if (leaver.empty()) leaver = instance->second;
    if (instance->second != leaver) return GroupError::kFencedInstance;
  }
  if (!managed().members.contains(leaver)) return GroupError::kUnknownMember;
  remove({leaver}, wall);
  return GroupError::kNone;
}

}  // namespace polylog::broker
