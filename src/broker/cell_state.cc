// CellEngine's durable state: what the catalog makes and drops, and replay.
#include <fmt/format.h>

#include "broker/cell_engine.h"
#include "broker/mutations.h"

namespace polylog::broker {
namespace {

constexpr auto kRetentionInterval = std::chrono::seconds(5);  // acts within this of being due
constexpr size_t kRetentionPartitionsPerTurn = 256;

}  // namespace

using storage::Partition;

// --- catalog

void CellEngine::make_partitions(const StreamRecord& record) {
  for (uint32_t i = 0; i < record.partitions.size(); ++i) {
    if (record.partitions[i] != cell_.id()) continue;
    Partition& partition = cell_.find_or_make(record.key(i), !record.durable || record.exclusive_owner.has_value());
    partition.set_moves_to_segments(record.kind == StreamKind::kStream);
    if (record.kind == StreamKind::kQueue) queue_for(record.key(i)).set_partition(partition);
  }
}

void CellEngine::drop_partition(const base::PartitionKey& key) {
  for (const ReplyTo& watcher : watches_.fire(key)) broker_.emit({watcher, Readable{}});
  const auto queue = queues_.find(key);
  if (queue != queues_.end()) {
    queue->second->gone();
    std::erase(to_pump_, key);
    base::Writer payload;
    storage::write_key(payload, key);
    const Partition* partition = cell_.find(key);
    if (partition == nullptr || !partition->memory_only()) cell_.log(kQueueDroppedMutation, payload.view());
    queues_.erase(queue);
  }
  compaction_.drop(key);
  cell_.drop(key);
  arm_turn_end();
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
  if (delta.what == CatalogDelta::What::kPut) return make_partitions(record);
  for (uint32_t i = 0; i < record.partitions.size(); ++i)
    if (record.partitions[i] == cell_.id()) drop_partition(record.key(i));
  groups_.drop_stream(record.name);
  if (record.durable) report_dropped(record.id);
}

void CellEngine::bury(const base::Uuid& stream, uint32_t partitions) {
  if (!opened_) return;
  for (uint32_t i = 0; i < partitions; ++i)
    if (cell_.find({stream, i}) != nullptr) drop_partition({stream, i});
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
