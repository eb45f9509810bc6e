#include "broker/compaction_schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/log.h"
#include "broker/broker.h"
#include "broker/encoding.h"
#include "broker/mutations.h"

namespace polylog::broker {
namespace {

using storage::Compactor;
using storage::Partition;

constexpr base::Duration kRetryAfterMin = std::chrono::seconds(30), kRetryAfterMax = std::chrono::hours(1);
constexpr size_t kPartitionsPerTurn = 256;
constexpr size_t kStepsPerTurn = 16'384;  // batches and segments looked at; one partition may have more
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
                                       label_of(cell))),
      failing(registry.gauge("polylog_compaction_failing_partitions",
                             "Partitions whose last compaction ended with an error", label_of(cell))) {}

CompactionSchedule::CompactionSchedule(Broker& broker, storage::Cell& cell, Options options)
    : broker_(broker), cell_(cell), options_(std::move(options)), metrics_(broker.metrics(), cell.id()) {}

void CompactionSchedule::start() {
  std::erase_if(states_, [this](const auto& entry) { return cell_.find(entry.first) == nullptr; });
  if (options_.policy) arm();
}

void CompactionSchedule::arm() {
  broker_.loop().call_at(broker_.loop().now() + options_.interval, [this] {
    if (!cell_.failed()) sweep({});
  });
}

// Each partition once, some hundreds a turn.
void CompactionSchedule::sweep(Sweep sweep) {
  if (sweep.keys.empty() && sweep.next_bucket) sweep.next_bucket = cell_.keys(*sweep.next_bucket, sweep.keys);
  size_t steps = 0;
  for (size_t i = 0; i < kPartitionsPerTurn && steps < kStepsPerTurn && !sweep.keys.empty(); ++i) {
    const base::PartitionKey key = sweep.keys.back();
    sweep.keys.pop_back();
    if (const auto due = look_at(key, steps)) note_due(sweep.found[lane_of(*due)], {key, due->urgency});
  }
  if (sweep.keys.empty() && !sweep.next_bucket) return end_sweep(sweep);
  broker_.loop().call_at(broker_.loop().now(), [this, sweep = std::move(sweep)]() mutable {
    if (!cell_.failed()) this->sweep(std::move(sweep));
  });
}

void CompactionSchedule::note_due(std::vector<Candidate>& found, const Candidate& candidate) const {
  found.push_back(candidate);
  std::ranges::push_heap(found, std::greater());
  if (found.size() <= options_.due_max) return;
  std::ranges::pop_heap(found, std::greater());
  found.pop_back();
}

void CompactionSchedule::end_sweep(Sweep& sweep) {
  due_ = std::move(sweep.found);
  for (const Lane lane : {kShort, kLong}) {
    std::ranges::sort_heap(due_[lane], std::greater());
    std::ranges::reverse(due_[lane]);
    begin_next(lane);
  }
  arm();
}

CompactionSchedule::Lane CompactionSchedule::lane_of(const Due& due) const {
  return due.part.clean_bytes + due.part.dirty_bytes <= options_.short_bytes_max ? kShort : kLong;
}

bool CompactionSchedule::must_wait(const State& state, const Partition& partition) const {
  if (!state.failed) return false;
  const bool is_changed = partition.start() != state.failed->start;
  return broker_.loop().now() < state.failed->at + (is_changed ? kRetryAfterMin : state.failed->retry_after);
}

std::optional<CompactionSchedule::Due> CompactionSchedule::look_at(const base::PartitionKey& key, size_t& steps) {
  const Partition* partition = cell_.find(key);
  if (partition == nullptr || !partition->moves_to_segments() || partition->memory_only() ||
      std::ranges::find(running_, key) != running_.end())
    return std::nullopt;
  const auto record = broker_.catalog().find(key.stream);
  const auto policy = record ? options_.policy(*record) : std::nullopt;
  if (!policy) return forget_failure(key), std::nullopt;
  State& state = states_[key];
  if (must_wait(state, *partition)) return std::nullopt;
  const base::WallTime now = cell_.now();
  steps += partition->segments().size() + std::min(partition->batches().size(), kCleanableStepsMax);
  const Cleanable part = cleanable_part(*partition, *policy, state.to, cell_.wal().durable_end(), now);
  if (part.end > part.dirty && state.seen_dirty != part.dirty) {
    state.seen_dirty = part.dirty;
    state.dirty_since = part.oldest_dirty;
  }
  const auto how = urgency(part, *policy, state.to, state.dirty_since, now);
  return how ? std::optional(Due{part, *policy, *how}) : std::nullopt;
}

// --- passes

