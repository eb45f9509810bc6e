#include "broker/groups/managed_state.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "broker/groups/group_codec.h"

namespace polylog::broker {

// ---- applying

void ManagedState::apply(const ManagedMemberPut& m) {
  epoch = m.epoch;
  members[m.record.id].record = m.record;
}

void ManagedState::apply(const ManagedMemberReplaced& m) {
  auto node = members.extract(m.old_id);
  if (node.empty()) return;
  node.key() = m.record.id;
  node.mapped().record = m.record;
  node.mapped().holding.epoch = node.mapped().holding.previous_epoch = kJoinEpoch;
  members.insert(std::move(node));
}

void ManagedState::apply(const ManagedMemberGone& m) {
  epoch = m.epoch;
  members.erase(m.id);
  if (!members.empty()) return;
  changed = m.changed;
  target_epoch = m.epoch;  // there is nothing left to divide
  sizes.clear();
}

void ManagedState::apply(const ManagedTargets& m) {
  epoch = std::max(epoch, m.epoch);
  for (const ManagedTargets::Target& target : m.targets) {
    if (const auto member = members.find(target.id); member != members.end()) member->second.target = target.partitions;
  }
  if (!m.end) return;
  target_epoch = m.epoch;
  assignor = m.end->assignor;
  sizes = m.end->sizes;
}

void ManagedState::apply(const ManagedHolding& m) {
  if (const auto member = members.find(m.id); member != members.end()) member->second.holding = m.holding;
}

// ---- the bytes

namespace group_codec {
namespace {

constexpr uint8_t kNoAssignor = 255;

void put_uuid(base::Writer& w, const base::Uuid& id) { w.bytes(id.bytes); }

base::Uuid get_uuid(base::Reader& r) {
  base::Uuid id;
  const base::View bytes = r.bytes(id.bytes.size());
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

Assignor get_assignor(base::Reader& r) {
  const uint8_t number = r.u8();
  if (number > static_cast<uint8_t>(Assignor::kRange)) r.set_failed();
  return static_cast<Assignor>(number);
}

// By stream: uuid, then runs of neighbours, each by its distance from the one before and its length.
void put_runs(base::Writer& w, PartitionList::const_iterator from, PartitionList::const_iterator to) {
  std::vector<std::pair<uint64_t, uint64_t>> runs;
  uint64_t end = 0;
  for (auto it = from; it != to; ++it) {
    if (it == from || it->index != end) runs.emplace_back(it->index - end, 0);
    ++runs.back().second;
    end = uint64_t{it->index} + 1;
  }
  w.uvarint(runs.size());
  for (const auto& [gap, length] : runs) {
    w.uvarint(gap);
    w.uvarint(length);
  }
}

void put_partitions(base::Writer& w, const PartitionList& list) {
  std::vector<PartitionList::const_iterator> starts;
  for (auto it = list.begin(); it != list.end(); ++it) {
    if (it == list.begin() || it->stream != std::prev(it)->stream) starts.push_back(it);
  }
  starts.push_back(list.end());
  w.uvarint(starts.size() - 1);
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    put_uuid(w, starts[i]->stream);
    put_runs(w, starts[i], starts[i + 1]);
  }
}

// No run may be longer than a stream can be, so that few bytes cannot make a large list.
PartitionList get_partitions(base::Reader& r) {
  PartitionList list;
  for (uint64_t streams = r.uvarint64(); streams > 0 && r.ok(); --streams) {
    const base::Uuid stream = get_uuid(r);
    uint64_t next = 0;
    for (uint64_t runs = r.uvarint64(); runs > 0 && r.ok(); --runs) {
      const uint64_t gap = r.uvarint64(), length = r.uvarint64();
      constexpr uint64_t kMax = base::limits::kPartitionsPerStreamMax;
      if (gap > kMax || length > kMax || next + gap + length > kMax) r.set_failed();
      if (!r.ok()) break;
      next += gap;
      for (uint64_t i = 0; i < length; ++i) list.push_back({stream, static_cast<uint32_t>(next++)});
    }
  }
  return list;
}

void put_sizes(base::Writer& w, const StreamSizes& sizes) {
  w.uvarint(sizes.size());
  for (const auto& [stream, partitions] : sizes) {
    put_uuid(w, stream);
    w.u32le(partitions);
  }
}

StreamSizes get_sizes(base::Reader& r) {
  StreamSizes sizes;
  for (uint64_t left = r.uvarint64(); left > 0 && r.ok(); --left) {
    const base::Uuid stream = get_uuid(r);
    sizes[stream] = r.u32le();
  }
  return sizes;
}

void put_record(base::Writer& w, const ManagedRecord& record) {
  put_text(w, record.id);
  put_optional_text(w, record.instance_id);
  put_optional_text(w, record.rack);
  put_text(w, record.client_id);
  put_text(w, record.client_host);
  put_i32(w, record.rebalance_timeout_ms);
  put_texts(w, record.streams.list());
  put_optional_text(w, record.pattern);
  w.u8(record.assignor ? static_cast<uint8_t>(*record.assignor) : kNoAssignor);
  w.u8(record.guest.has_value());
  if (!record.guest) return;
  put_i32(w, record.guest->session_timeout_ms);
  put_text(w, record.guest->protocol_type);
  put_protocols(w, record.guest->protocols);
}

ManagedRecord get_record(base::Reader& r) {
  ManagedRecord record;
  record.id = get_text(r);
  record.instance_id = get_optional_text(r);
  record.rack = get_optional_text(r);
  record.client_id = get_text(r);
  record.client_host = get_text(r);
  record.rebalance_timeout_ms = get_i32(r);
  record.streams = get_list(r, get_text);
  record.pattern = get_optional_text(r);
  const uint8_t assignor = r.u8();
  if (assignor != kNoAssignor) record.assignor = static_cast<Assignor>(assignor);
  if (assignor != kNoAssignor && assignor > static_cast<uint8_t>(Assignor::kRange)) r.set_failed();
  if (!get_flag(r)) return record;
  ManagedGuest guest{.session_timeout_ms = get_i32(r), .protocol_type = get_text(r), .protocols = get_protocols(r)};
  record.guest = std::move(guest);
  return record;
}

void put_holding(base::Writer& w, const Holding& holding) {
  put_i32(w, holding.epoch);
  put_i32(w, holding.previous_epoch);
  put_partitions(w, holding.assigned);
  put_partitions(w, holding.revoking);
  w.u8(holding.known);
}

Holding get_holding(base::Reader& r) {
  Holding holding;
  holding.epoch = get_i32(r);
  holding.previous_epoch = get_i32(r);
  holding.assigned = get_partitions(r);
  holding.revoking = get_partitions(r);
  holding.known = get_flag(r);
  return holding;
}

}  // namespace

void put(base::Writer& w, const ManagedBegun& m) { put_i32(w, m.epoch); }
void get(base::Reader& r, ManagedBegun& m) { m.epoch = get_i32(r); }

void put(base::Writer& w, const ManagedEnded& m) {
  put_i32(w, m.generation);
  w.i64le(m.changed.ms);
}
void get(base::Reader& r, ManagedEnded& m) {
  m.generation = get_i32(r);
  m.changed = get_time(r);
}

void put(base::Writer& w, const ManagedMemberPut& m) {
  put_i32(w, m.epoch);
  put_record(w, m.record);
}
void get(base::Reader& r, ManagedMemberPut& m) {
  m.epoch = get_i32(r);
  m.record = get_record(r);
}

void put(base::Writer& w, const ManagedMemberReplaced& m) {
  put_text(w, m.old_id);
  put_record(w, m.record);
}
void get(base::Reader& r, ManagedMemberReplaced& m) {
  m.old_id = get_text(r);
  m.record = get_record(r);
}

void put(base::Writer& w, const ManagedMemberGone& m) {
  put_i32(w, m.epoch);
  w.i64le(m.changed.ms);
  put_text(w, m.id);
}
void get(base::Reader& r, ManagedMemberGone& m) {
  m.epoch = get_i32(r);
  m.changed = get_time(r);
  m.id = get_text(r);
}

void put(base::Writer& w, const ManagedTargets& m) {
  put_i32(w, m.epoch);
  w.uvarint(m.targets.size());
  for (const ManagedTargets::Target& target : m.targets) {
    put_text(w, target.id);
    put_partitions(w, target.partitions);
  }
  w.u8(m.end.has_value());
  if (!m.end) return;
  w.u8(static_cast<uint8_t>(m.end->assignor));
  put_sizes(w, m.end->sizes);
}
void get(base::Reader& r, ManagedTargets& m) {
  m.epoch = get_i32(r);
  m.targets = get_list(r, [](base::Reader& in) {
    ManagedTargets::Target target;
    target.id = get_text(in);
    target.partitions = get_partitions(in);
    return target;
  });
  if (!get_flag(r)) return;
  m.end.emplace();
  m.end->assignor = get_assignor(r);
  m.end->sizes = get_sizes(r);
}

void put(base::Writer& w, const ManagedHolding& m) {
  put_text(w, m.id);
  put_holding(w, m.holding);
}
void get(base::Reader& r, ManagedHolding& m) {
  m.id = get_text(r);
  m.holding = get_holding(r);
}

void put(base::Writer& w, const ManagedState& state) {
  put_i32(w, state.epoch);
  put_i32(w, state.target_epoch);
  w.u8(static_cast<uint8_t>(state.assignor));
  w.i64le(state.changed.ms);
  put_sizes(w, state.sizes);
  w.uvarint(state.members.size());
  for (const auto& [id, member] : state.members) {
    put_record(w, member.record);
    put_holding(w, member.holding);
    put_partitions(w, member.target);
  }
}
void get(base::Reader& r, ManagedState& state) {
  state.epoch = get_i32(r);
  state.target_epoch = get_i32(r);
  state.assignor = get_assignor(r);
  state.changed = get_time(r);
  state.sizes = get_sizes(r);
  for (uint64_t left = r.uvarint64(); left > 0 && r.ok(); --left) {
    ManagedMember member{.record = get_record(r), .holding = get_holding(r), .target = get_partitions(r)};
    const std::string id = member.record.id;
    state.members.insert_or_assign(id, std::move(member));
  }
}

}  // namespace group_codec
}  // namespace polylog::broker
