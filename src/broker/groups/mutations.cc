#include "broker/groups/mutations.h"

#include <algorithm>

#include "base/check.h"
#include "base/wire.h"
#include "broker/groups/group_codec.h"

namespace polylog::broker {
namespace {

using base::ErrorCode;
using base::Reader;
using base::WallTime;
using base::Writer;
using namespace group_codec;

constexpr uint8_t kManagedSince = 2;  // version of a snapshot
constexpr uint8_t kGroupCursorsVersion = 1;

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};

// --- writing

void put_key(Writer& w, const CursorKey& key) {
  put_text(w, key.stream);
  w.u32le(key.partition);
}

void put_member(Writer& w, const MemberRecord& member) {
  put_text(w, member.id);
  put_optional_text(w, member.instance_id);
  put_text(w, member.client_id);
  put_text(w, member.client_host);
  put_i32(w, member.session_timeout_ms);
  put_i32(w, member.rebalance_timeout_ms);
  put_protocols(w, member.protocols);
  w.u8(member.subscriptions.has_value());
  if (member.subscriptions) put_texts(w, *member.subscriptions);
  put_text(w, member.assignment);
}

void put_roster(Writer& w, const Roster& roster) {
  put_i32(w, roster.generation);
  w.i64le(roster.changed.ms);
  put_text(w, roster.protocol_type);
  put_text(w, roster.protocol);
  put_text(w, roster.leader);
  w.uvarint(roster.members.size());
  for (const MemberRecord& member : roster.members) put_member(w, member);
}

constexpr GroupMutationType type_of(const ManagedBegun&) { return GroupMutationType::kManagedBegun; }
constexpr GroupMutationType type_of(const ManagedEnded&) { return GroupMutationType::kManagedEnded; }
constexpr GroupMutationType type_of(const ManagedMemberPut&) { return GroupMutationType::kManagedMemberPut; }
constexpr GroupMutationType type_of(const ManagedMemberReplaced&) { return GroupMutationType::kManagedMemberReplaced; }
constexpr GroupMutationType type_of(const ManagedMemberGone&) { return GroupMutationType::kManagedMemberGone; }
constexpr GroupMutationType type_of(const ManagedTargets&) { return GroupMutationType::kManagedTargets; }
constexpr GroupMutationType type_of(const ManagedHolding&) { return GroupMutationType::kManagedHolding; }

GroupMutationType put_body(Writer& w, const GroupMutation& mutation) {
  put_text(w, group_of(mutation));
  return std::visit(Overloaded{
                        [&](const CursorsCommitted& m) {
                          w.i64le(m.committed.ms);
                          put_optional_time(w, m.expires);
                          w.uvarint(m.entries.size());
                          for (const CommitRequest::Entry& entry : m.entries) {
                            put_key(w, entry.key);
                            w.i64le(entry.offset);
                            put_i32(w, entry.leader_epoch);
                            put_text(w, entry.metadata);
                          }
                          return GroupMutationType::kCursorsCommitted;
                        },
                        [&](const GenerationStarted& m) {
                          put_i32(w, m.generation);
                          return GroupMutationType::kGenerationStarted;
                        },
                        [&](const MembershipChanged& m) {
                          put_roster(w, m.roster);
                          return GroupMutationType::kMembership;
                        },
                        [&](const CursorsDeleted& m) {
                          w.uvarint(m.keys.size());
                          for (const CursorKey& key : m.keys) put_key(w, key);
                          return GroupMutationType::kCursorsDeleted;
                        },
                        [&](const GroupDeleted&) { return GroupMutationType::kGroupDeleted; },
                        [&](const auto& m) {
                          put(w, m);
                          return type_of(m);
                        },
                    },
                    mutation);
}

// --- reading

CursorKey get_key(Reader& r) {
  CursorKey key;
  key.stream = get_text(r);
  key.partition = r.u32le();
  return key;
}

MemberRecord get_member(Reader& r) {
  MemberRecord member;
  member.id = get_text(r);
  member.instance_id = get_optional_text(r);
  member.client_id = get_text(r);
  member.client_host = get_text(r);
  member.session_timeout_ms = get_i32(r);
  member.rebalance_timeout_ms = get_i32(r);
  member.protocols = get_protocols(r);
  if (get_flag(r)) member.subscriptions = get_list(r, get_text);
  member.assignment = get_text(r);
  return member;
}

Roster get_roster(Reader& r) {
  Roster roster;
  roster.generation = get_i32(r);
  roster.changed = get_time(r);
  roster.protocol_type = get_text(r);
  roster.protocol = get_text(r);
  roster.leader = get_text(r);
  roster.members = get_list(r, get_member);
  return roster;
}

CommitRequest::Entry get_entry(Reader& r) {
  CommitRequest::Entry entry;
  entry.key = get_key(r);
  entry.offset = r.i64le();
  entry.leader_epoch = get_i32(r);
  entry.metadata = get_text(r);
  return entry;
}

template <typename Mutation>
Mutation get_managed(Reader& r, std::string group) {
  Mutation m;
  m.group = std::move(group);
  get(r, m);
  return m;
}

std::optional<GroupMutation> get_body(Reader& r, uint8_t type) {
  std::string group = get_text(r);
  switch (static_cast<GroupMutationType>(type)) {
    case GroupMutationType::kCursorsCommitted: {
      CursorsCommitted m{.group = std::move(group), .committed = get_time(r), .expires = {}, .entries = {}};
      m.expires = get_optional_time(r);
      m.entries = get_list(r, get_entry);
      return m;
    }
    case GroupMutationType::kGenerationStarted: return GenerationStarted{std::move(group), get_i32(r)};
    case GroupMutationType::kMembership: return MembershipChanged{std::move(group), get_roster(r)};
    case GroupMutationType::kCursorsDeleted: return CursorsDeleted{std::move(group), get_list(r, get_key)};
    case GroupMutationType::kGroupDeleted: return GroupDeleted{std::move(group)};
    case GroupMutationType::kManagedBegun: return get_managed<ManagedBegun>(r, std::move(group));
    case GroupMutationType::kManagedEnded: return get_managed<ManagedEnded>(r, std::move(group));
    case GroupMutationType::kManagedMemberPut: return get_managed<ManagedMemberPut>(r, std::move(group));
    case GroupMutationType::kManagedMemberReplaced: return get_managed<ManagedMemberReplaced>(r, std::move(group));
    case GroupMutationType::kManagedMemberGone: return get_managed<ManagedMemberGone>(r, std::move(group));
    case GroupMutationType::kManagedTargets: return get_managed<ManagedTargets>(r, std::move(group));
    case GroupMutationType::kManagedHolding: return get_managed<ManagedHolding>(r, std::move(group));
  }
  return std::nullopt;
}

}  // namespace

