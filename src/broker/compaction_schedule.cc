#include "broker/compaction_schedule.h"

#include <fmt/format.h>

#include "base/log.h"
#include "broker/broker.h"
#include "broker/encoding.h"
#include "broker/mutations.h"

namespace polylog::broker {
namespace {

using storage::Compactor;
using storage::Partition;

constexpr auto kRetryAfter = std::chrono::seconds(30);
constexpr size_t kPartitionsPerTurn = 256;
constexpr uint64_t kSegmentBytesMin = 8 * base::limits::kMiB;  // smaller ones only where there is no more
constexpr uint64_t kSegmentBytesMax = 128 * base::limits::kMiB;

std::string label_of(base::CellId cell) { return fmt::format("cell=\"{}\"", cell.value); }

}  // namespace

CompactionSchedule::Metrics::Metrics(base::Registry& registry, base::CellId cell)
    : passes(registry.counter("polylog_compaction_passes_total", "Compactions of a partition that ended well",
                              label_of(cell))),
      failures(registry.counter("polylog_compaction_failures_total", "Compactions that ended with an error",
                                label_of(cell))),
      read_bytes(registry.counter("polylog_compaction_read_bytes_total", "Bytes of batches that compaction read",
                                  label_of(cell))),
      written_bytes(registry.counter("polylog_compaction_written_bytes_total", "Bytes of batches that compaction wrote",
                                     label_of(cell))),
      removed_records(registry.counter("polylog_compaction_removed_records_total", "Records that compaction removed",
                                       label_of(cell))) {}

CompactionSchedule::CompactionSchedule(Broker& broker, storage::Cell& cell, CompactionPolicyOf policy,
                                       base::Duration interval)
    : broker_(broker),
      cell_(cell),
      policy_(std::move(policy)),
      interval_(interval),
      metrics_(broker.metrics(), cell.id()) {}

void CompactionSchedule::start() {
  std::erase_if(states_, [this](const auto& entry) { return cell_.find(entry.first) == nullptr; });
  if (policy_) arm();
}

void CompactionSchedule::arm() {
  broker_.loop().call_at(broker_.loop().now() + interval_, [this] {
    if (!cell_.failed()) sweep({});
  });
}

// Each partition once, some hundreds a turn; what is due is compacted before the next one is looked at.
void CompactionSchedule::sweep(Left left) {
  if (left.keys.empty() && left.next_bucket) left.next_bucket = cell_.keys(*left.next_bucket, left.keys);
  for (size_t i = 0; i < kPartitionsPerTurn && !left.keys.empty(); ++i) {
    const base::PartitionKey key = left.keys.back();
    left.keys.pop_back();
    if (begin_if_due(key, left)) return;
  }
  if (left.keys.empty() && !left.next_bucket) return arm();
  broker_.loop().call_at(broker_.loop().now(), [this, left = std::move(left)]() mutable { sweep(std::move(left)); });
}

// True: it runs, and the sweep goes on when it is done.
bool CompactionSchedule::begin_if_due(const base::PartitionKey& key, Left& left) {
  Partition* partition = cell_.find(key);
  if (partition == nullptr || !partition->moves_to_segments() || partition->memory_only() || cell_.disk_full() ||
      cell_.room_is_short())
    return false;
  const auto record = broker_.catalog().find(key.stream);
  const auto policy = record ? policy_(*record) : std::nullopt;
  if (!policy) return false;
  State& state = states_[key];
  if (broker_.loop().now() < state.not_before) return false;
  const base::WallTime now = cell_.now();
  const Cleanable part = cleanable_part(*partition, *policy, state.to, cell_.wal().durable_end(), now);
  if (part.end > part.dirty && state.seen_dirty != part.dirty) {
    state.seen_dirty = part.dirty;
    state.dirty_since = part.oldest_dirty;
  }
  if (!is_due(part, *policy, state.to, state.dirty_since, now)) return false;
  partition->set_moves_to_segments(false);  // until this is done
  cell_.compactor().run({.partition = key,
                         .dirty = part.dirty,
                         .end = part.end,
                         .now = now,
                         .delete_retention_ms = policy->delete_retention_ms,
                         .segment_bytes_max = std::clamp(policy->active_bytes_max, kSegmentBytesMin, kSegmentBytesMax),
                         .segment_span_ms = policy->segment_span_ms,
                         .format_of = [&encodings = broker_.encodings()](uint8_t tag) -> const storage::CompactFormat* {
                           const Encoding* encoding = encodings.find(tag);
                           return encoding == nullptr ? nullptr : encoding->compact_format();
                         }},
                        [this, key, left = std::move(left),
                         begun = broker_.loop().now()](const base::Result<Compactor::Outcome>& outcome) mutable {
                          done(key, outcome, broker_.loop().now() - begun);
                          broker_.loop().call_at(broker_.loop().now(),
                                                 [this, left = std::move(left)]() mutable { sweep(std::move(left)); });
                        });
  return true;
}

void CompactionSchedule::done(const base::PartitionKey& key, const base::Result<Compactor::Outcome>& outcome,
                              base::Duration took) {
  Partition* partition = cell_.find(key);
  if (partition == nullptr) return;  // dropped meanwhile
  partition->set_moves_to_segments(true);
  State& state = states_[key];
  if (!outcome) {
    if (outcome.error().code == base::ErrorCode::kConflict) return;  // the next sweep finds it again
    metrics_.failures.add();
    state.not_before = broker_.loop().now() + kRetryAfter;
    base::log_warn("storage",
                   fmt::format("cannot compact a partition: {}; trying again in {} s", outcome.error().text,
                               std::chrono::seconds(kRetryAfter).count()),
                   {{"cell", cell_.id().value}, {"stream", key.stream.to_string()}, {"partition", key.index}});
    return;
  }
  metrics_.passes.add();
  metrics_.read_bytes.add(outcome->counts.bytes_read);
  metrics_.written_bytes.add(outcome->counts.bytes_written);
  metrics_.removed_records.add(outcome->counts.records_removed);
  base::log_debug("storage", "compacted a partition",
                  {{"cell", cell_.id().value},
                   {"stream", key.stream.to_string()},
                   {"partition", key.index},
                   {"read_bytes", outcome->counts.bytes_read},
                   {"written_bytes", outcome->counts.bytes_written},
                   {"records_removed", outcome->counts.records_removed},
                   {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(took).count()}});
  log(key, state, {outcome->clean, outcome->deletes_until.value_or(base::WallTime{-1})});
}

// --- durable state

void CompactionSchedule::log(const base::PartitionKey& key, State& state, const CompactedTo& to) {
  base::Writer payload;
  encode(payload, CompactedMutation{key, to});
  const base::Lsn lsn = cell_.log(kCompactedMutation, payload.view());
  if (cell_.failed()) return;
  state.to = to;
  state.stamp = lsn;
  cell_.end_turn(storage::Cell::Wait::kNobody);
}

base::Result<> CompactionSchedule::replay(base::View mutation, base::Lsn lsn) {
  TRY_ASSIGN(const CompactedMutation m, decode_compacted(mutation));
  State& state = states_[m.partition];
  if (lsn <= state.stamp) return {};
  state.to = m.to;
  state.stamp = lsn;
  return {};
}

base::Result<> CompactionSchedule::restore(base::View object, base::Lsn stamp) {
  TRY_ASSIGN(const CompactedMutation m, decode_compacted(object));
  State& state = states_[m.partition];
  state.to = m.to;
  state.stamp = stamp;
  return {};
}

std::optional<base::PartitionKey> CompactionSchedule::next_after(const std::optional<base::PartitionKey>& after) const {
  const auto next = after ? states_.upper_bound(*after) : states_.begin();
  return next == states_.end() ? std::nullopt : std::optional(next->first);
}

std::optional<base::Lsn> CompactionSchedule::save(const base::PartitionKey& partition, base::Writer& out) const {
  const auto found = states_.find(partition);
  if (found == states_.end() || found->second.stamp == base::Lsn{}) return std::nullopt;
  encode(out, CompactedMutation{partition, found->second.to});
  return found->second.stamp;
}

}  // namespace polylog::broker
