// CellEngine's durable state: what the catalog makes and drops, and replay.
#include <fmt/format.h>

#include <algorithm>

#include "broker/cell_engine.h"
#include "broker/mutations.h"

namespace polylog::broker {
namespace {

constexpr auto kRetentionInterval = std::chrono::seconds(5);  // acts within this of being due
constexpr size_t kRetentionPartitionsPerTurn = 256;

}  // namespace

using storage::Partition;

// --- catalog

void CellEngine::make_partitions(const StreamRecord& record, uint32_t from, uint32_t to) {
  if (!opened_) return;
  for (uint32_t i = from; i < to; ++i) {
    if (record.partitions[i] != cell_.id()) continue;
    Partition& partition = cell_.find_or_make(record.key(i), !record.durable || record.exclusive_owner.has_value());
    partition.set_moves_to_segments(record.kind == StreamKind::kStream);
    if (record.kind == StreamKind::kQueue) queue_for(record.key(i)).set_partition(partition);
  }
}

void CellEngine::drop_partitions(std::span<const base::PartitionKey> keys) {
  for (const base::PartitionKey& key : keys) {
    for (const ReplyTo& watcher : watches_.fire(key)) broker_.emit({watcher, Readable{}});
    drop_queue(key);
    compaction_.drop(key);
  }
  cell_.drop(keys);
  arm_turn_end();
}

void CellEngine::drop_queue(const base::PartitionKey& key) {
  const auto queue = queues_.find(key);
  if (queue == queues_.end()) return;
  queue->second->gone();
  std::erase(to_pump_, key);
  base::Writer payload;
  storage::write_key(payload, key);
  const Partition* partition = cell_.find(key);
  if (partition == nullptr || !partition->memory_only()) cell_.log(kQueueDroppedMutation, payload.view());
  queues_.erase(queue);
}

// Nobody finds these streams any more: their partitions go a share a turn. What a stop leaves over is buried at the next
// start.
void CellEngine::drop_on() {
  if (failed()) return;
  for (size_t share = kDropsPerTurn; share > 0 && !dropping_.empty();) {
    Dropping& first = dropping_.front();
    const size_t count = std::min(first.left.size(), share);
    drop_partitions(std::span(first.left).last(count));
    first.left.resize(first.left.size() - count);
    share -= std::min(share, std::max<size_t>(count, 1));
    if (!first.left.empty()) break;
    if (first.is_durable) report_dropped(first.stream);
    dropping_.pop_front();
  }
  if (!dropping_.empty()) broker_.loop().call_at(broker_.loop().now(), [this] { drop_on(); });
}

void CellEngine::report_dropped(const base::Uuid& stream) {
  gate(cell_.appended_lsn(), io::Task([this, stream] { broker_.report_dropped(stream, cell_.id()); }));
}

void CellEngine::apply_catalog(const CatalogDelta& delta) {
  if (!opened_) return;
  if (delta.what == CatalogDelta::What::kSettings) {
    groups_.configure(with_settings(group_defaults_, delta.settings->values), broker_.loop().now());
    return arm_groups();
  }
  const StreamRecord& record = *delta.record;
  if (record.kind == StreamKind::kStream) {
    groups_.stream_changed(record.name);
    arm_comparing();
  }
  if (delta.what == CatalogDelta::What::kPut) return;
  groups_.drop_stream(record.name);
  std::vector<base::PartitionKey> keys;
  for (uint32_t i = 0; i < record.partitions.size(); ++i)
    if (record.partitions[i] == cell_.id()) keys.push_back(record.key(i));
  if (record.kind == StreamKind::kQueue) {  // its consumers are told at once
    drop_partitions(keys);
    if (record.durable) report_dropped(record.id);
    return;
  }
  dropping_.push_back({record.id, std::move(keys), record.durable});
  if (dropping_.size() == 1) broker_.loop().call_at(broker_.loop().now(), [this] { drop_on(); });
}

void CellEngine::bury(const base::Uuid& stream, uint32_t partitions) {
  if (!opened_) return;
  std::vector<base::PartitionKey> keys;
  for (uint32_t i = 0; i < partitions; ++i)
    if (cell_.find({stream, i}) != nullptr) keys.push_back({stream, i});
  drop_partitions(keys);
  report_dropped(stream);
}

// --- retention

void CellEngine::arm_retention() {
  broker_.loop().call_at(broker_.loop().now() + kRetentionInterval, [this] {
    if (!failed()) retain({}, 0);
  });
}

// Some hundreds of partitions a turn, so that none grows long.
void CellEngine::retain(std::vector<base::PartitionKey> left, std::optional<size_t> next_bucket) {
  if (left.empty() && next_bucket) next_bucket = cell_.keys(*next_bucket, left);
  for (size_t i = 0; i < kRetentionPartitionsPerTurn && !left.empty(); ++i) {
    Partition* partition = cell_.find(left.back());
    if (partition != nullptr && retain(*partition)) break;  // enough for a turn; there may be more of it
    left.pop_back();
  }
  if (left.empty() && !next_bucket) return arm_retention();
  broker_.loop().call_at(broker_.loop().now(), [this, left = std::move(left), next_bucket]() mutable {
    retain(std::move(left), next_bucket);
  });
}

// Whether something was due.
bool CellEngine::retain(Partition& partition) {
  if (partition.start() == partition.committed() || queues_.contains(partition.key())) return false;
  const auto record = broker_.catalog().find(partition.key().stream);
  if (!record) return false;
  const base::Offset from = retained_from(partition, retention_(*record), cell_.now());
  if (from <= partition.start()) return false;
  cell_.trim(partition, from);
  cell_.release_soon();
  arm_turn_end();
  return true;
}

void CellEngine::session_closed(SessionId session) {
  watches_.remove_session(session);
  for (auto& [key, queue] : queues_) queue->session_closed(session);
  pools_.erase(session);
  groups_.session_closed(session, broker_.loop().now(), cell_.now());
  arm_groups();
}

namespace {
StreamDirectory::Entry entry_of(const StreamRecord& record) {
  return {record.id, static_cast<uint32_t>(record.partitions.size())};
}
}  // namespace

std::optional<StreamDirectory::Entry> CellEngine::find_stream(std::string_view name) const {
  const Catalog::Record record = broker_.catalog().find(name);
  if (record == nullptr || record->kind != StreamKind::kStream) return std::nullopt;
  return entry_of(*record);
}

void CellEngine::each_stream(const std::function<void(std::string_view name, const Entry&)>& visit) const {
  for (const Catalog::Record& record : broker_.catalog().all()) {
    if (record->kind == StreamKind::kStream) visit(record->name, entry_of(*record));
  }
}

// --- replay

base::Result<> CellEngine::replay(const storage::Mutation& mutation, base::Lsn lsn) {
  if (mutation.version != 1)
    return base::fail(base::ErrorCode::kCorrupt, "written by a newer version of polylog; start that one");
  if (mutation.type == kGroupMutation) return groups_.apply(mutation.payload, lsn);
  if (mutation.type == kCompactedMutation) return compaction_.replay(mutation.payload, lsn);
  if (mutation.type == kQueueDroppedMutation) {
    base::Reader in(mutation.payload);
    queues_.erase(storage::read_key(in));
    return {};
  }
  if (mutation.type != kDeliveredMutation && mutation.type != kSettledMutation)
    return base::fail(base::ErrorCode::kCorrupt,
                      fmt::format("unknown mutation type {}: written by a newer version of polylog; start that one",
                                  static_cast<int>(mutation.type)));
  TRY_ASSIGN(const RangesMutation ranges, decode_ranges(mutation.payload));
  Subscription& subscription = queue_for(ranges.queue).subscription();
  if (lsn <= subscription.stamp()) return {};
  if (mutation.type == kDeliveredMutation) {
    subscription.apply_delivered(ranges.ranges, lsn);
  } else {
    subscription.apply_settled(ranges.ranges, lsn);
  }
  return {};
}

}  // namespace polylog::broker
