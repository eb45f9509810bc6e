// How managed members look from outside, and what time does to them.
#include <algorithm>

#include "broker/groups/managed_members.h"

namespace polylog::broker {

using base::MonoTime;
using base::WallTime;

GroupPhase ManagedMembers::phase() const {
  if (empty()) return GroupPhase::kEmpty;
  if (managed().target_epoch < managed().epoch) return GroupPhase::kAssigning;
  const bool settled =
      std::ranges::all_of(managed().members, [&](const auto& entry) { return is_settled(entry.second); });
  return settled ? GroupPhase::kStable : GroupPhase::kReconciling;
}

bool ManagedMembers::is_settled(const ManagedMember& member) const {
  return member.holding.epoch == managed().target_epoch && member.holding.revoking.empty() &&
         member.holding.assigned == member.target;
}

bool ManagedMembers::is_subscribed(const std::string& stream) const {
  if (names_.contains(stream)) return true;
  return std::ranges::any_of(patterns_, [&](const auto& entry) {
    const Pattern& pattern = entry.second;
    return pattern.matched && pattern.matched->pattern.matches(stream);
  });
}

DescribeManagedReply::Group ManagedMembers::view() const {
  DescribeManagedReply::Group view;
  view.name = state_.name;
  view.phase = phase();
  view.epoch = managed().epoch;
  view.target_epoch = managed().target_epoch;
  view.assignor = managed().assignor;
  for (const auto& [id, member] : managed().members) {
    const ManagedRecord& record = member.record;
    view.members.push_back({.member_id = id,
                            .instance_id = record.instance_id,
                            .rack = record.rack,
                            .epoch = member.holding.epoch,
                            .client_id = record.client_id,
                            .client_host = record.client_host,
                            .streams = record.streams.list(),
                            .pattern = record.pattern,
                            .is_guest = record.guest.has_value(),
                            .assigned = member.holding.assigned,
                            .target = member.target});
  }
  return view;
}

std::string ManagedMembers::describe() const {
  std::string text = "managed epoch=" + std::to_string(managed().epoch) +
                     " target_epoch=" + std::to_string(managed().target_epoch) +
                     " streams=" + std::to_string(managed().sizes.size());
  for (const auto& [id, member] : managed().members) {
    text += "\n  member " + id + " epoch=" + std::to_string(member.holding.epoch) +
            " assigned=" + std::to_string(member.holding.assigned.size()) + (member.holding.known ? "" : " unknown") +
            (member.record.guest ? " guest" : "") + " revoking=" + std::to_string(member.holding.revoking.size()) +
            " target=" + std::to_string(member.target.size());
  }
  return text;
}

// ---- time

void ManagedMembers::on_time(MonoTime now, WallTime wall) {
  std::vector<std::string> late;
  for (const auto& [id, deadlines] : deadlines_) {
    if (deadlines.session <= now || (deadlines.revoke && *deadlines.revoke <= now)) late.push_back(id);
  }
  remove(late, wall);
  wake_at_.reset();
  for (const auto& [id, deadlines] : deadlines_) {
    wake_by(deadlines.session);
    if (deadlines.revoke) wake_by(*deadlines.revoke);
  }
}

void ManagedMembers::session_timeout_changed(MonoTime now) {
  for (const auto& [id, member] : managed().members) set_deadlines(id, now);
}

void ManagedMembers::wake_by(MonoTime time) {
  if (!wake_at_ || time < *wake_at_) wake_at_ = time;
}

}  // namespace polylog::broker