const std::string& group_of(const GroupMutation& mutation) {
  return std::visit([](const auto& m) -> const std::string& { return m.group; }, mutation);
}

std::vector<uint8_t> encode(const GroupMutation& mutation) {
  Writer w;
  w.u8(0);
  w.u8(kGroupMutationVersion);
  const size_t length_at = w.size();
  w.u32le(0);
  w.buffer()[0] = static_cast<uint8_t>(put_body(w, mutation));
  w.patch_u32le(length_at, static_cast<uint32_t>(w.size() - length_at - 4));
  return std::move(w.buffer());
}

base::Result<GroupMutation> decode_group_mutation(base::View bytes) {
  Reader header(bytes);
  const uint8_t type = header.u8();
  const uint8_t version = header.u8();
  const uint32_t length = header.u32le();
  if (!header.ok() || length != header.remaining()) {
    return base::fail(ErrorCode::kCorrupt, "group mutation: wrong length");
  }
  if (version != kGroupMutationVersion) {
    return base::fail(ErrorCode::kUnsupported, "group mutation: version " + std::to_string(version));
  }
  Reader body(header.rest());
  std::optional<GroupMutation> mutation = get_body(body, type);
  if (!mutation) return base::fail(ErrorCode::kUnsupported, "group mutation: type " + std::to_string(type));
  if (!body.ok() || !body.at_end()) return base::fail(ErrorCode::kCorrupt, "group mutation: malformed body");
  return std::move(*mutation);
}

