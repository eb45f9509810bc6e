#include "tests/sim/scanner.h"

#include <fmt/format.h>

namespace polylog::sim {

void Scanner::handle(uint64_t token, broker::ActionBody& body) {
  if (token != waiting_) return;
  waiting_ = 0;
  answer_ = std::move(body);
}

std::optional<broker::ActionBody> Scanner::wait_for(uint64_t token) {
  waiting_ = token;
  answer_.reset();
  io::SimWorld& loops = scene_.world.loops();
  const base::MonoTime until = loops.now() + std::chrono::seconds(10);
  while (waiting_ != 0 && loops.now() < until && loops.step()) {
  }
  if (waiting_ != 0) waiting_ = 0;
  return std::exchange(answer_, std::nullopt);
}

std::shared_ptr<const broker::StreamRecord> Scanner::declare(const std::string& name, broker::StreamKind kind,
                                                             uint32_t partitions) {
  broker::StreamRecord wanted;
  wanted.name = name;
  wanted.kind = kind;
  auto answer = wait_for(change_catalog(broker::CreateStream{std::move(wanted), partitions}));
  const auto* done = answer ? std::get_if<broker::CatalogDone>(&*answer) : nullptr;
  return done != nullptr && done->result ? done->record : nullptr;
}

bool Scanner::keep_group(const std::string& group) {
  constexpr int64_t kForeverMs = int64_t{1} << 41;  // clocks jump by weeks
  broker::CommitRequest request{.group = group, .member_id = {}, .retention_ms = kForeverMs};
  request.entries.push_back({.key = {"read-by-groups", 1'000}, .offset = 1});
  const auto answer = wait_for(submit(broker().cell_of_group(group), broker::GroupRequest(std::move(request))));
  return answer.has_value();
}

bool Scanner::append(const Target& target) {
  const uint64_t operation = model().next_operation(target.partition, 1, false);
  const std::vector<uint8_t> bytes = make_batch({operation, 1});
  auto answer = wait_for(submit(
      target.cell,
      broker::AppendRequest{
          .partition = target.partition, .owned = base::Slice::copy_of(bytes), .encoding = kEncodingTag, .count = 1}));
  const auto* done = answer ? std::get_if<broker::AppendDone>(&*answer) : nullptr;
  if (done == nullptr || !done->base_offset) return false;
  model().acked(operation, done->base_offset->value);
  return true;
}

bool Scanner::scan(const Target& target, bool is_queue) {
  int64_t from = 0;
  bool begun = false;
  model().scan_begins(target.partition);
  while (!model().broken()) {
    broker::ReadRequest request{.items = {{target.partition, base::Offset(from), 256 * 1024}}, .bytes_max = 256 * 1024};
    auto answer = wait_for(submit(target.cell, std::move(request)));
    auto* done = answer ? std::get_if<broker::ReadDone>(&*answer) : nullptr;
    if (done == nullptr) {
      model().violation("available", "a read is not answered within 10 s");
      return false;
    }
    const broker::ReadDone::Item& item = done->items.front();
    if (item.error == base::ErrorCode::kOutOfRange && !begun) {
      begun = true;
      from = item.start.value;
      continue;
    }
    if (item.error) {
      if (!scene_.reads_may_fail)
        model().violation("available",
                          fmt::format("a scan at {} fails with {} on a sound disk", from, base::name_of(*item.error)));
      return false;
    }
    begun = true;
    for (const broker::ReadBatch& batch : item.batches) {
      model().read(target.partition, batch);
      from = batch.base_offset.value + batch.count;
    }
    if (from < item.committed.value) continue;
    if (!is_queue) model().log_start_seen(target.partition, item.start.value);
    model().scan_ends(target.partition, item.start.value, item.committed.value);
    return true;
  }
  return false;
}

std::optional<broker::QueueStatsDone> Scanner::stats(const Target& queue) {
  auto answer = wait_for(submit(queue.cell, broker::QueueStatsRequest{queue.partition}));
  if (auto* done = answer ? std::get_if<broker::QueueStatsDone>(&*answer) : nullptr) return *done;
  return std::nullopt;
}

}  // namespace polylog::sim
