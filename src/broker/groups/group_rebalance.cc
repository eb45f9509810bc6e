// How a group moves from one generation to the next, and what time does to it.
#include <algorithm>

#include "base/check.h"
#include "broker/groups/group.h"

namespace polylog::broker {

using base::Duration;
using base::MonoTime;
using base::WallTime;

void Group::prepare_rebalance(MonoTime now, WallTime wall) {
  if (phase_ == GroupPhase::kCompletingRebalance) fail_syncs(GroupError::kRebalanceInProgress);
  sync_deadline_.reset();
  for (auto& [id, member] : members_) member.sync_due = false;
  initial_delay_ = phase_ == GroupPhase::kEmpty && context_.config.initial_rebalance_delay_ms > 0;
  phase_ = GroupPhase::kPreparingRebalance;
  newcomer_ = false;
  if (!initial_delay_) {
    join_deadline_ = now + rebalance_timeout();
    wake_by(*join_deadline_);
    return complete_join_if_all_here(now, wall);
  }
  const Duration delay = std::chrono::milliseconds(context_.config.initial_rebalance_delay_ms);
  delay_left_ = std::max(rebalance_timeout() - delay, Duration(0));
  join_deadline_ = now + delay;
  wake_by(*join_deadline_);
}

// `lost_member`: false if only ids that were never used went; that changes nothing for those who are in.
void Group::after_removal(bool lost_member, MonoTime now, WallTime wall) {
  switch (phase_) {
    case GroupPhase::kPreparingRebalance: return complete_join_if_all_here(now, wall);
    case GroupPhase::kCompletingRebalance:
    case GroupPhase::kStable:
      if (lost_member) prepare_rebalance(now, wall);
      return;
    case GroupPhase::kEmpty:
    case GroupPhase::kAssigning:
    case GroupPhase::kReconciling:
    case GroupPhase::kDead: return;
  }
}

void Group::complete_join_if_all_here(MonoTime now, WallTime wall) {
  if (initial_delay_ || !pending_.empty()) return;
  const bool all_here = std::ranges::all_of(members_, [](const auto& entry) { return entry.second.joined; });
  if (all_here) complete_join(now, wall);
}

void Group::complete_join(MonoTime now, WallTime wall) {
  std::vector<std::string> absent;
  for (const auto& [id, member] : members_) {
    if (!member.joined && !member.record.instance_id) absent.push_back(id);
  }
  for (const std::string& id : absent) remove_member(id, GroupError::kUnknownMember);
  initial_delay_ = false;
  if (members_.empty()) return become_empty(wall);
  if (!elect_leader()) {  // only static members, all away: wait on, their sessions decide
    join_deadline_ = now + rebalance_timeout();
    return wake_by(*join_deadline_);
  }
  begin_generation(now);
}

void Group::begin_generation(MonoTime now) {
  generation_ = std::max(generation_, state_.generation_started) + 1;
  protocol_ = select_protocol();
  CHECK(!protocol_.empty(), "members without a common protocol: " + describe());
  phase_ = GroupPhase::kCompletingRebalance;
  join_deadline_.reset();
  sync_deadline_ = now + rebalance_timeout();
  wake_by(*sync_deadline_);
  log(GenerationStarted{name(), generation_});
  for (auto& [id, member] : members_) {
    member.record.assignment.clear();
    member.epoch_before.reset();
    member.sync_due = member.joined;
    if (!member.joined) continue;
    member.joined = false;
    refresh_session(member, now);
    answer_join(member, current_generation(member));
  }
}

void Group::become_empty(WallTime wall) {
  generation_ = std::max(generation_, state_.generation_started) + 1;
  protocol_.clear();
  leader_.clear();
  phase_ = GroupPhase::kEmpty;
  join_deadline_.reset();
  sync_deadline_.reset();
  const bool fits = settle_roster(wall);
  CHECK(fits, "a roster without members is small: " + describe());
}

// The leader stays if it came; else the first to have joined among those who came.
bool Group::elect_leader() {
  if (const auto it = members_.find(leader_); it != members_.end() && it->second.joined) return true;
  const Member* first = nullptr;
  for (const auto& [id, member] : members_) {
    if (member.joined && (first == nullptr || member.join_order < first->join_order)) first = &member;
  }
  if (first == nullptr) return false;
  leader_ = first->record.id;
  return true;
}

bool Group::all_support(const std::string& protocol, const std::string& except_id) const {
  return std::ranges::all_of(members_, [&](const auto& entry) {
    return entry.first == except_id ||
           std::ranges::any_of(entry.second.record.protocols,
                               [&](const GroupProtocol& candidate) { return candidate.name == protocol; });
  });
}

// Every member votes for the first protocol of its list that all support; a tie goes to the first name in order.
std::string Group::select_protocol() const {
  std::map<std::string, bool> supported;
  std::map<std::string, size_t> votes;
  for (const auto& [id, member] : members_) {
    for (const GroupProtocol& protocol : member.record.protocols) {
      auto [it, is_new] = supported.try_emplace(protocol.name, false);
      if (is_new) it->second = all_support(protocol.name);
      if (!it->second) continue;
      ++votes[protocol.name];
      break;
    }
  }
  const auto winner = std::ranges::max_element(votes, {}, [](const auto& entry) { return entry.second; });
  return winner == votes.end() ? std::string() : winner->first;
}

// Logs the working roster as the durable one, unless it is larger than a mutation may be.
bool Group::settle_roster(WallTime wall) {
  MembershipChanged change{name(), {generation_, wall, protocol_type_, protocol_, leader_, {}}};
  for (const auto& [id, member] : members_) change.roster.members.push_back(member.record);
  const std::vector<uint8_t> bytes = encode(change);
  if (bytes.size() > context_.config.mutation_bytes_max) return false;
  log(change, bytes);
  return true;
}

void Group::fail_syncs(GroupError error) {
  for (auto& [id, member] : members_) {
    member.record.assignment.clear();
    answer_sync(member, error);
  }
  recount_members();
}

void Group::remove_member(const std::string& id, GroupError told) {
  const auto it = members_.find(id);
  CHECK(it != members_.end(), "no member " + id + ": " + describe());
  Member member = std::move(it->second);
  members_.erase(it);
  member_bytes_ -= bytes_of(member.record);
  if (member.record.instance_id) static_ids_.erase(*member.record.instance_id);
  if (leader_ == member.record.id) leader_.clear();
  JoinReply answer;
  answer.error = told;
  answer.member_id = member.record.id;
  answer_join(member, std::move(answer));
  answer_sync(member, told);
}

// --- time

void Group::on_time(MonoTime now, WallTime wall) {
  if (is_managed()) return managed_on_time(now, wall);
  expire_pending(now, wall);
  expire_sessions(now, wall);
  expire_join(now, wall);
  expire_sync(now, wall);
  recompute_wake();
}

void Group::expire_pending(MonoTime now, WallTime wall) {
  if (std::erase_if(pending_, [&](const auto& entry) { return entry.second <= now; }) > 0) {
    after_removal(false, now, wall);
  }
}

// Who waits for an answer is alive as long as its connection is; it gets another session timeout.
void Group::expire_sessions(MonoTime now, WallTime wall) {
  std::vector<std::string> silent;
  for (auto& [id, member] : members_) {
    if (member.session_deadline > now) continue;
    if (member.join_waiter || member.sync_waiter) {
      refresh_session(member, now);
    } else {
      silent.push_back(id);
    }
  }
  for (const std::string& id : silent) remove_member(id, GroupError::kUnknownMember);
  if (!silent.empty()) after_removal(true, now, wall);
}

void Group::expire_join(MonoTime now, WallTime wall) {
  if (phase_ != GroupPhase::kPreparingRebalance || !join_deadline_ || *join_deadline_ > now) return;
  if (!initial_delay_ || !newcomer_ || delay_left_ == Duration(0)) return complete_join(now, wall);
  const Duration delay =
      std::min<Duration>(std::chrono::milliseconds(context_.config.initial_rebalance_delay_ms), delay_left_);
  delay_left_ -= delay;
  newcomer_ = false;
  join_deadline_ = now + delay;
}

void Group::expire_sync(MonoTime now, WallTime wall) {
  if (!sync_deadline_ || *sync_deadline_ > now) return;
  sync_deadline_.reset();
  std::vector<std::string> late;
  for (const auto& [id, member] : members_) {
    if (member.sync_due) late.push_back(id);
  }
  for (const std::string& id : late) remove_member(id, GroupError::kUnknownMember);
  if (!late.empty()) after_removal(true, now, wall);
}

Duration Group::rebalance_timeout() const {
  int32_t longest_ms = 0;
  for (const auto& [id, member] : members_) longest_ms = std::max(longest_ms, member.record.rebalance_timeout_ms);
  return std::chrono::milliseconds(longest_ms);
}

void Group::wake_by(MonoTime time) {
  if (!wake_at_ || time < *wake_at_) wake_at_ = time;
}

void Group::recompute_wake() {
  wake_at_.reset();
  for (const auto& [id, deadline] : pending_) wake_by(deadline);
  for (const auto& [id, member] : members_) wake_by(member.session_deadline);
  if (join_deadline_) wake_by(*join_deadline_);
  if (sync_deadline_) wake_by(*sync_deadline_);
}

}  // namespace polylog::broker