namespace {

// From `from` on; where it stopped, if there are more.
std::optional<CursorKey> put_cursors(Writer& w, const GroupState& state, const CursorKey& from, size_t cursors_max) {
  const Cursors::Map& all = state.cursors.all();
  const auto begin = all.lower_bound(from);
  auto end = begin;
  size_t count = 0;
  for (; end != all.end() && count < cursors_max; ++end) ++count;
  w.uvarint(count);
  for (auto it = begin; it != end; ++it) {
    const auto& [key, cursor] = *it;
    put_key(w, key);
    w.i64le(cursor.offset);
    put_i32(w, cursor.leader_epoch);
    put_text(w, cursor.metadata);
    w.i64le(cursor.committed.ms);
    put_optional_time(w, cursor.expires);
  }
  return end == all.end() ? std::nullopt : std::optional(end->first);
}

Cursors get_cursors(Reader& r) {
  Cursors cursors;
  for (uint64_t left = r.uvarint64(); left > 0 && r.ok(); --left) {
    CommitRequest::Entry entry = get_entry(r);
    Cursor cursor{entry.offset, entry.leader_epoch, std::move(entry.metadata), get_time(r), {}};
    cursor.expires = get_optional_time(r);
    cursors.put(std::move(entry.key), std::move(cursor));
  }
  return cursors;
}

}  // namespace

SavedGroup save_group(const GroupState& state, size_t cursors_max) {
  Writer w;
  w.u8(kGroupSnapshotVersion);
  put_text(w, state.name);
  put_roster(w, state.roster);
  put_i32(w, state.generation_started);
  auto next = put_cursors(w, state, {}, cursors_max);
  w.u8(state.managed.has_value());
  if (state.managed) put(w, *state.managed);
  return {std::move(w.buffer()), std::move(next)};
}

SavedGroup save_cursors(const GroupState& state, const CursorKey& from, size_t cursors_max) {
  Writer w;
  w.u8(kGroupCursorsVersion);
  put_text(w, state.name);
  auto next = put_cursors(w, state, from, cursors_max);
  return {std::move(w.buffer()), std::move(next)};
}

base::Result<GroupCursors> decode_cursors(base::View bytes) {
  Reader r(bytes);
  if (const uint8_t version = r.u8(); r.ok() && version != kGroupCursorsVersion)
    return base::fail(ErrorCode::kUnsupported, "cursors of a group: version " + std::to_string(version));
  GroupCursors part{.group = get_text(r), .cursors = get_cursors(r)};
  if (!r.ok() || !r.at_end()) return base::fail(ErrorCode::kCorrupt, "cursors of a group: malformed");
  return part;
}

base::Result<GroupState> decode_snapshot(base::View bytes) {
  Reader r(bytes);
  const uint8_t version = r.u8();
  if (r.ok() && (version < kGroupSnapshotVersionMin || version > kGroupSnapshotVersion)) {
    return base::fail(ErrorCode::kUnsupported, "group snapshot: version " + std::to_string(version));
  }
  GroupState state;
  state.name = get_text(r);
  state.roster = get_roster(r);
  state.generation_started = get_i32(r);
  state.cursors = get_cursors(r);
  if (version >= kManagedSince && get_flag(r)) get(r, state.managed.emplace());
  if (!r.ok() || !r.at_end()) return base::fail(ErrorCode::kCorrupt, "group snapshot: malformed");
  return state;
}

void GroupState::apply(const GroupMutation& mutation) {
  std::visit(Overloaded{
                 [&](const CursorsCommitted& m) {
                   for (const CommitRequest::Entry& entry : m.entries) {
                     cursors.put(entry.key, {entry.offset, entry.leader_epoch, entry.metadata, m.committed, m.expires});
                   }
                 },
                 [&](const GenerationStarted& m) { generation_started = m.generation; },
                 [&](const MembershipChanged& m) {
                   roster = m.roster;
                   generation_started = std::max(generation_started, roster.generation);
                 },
                 [&](const CursorsDeleted& m) {
                   for (const CursorKey& key : m.keys) cursors.erase(key);
                 },
                 [&](const GroupDeleted&) { CHECK(false, "a deleted group takes no more mutations: " + name); },
                 [&](const ManagedBegun& m) {
                   roster = Roster{.generation = roster.generation};
                   managed.emplace().epoch = m.epoch;
                   managed->target_epoch = m.epoch;
                 },
                 [&](const ManagedEnded& m) {
                   roster = Roster{.generation = m.generation, .changed = m.changed};
                   generation_started = m.generation;
                   managed.reset();
                 },
                 [&](const auto& m) {
                   CHECK(managed, "a mutation of a managed group: " + name);
                   managed->apply(m);
                 },
             },
             mutation);
}

}  // namespace polylog::broker
