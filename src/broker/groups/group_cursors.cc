// The cursors committed in a group's name: who may commit, how long they stay, when they may be deleted.
#include <algorithm>

#include "broker/groups/group.h"

namespace polylog::broker {

using base::MonoTime;
using base::WallTime;

namespace {
constexpr size_t kMutationBytesTarget = 64 * base::limits::kKiB;  // longer lists are split: entries are independent
constexpr size_t kNumbersBytes = 32;                              // of an entry, at least

size_t size_of(const CursorKey& key) { return key.stream.size() + kNumbersBytes; }
}  // namespace

GroupError Group::check_commit(const CommitRequest& request) const {
  if (is_managed()) return managed_.check_commit(request);
  const bool is_outsider = request.generation < 0 && request.member_id.empty() && !request.instance_id;
  if (request.generation < 0 && phase_ == GroupPhase::kEmpty) return GroupError::kNone;
  if (is_outsider) return GroupError::kUnknownMember;
  if (const GroupError error = check_member(request.member_id, request.instance_id); error != GroupError::kNone) {
    return error;
  }
  if (!is_generation_of(request.member_id, request.generation)) return GroupError::kIllegalGeneration;
  if (phase_ == GroupPhase::kCompletingRebalance) return GroupError::kRebalanceInProgress;
  return GroupError::kNone;
}

void Group::commit(ReplyTo to, const CommitRequest& request, MonoTime now, WallTime wall) {
  CommitReply answer;
  answer.error = check_commit(request);
  CursorsCommitted change{.group = name(), .committed = wall, .expires = {}, .entries = {}};
  if (request.retention_ms && *request.retention_ms >= 0) {
    change.expires =
        WallTime{wall.ms > INT64_MAX - *request.retention_ms ? INT64_MAX : wall.ms + *request.retention_ms};
  }
  if (const auto it = members_.find(request.member_id); it != members_.end() && answer.error == GroupError::kNone) {
    refresh_session(it->second, now);
  }
  size_t size_bytes = 0, growth_bytes = 0;
  for (const CommitRequest::Entry& entry : request.entries) {
    GroupError error = answer.error;
    if (error == GroupError::kNone && entry.metadata.size() > context_.config.metadata_bytes_max) {
      error = GroupError::kMetadataTooLarge;
    }
    const size_t growth = error == GroupError::kNone ? state_.cursors.growth(entry.key, entry.metadata) : 0;
    if (growth > 0 && !context_.has_memory_for(growth_bytes + growth)) error = GroupError::kNoMemory;
    answer.entries.push_back({entry.key, error});
    if (error != GroupError::kNone) continue;
    growth_bytes += growth;
    change.entries.push_back(entry);
    size_bytes += size_of(entry.key) + entry.metadata.size();
    if (size_bytes >= kMutationBytesTarget) {
      log(change);
      change.entries.clear();
      size_bytes = 0;
    }
  }
  if (!change.entries.empty()) log(change);
  reply(to, std::move(answer));
}

void Group::fetch_cursors(ReplyTo to, const FetchCursorsRequest& request) {
  FetchCursorsReply answer;
  if (is_managed()) answer.error = managed_.check_fetch(request);
  if (answer.error != GroupError::kNone) return reply(to, std::move(answer));
  const auto add = [&](const CursorKey& key, const Cursor& cursor) {
    answer.entries.push_back({key, cursor.offset, cursor.leader_epoch, cursor.metadata});
  };
  if (!request.keys) {
    for (const auto& [key, cursor] : state_.cursors.all()) add(key, cursor);
    return reply(to, std::move(answer));
  }
  for (const CursorKey& key : *request.keys) {
    const auto it = state_.cursors.all().find(key);
    add(key, it == state_.cursors.all().end() ? Cursor{} : it->second);
  }
  reply(to, std::move(answer));
}

void Group::delete_cursors(ReplyTo to, const DeleteCursorsRequest& request) {
  DeleteCursorsReply answer;
  const bool in_use = !is_empty();
  if (in_use && !all_subscriptions_known()) {
    answer.error = GroupError::kNotEmpty;
    return reply(to, std::move(answer));
  }
  std::vector<CursorKey> gone;
  for (const CursorKey& key : request.keys) {
    const bool subscribed = in_use && is_subscribed(key.stream);
    answer.entries.push_back({key, subscribed ? GroupError::kSubscribed : GroupError::kNone});
    if (!subscribed && state_.cursors.all().contains(key)) gone.push_back(key);
  }
  log_deleted_cursors(std::move(gone));
  reply(to, std::move(answer));
}

void Group::drop_stream(std::string_view stream) {
  std::vector<CursorKey> gone;
  const Cursors::Map& all = state_.cursors.all();
  for (auto it = all.lower_bound(CursorKey{std::string(stream), 0}); it != all.end() && it->first.stream == stream;
       ++it) {
    gone.push_back(it->first);
  }
  log_deleted_cursors(std::move(gone));
}

std::optional<CursorKey> Group::expire_cursors(WallTime wall, const std::optional<CursorKey>& from, size_t& left) {
  std::vector<CursorKey> gone;
  const std::string* stream = nullptr;  // of which it is known whether they age
  bool ages = false;
  const Cursors::Map& all = state_.cursors.all();
  auto it = from ? all.lower_bound(*from) : all.begin();
  for (; it != all.end() && left > 0; ++it, --left) {
    const auto& [key, cursor] = *it;
    if (stream == nullptr || *stream != key.stream) ages = cursors_age(key.stream);
    stream = &key.stream;
    if (ages && is_expired(cursor, wall)) gone.push_back(key);
  }
  const auto next = it == all.end() ? std::nullopt : std::optional(it->first);
  log_deleted_cursors(std::move(gone));
  return next;
}

// Cursors age while nobody uses them: in an empty group since it became empty (or the commit, if later), in a stable
// one whose subscriptions we can read, or a managed one, those of streams no longer subscribed. Nothing ages during a
// rebalance that members lead.
bool Group::cursors_age(const std::string& stream) const {
  if (is_managed()) return !is_subscribed(stream);
  if (phase_ == GroupPhase::kStable) return all_subscriptions_known() && !is_subscribed(stream);
  return phase_ == GroupPhase::kEmpty;
}

bool Group::is_expired(const Cursor& cursor, WallTime wall) const {
  if (cursor.expires) return *cursor.expires <= wall;
  WallTime since = cursor.committed;
  if (is_empty()) since = std::max(since, is_managed() ? state_.managed->changed : state_.roster.changed);
  return wall.ms - since.ms >= context_.config.cursor_retention_ms;
}

bool Group::all_subscriptions_known() const {
  return std::ranges::all_of(members_, [](const auto& entry) { return entry.second.record.subscriptions.has_value(); });
}

bool Group::is_subscribed(const std::string& stream) const {
  if (is_managed()) return managed_.is_subscribed(stream);
  return std::ranges::any_of(members_, [&](const auto& entry) {
    const Subscriptions& streams = entry.second.record.subscriptions;
    return streams && std::ranges::find(*streams, stream) != streams->end();
  });
}

void Group::log_deleted_cursors(std::vector<CursorKey> keys) {
  CursorsDeleted change{name(), {}};
  size_t size_bytes = 0;
  for (CursorKey& key : keys) {
    size_bytes += size_of(key);
    change.keys.push_back(std::move(key));
    if (size_bytes < kMutationBytesTarget) continue;
    log(change);
    change.keys.clear();
    size_bytes = 0;
  }
  if (!change.keys.empty()) log(change);
}

}  // namespace polylog::broker