void CompactionSchedule::begin_next(Lane lane) {
  auto& due = due_[lane];
  size_t steps = 0;
  while (!running_[lane] && !due.empty() && !cell_.failed() && !cell_.disk_full() && !cell_.room_is_short()) {
    if (steps >= kStepsPerTurn) return begin_next_later(lane);
    const base::PartitionKey key = due.back().partition;
    due.pop_back();
    if (const auto still = look_at(key, steps)) begin(key, *still, lane);
  }
}

void CompactionSchedule::begin_next_later(Lane lane) {
  broker_.loop().call_at(broker_.loop().now(), [this, lane] { begin_next(lane); });
}

void CompactionSchedule::begin(const base::PartitionKey& key, const Due& due, Lane lane) {
  const CompactionPolicy& policy = due.policy;
  running_[lane] = key;
  cell_.compactor().run(
      {.partition = key,
       .dirty = due.part.dirty,
       .end = due.part.end,
       .now = cell_.now(),
       .delete_retention_ms = policy.delete_retention_ms,
       .segment_bytes_max = std::clamp(policy.active_bytes_max, kSegmentBytesMin, kSegmentBytesMax),
       .segment_span_ms = policy.segment_span_ms,
       .format_of = [&encodings = broker_.encodings()](uint8_t tag) -> const storage::CompactFormat* {
         const Encoding* encoding = encodings.find(tag);
         return encoding == nullptr ? nullptr : encoding->compact_format();
       }},
      [this, key, lane, begun = broker_.loop().now()](const base::Result<Compactor::Outcome>& outcome) {
        running_[lane].reset();
        done(key, outcome, broker_.loop().now() - begun);
        begin_next_later(lane);
      });
}

void CompactionSchedule::done(const base::PartitionKey& key, const base::Result<Compactor::Outcome>& outcome,
                              base::Duration took) {
  const Partition* partition = cell_.find(key);
  if (partition == nullptr) return;  // dropped meanwhile
  State& state = states_[key];
  if (outcome) return succeeded(key, state, *outcome, took);
  if (outcome.error().code != base::ErrorCode::kConflict)  // that one the next sweep finds again
    failed(key, state, *partition, outcome.error());
}

void CompactionSchedule::failed(const base::PartitionKey& key, State& state, const Partition& partition,
                                const base::Error& error) {
  metrics_.failures.add();
  const bool is_news = !state.failed;
  const bool again = state.failed && state.failed->start == partition.start() &&
                     error.code != base::ErrorCode::kDiskFull;  // room may come any time
  state.failed = {.at = broker_.loop().now(),
                  .retry_after = again ? std::min(2 * state.failed->retry_after, kRetryAfterMax) : kRetryAfterMin,
                  .start = partition.start()};
  if (!is_news) return;
  metrics_.failing.add(1);
  base::log_warn("storage",
                 fmt::format("cannot compact a partition: {}; trying again in {} s, and then less and less often",
                             error.text, std::chrono::duration_cast<std::chrono::seconds>(kRetryAfterMin).count()),
                 {{"cell", cell_.id().value}, {"stream", key.stream.to_string()}, {"partition", key.index}});
}

void CompactionSchedule::succeeded(const base::PartitionKey& key, State& state, const Compactor::Outcome& outcome,
                                   base::Duration took) {
  if (std::exchange(state.failed, std::nullopt)) {
    metrics_.failing.add(-1);
    base::log_info("storage", "a partition can be compacted again",
                   {{"cell", cell_.id().value}, {"stream", key.stream.to_string()}, {"partition", key.index}});
  }
  metrics_.passes.add();
  metrics_.read_bytes.add(outcome.counts.bytes_read);
  metrics_.written_bytes.add(outcome.counts.bytes_written);
  metrics_.removed_records.add(outcome.counts.records_removed);
  base::log_debug("storage", "compacted a partition",
                  {{"cell", cell_.id().value},
                   {"stream", key.stream.to_string()},
                   {"partition", key.index},
                   {"read_bytes", outcome.counts.bytes_read},
                   {"written_bytes", outcome.counts.bytes_written},
                   {"records_removed", outcome.counts.records_removed},
                   {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(took).count()}});
  log(key, state, {outcome.clean, outcome.deletes_until.value_or(base::WallTime{-1})});
}

void CompactionSchedule::forget_failure(const base::PartitionKey& partition) {
  const auto found = states_.find(partition);
  if (found != states_.end() && std::exchange(found->second.failed, std::nullopt)) metrics_.failing.add(-1);
}

void CompactionSchedule::drop(const base::PartitionKey& partition) {
  forget_failure(partition);
  states_.erase(partition);
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
