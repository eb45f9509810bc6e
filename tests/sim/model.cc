#include "tests/sim/model.h"

#include <fmt/format.h>

#include <algorithm>

namespace polylog::sim {
namespace {

std::string text_of(const base::PartitionKey& key) {
  return key.stream.to_string().substr(0, 8) + "/" + std::to_string(key.index);
}

}  // namespace

void Model::violation(std::string_view invariant, std::string text) {
  if (violation_.empty()) violation_ = fmt::format("{}: {}", invariant, text);
}

// ---- logs

uint64_t Model::next_operation(const base::PartitionKey& partition, uint32_t count, bool big) {
  const uint64_t id = next_operation_++ | (big ? kBigOperation : 0);
  sent_[id] = {partition, count};
  return id;
}

// An operation has one place; a place has one operation.
void Model::learn(const base::PartitionKey& partition, uint64_t operation, uint32_t count, int64_t base,
                  Source source) {
  ++checks_;
  const auto found = sent_.find(operation);
  if (found == sent_.end() || found->second.partition != partition || found->second.count != count)
    return violation("bytes", fmt::format("{} has a batch at {} that nobody sent there", text_of(partition), base));
  Sent& sent = found->second;
  if (sent.refused)
    return violation("refused",
                     fmt::format("{}: operation {} was refused and lies at {}", text_of(partition), operation, base));
  if (sent.base_offset >= 0 && sent.base_offset != base)
    return violation("duplicate", fmt::format("{}: operation {} lies at {} and at {}", text_of(partition), operation,
                                              sent.base_offset, base));
  sent.base_offset = base;
  auto& facts = logs_[partition].facts;
  const auto [place, is_new] = facts.emplace(base, Fact{operation, count, source});
  if (!is_new && place->second.operation != operation)
    return violation(place->second.source == Source::kAcked ? "acked_record" : "read_record",
                     fmt::format("{}: at {} lay operation {}, now {}", text_of(partition), base,
                                 place->second.operation, operation));
  if (source == Source::kAcked) place->second.source = source;
  const auto next = std::next(place);
  const bool overlaps = (next != facts.end() && next->first < base + count) ||
                        (place != facts.begin() && std::prev(place)->first + std::prev(place)->second.count > base);
  if (overlaps)
    violation(source == Source::kAcked ? "acked_record" : "read_record",
              fmt::format("{}: operation {} at {} overlaps another", text_of(partition), operation, base));
}

void Model::acked(uint64_t operation, int64_t base_offset) {
  if (!believe_acks) return;
  const Sent& sent = sent_.at(operation);
  learn(sent.partition, operation, sent.count, base_offset, Source::kAcked);
}

void Model::refused(uint64_t operation) {
  Sent& sent = sent_.at(operation);
  if (sent.base_offset >= 0)
    violation("refused", fmt::format("operation {} was refused and lies at {}", operation, sent.base_offset));
  sent.refused = true;
}

void Model::trim_asked(const base::PartitionKey& partition, int64_t before) {
  Log& log = logs_[partition];
  log.trim_asked = std::max(log.trim_asked, before);
}

void Model::log_start_seen(const base::PartitionKey& partition, int64_t start) {
  Log& log = logs_[partition];
  if (start > log.trim_asked)
    violation("dense",
              fmt::format("{} begins at {}, trimmed to {} at most", text_of(partition), start, log.trim_asked));
  log.start = std::max(log.start, start);
}

void Model::read(const base::PartitionKey& partition, const broker::ReadBatch& batch) {
  const ParsedBatch parsed = parse_batch(batch.bytes.view());
  const int64_t base = batch.base_offset.value;
  if (!parsed.damage.empty() || parsed.placed_base != base || parsed.count != batch.count)
    return violation("bytes", fmt::format("{} at {}: {} records, patched with {}: {}", text_of(partition), base,
                                          parsed.count, parsed.placed_base, parsed.damage));
  learn(partition, parsed.operation, parsed.count, base, Source::kRead);
  Log& log = logs_[partition];
  log.scanned.insert(base);
  if (!log.scanning) return;
  if (log.scan_at >= 0 && base != log.scan_at)
    violation("dense", fmt::format("{}: after {} comes {}", text_of(partition), log.scan_at, base));
  log.scan_at = base + batch.count;
}

void Model::scan_begins(const base::PartitionKey& partition) {
  logs_[partition].scanned.clear();
  logs_[partition].scan_at = -1;
  logs_[partition].scanning = true;
}

void Model::scan_ends(const base::PartitionKey& partition, int64_t start, int64_t end) {
  Log& log = logs_[partition];
  for (const auto& [base, fact] : log.facts) {
    ++checks_;
    if (base + fact.count <= start || log.scanned.contains(base)) continue;
    return violation(fact.source == Source::kAcked ? "acked_record" : "read_record",
                     fmt::format("{}: operation {} of {} records at {} is gone; the log is [{}, {})",
                                 text_of(partition), fact.operation, fact.count, base, start, end));
  }
  if (log.scan_at >= 0 && log.scan_at != end)
    violation("dense", fmt::format("{} ends at {}, its last batch at {}", text_of(partition), end, log.scan_at));
  log.scanning = false;
}

int64_t Model::end_known(const base::PartitionKey& partition) {
  const auto& facts = logs_[partition].facts;
  return facts.empty() ? 0 : facts.rbegin()->first + facts.rbegin()->second.count;
}

// ---- queues

void Model::delivered(const base::PartitionKey& queue, const broker::DeliveryRun& run, size_t core, uint64_t holder,
                      bool auto_settle) {
  const ParsedBatch parsed = parse_batch(run.batch.view());
  const int64_t base = run.first_offset.value - run.first_index;
  if (!parsed.damage.empty() || parsed.placed_base != base || run.first_index + run.count > parsed.count)
    return violation(
        "bytes", fmt::format("{} at {}: a delivery of {} records from {}, patched with {}: {}", text_of(queue), base,
                             run.count, run.first_index, parsed.placed_base, parsed.damage));
  learn(queue, parsed.operation, parsed.count, base, Source::kRead);
  Log& log = logs_[queue];
  for (uint32_t i = 0; i < run.count; ++i) {
    ++checks_;
    const int64_t offset = run.first_offset.value + i;
    Message& message = log.messages[offset];
    if (message.settled)
      violation("settled", fmt::format("{}: {} is delivered after its settle was confirmed", text_of(queue), offset));
    if (message.delivered && !run.redelivered)
      violation("redelivered", fmt::format("{}: {} comes again without the flag", text_of(queue), offset));
    if (message.holder != 0)
      violation("leased",
                fmt::format("{}: {} is held by {} and given to {}", text_of(queue), offset, message.holder, holder));
    message.delivered = true;
    message.holder = auto_settle ? 0 : holder;
    message.settled = auto_settle;
  }
  if (!run.redelivered) {
    int64_t& newest = log.newest_first_delivery.try_emplace(core, -1).first->second;
    if (run.first_offset.value <= newest)
      violation("fifo",
                fmt::format("{}: {} is first delivered after {}", text_of(queue), run.first_offset.value, newest));
    newest = run.first_offset.value + run.count - 1;
  }
}

void Model::settle_asked(const base::PartitionKey& queue, int64_t first, int64_t last) {
  for (int64_t offset = first; offset <= last; ++offset) {
    Message& message = logs_[queue].messages[offset];
    message.settle_asked = true;
    message.holder = 0;
  }
}

void Model::settle_confirmed(const base::PartitionKey& queue, int64_t first, int64_t last) {
  for (int64_t offset = first; offset <= last; ++offset) logs_[queue].messages[offset].settled = true;
}

void Model::returned(const base::PartitionKey& queue, int64_t first, int64_t last) {
  for (int64_t offset = first; offset <= last; ++offset) logs_[queue].messages[offset].holder = 0;
}

void Model::drained(const base::PartitionKey& queue) {
  const Log& log = logs_[queue];
  if (log.lossy) return;
  for (const auto& [base, fact] : log.facts) {
    for (int64_t offset = base; offset < base + fact.count; ++offset) {
      const auto found = log.messages.find(offset);
      if (found == log.messages.end() || !found->second.delivered)
        return violation("at_least_once", fmt::format("{}: {} was never delivered", text_of(queue), offset));
    }
  }
}

// ---- groups

void Model::cursor_asked(const std::string& cursor, int64_t value) {
  auto& state = cursors_[cursor];
  state.asked = std::max(state.asked, value);
}

void Model::cursor_acked(const std::string& cursor, int64_t value) {
  auto& state = cursors_[cursor];
  state.floor = std::max(state.floor, value);
}

void Model::cursor_seen(const std::string& cursor, int64_t value) {
  ++checks_;
  auto& state = cursors_[cursor];
  if (value < state.floor || value > state.asked)
    violation("cursor",
              fmt::format("{} is {}; committed {}, asked for {} at most", cursor, value, state.floor, state.asked));
  state.floor = std::max(state.floor, value);
}

void Model::generation_seen(const std::string& group, int64_t generation, const std::string& leader) {
  ++checks_;
  const auto [place, is_new] = generations_[group].emplace(generation, leader);
  if (!is_new && place->second != leader)
    violation("generation",
              fmt::format("{} generation {} has leaders {} and {}", group, generation, place->second, leader));
}

void Model::partition_owned(const base::PartitionKey& partition, int32_t epoch, const std::string& member) {
  ++checks_;
  const auto [place, is_new] = owners_.emplace(std::pair(partition, epoch), member);
  if (!is_new && place->second != member)
    violation("owner",
              fmt::format("{} is of {} and of {}, both at epoch {}", text_of(partition), place->second, member, epoch));
}

void Model::generation_synced(const std::string& group, int64_t generation) {
  int64_t& newest = newest_synced_.try_emplace(group, -1).first->second;
  newest = std::max(newest, generation);
}

int64_t Model::newest_synced(const std::string& group) const {
  const auto found = newest_synced_.find(group);
  return found == newest_synced_.end() ? -1 : found->second;
}

void Model::crashed() {
  for (auto& [key, log] : logs_) {
    log.newest_first_delivery.clear();
    log.scanning = false;
    for (auto& [offset, message] : log.messages) message.holder = 0;
  }
}

}  // namespace polylog::sim
