// CellEngine as the host of queues: routes requests to them and logs what they decide.
#include <algorithm>
#include <iterator>
#include <set>

#include "broker/cell_engine.h"
#include "broker/mutations.h"

namespace polylog::broker {
namespace {

constexpr size_t kBucketsCountedAtOnce = 1024;
constexpr size_t kRangesPerMutationMax = 4096;  // 64 KiB: fits the slots of the smallest WAL files

}  // namespace

using storage::Partition;

Queue* CellEngine::find_queue(const base::PartitionKey& key) {
  const auto found = queues_.find(key);
  return found == queues_.end() || !found->second->has_partition() ? nullptr : found->second.get();
}

Queue& CellEngine::queue_for(const base::PartitionKey& key) {
  auto& slot = queues_[key];
  if (!slot) slot = std::make_unique<Queue>(*this, key);
  return *slot;
}

std::optional<size_t> CellEngine::count_queues(size_t first_bucket, QueueCounts& counts) const {
  const size_t end = std::min(first_bucket + kBucketsCountedAtOnce, queues_.bucket_count());
  for (size_t bucket = first_bucket; bucket < end; ++bucket) {
    for (auto at = queues_.begin(bucket); at != queues_.end(bucket); ++at) {
      const Queue& queue = *at->second;
      if (!queue.has_partition()) continue;
      counts.ready += queue.ready_count();
      counts.open += queue.subscription().open_count();
      counts.consumers += queue.consumer_count();
    }
  }
  return end < queues_.bucket_count() ? std::optional(end) : std::nullopt;
}

void CellEngine::on(ReplyTo from, AttachRequest& request) {
  if (Queue* queue = find_queue(request.queue)) return queue->attach(from, request);
  reply(from, AttachDone{no_such_partition()}, kCommittedAlready);
}

void CellEngine::on(ReplyTo from, DetachRequest& request) {
  if (Queue* queue = find_queue(request.queue)) return queue->detach(from);
  reply(from, DetachDone{}, kCommittedAlready);
}

void CellEngine::on(ReplyTo from, CreditRequest& request) {
  if (Queue* queue = find_queue(request.queue)) queue->credit(from, request.bytes);
}

void CellEngine::on(ReplyTo from, PoolRequest& request) {
  pools_[from.session][request.pool].size = request.credit;
  for (auto& [key, queue] : queues_)
    if (queue->has_partition()) pump_at_turn_end(*queue);
}

void CellEngine::pool_freed(Pool& pool, uint32_t count) {
  pool.open -= std::min(pool.open, count);
  for (const base::PartitionKey& key : std::exchange(pool.starved, {}))
    if (Queue* queue = find_queue(key)) pump_at_turn_end(*queue);
}

Pool& CellEngine::pool(SessionId session, uint32_t pool) { return pools_[session][pool]; }

void CellEngine::on(ReplyTo from, SettleRequest& request) {
  if (Queue* queue = find_queue(request.queue)) return queue->settle(from, request);
  reply(from, SettleDone{}, kCommittedAlready);
}

void CellEngine::on(ReplyTo from, AcquireRequest& request) {
  if (Queue* queue = find_queue(request.queue)) return queue->acquire(from, request);
  reply(from, AcquireDone{.run = no_such_partition()}, kCommittedAlready);
}

void CellEngine::on(ReplyTo from, PurgeRequest& request) {
  if (Queue* queue = find_queue(request.queue)) return queue->purge(from);
  reply(from, PurgeDone{no_such_partition()}, kCommittedAlready);
}

void CellEngine::on(ReplyTo from, QueueStatsRequest& request) {
  if (Queue* queue = find_queue(request.queue)) return queue->stats(from);
  reply(from, QueueStatsDone{.result = no_such_partition()}, kCommittedAlready);
}

void CellEngine::on(ReplyTo from, PeekRequest& request) {
  if (Queue* queue = find_queue(request.queue)) return queue->peek(from, request.count_max);
  reply(from, PeekDone{.result = no_such_partition()}, kCommittedAlready);
}

base::Lsn CellEngine::log_ranges(storage::MutationType type, const base::PartitionKey& queue,
                                 const std::vector<OffsetRange>& ranges) {
  const Partition* partition = cell_.find(queue);
  if (partition == nullptr || partition->memory_only()) return kCommittedAlready;
  arm_turn_end();
  base::Lsn lsn;
  for (size_t at = 0; at < ranges.size(); at += kRangesPerMutationMax) {
    const auto first = ranges.begin() + static_cast<ptrdiff_t>(at);
    const size_t count = std::min(kRangesPerMutationMax, ranges.size() - at);
    base::Writer payload;
    encode(payload, RangesMutation{queue, {first, first + static_cast<ptrdiff_t>(count)}});
    lsn = cell_.log(type, payload.view());
  }
  return lsn;
}

base::Lsn CellEngine::log_delivered(const base::PartitionKey& queue, const std::vector<OffsetRange>& ranges) {
  return log_ranges(kDeliveredMutation, queue, ranges);
}

base::Lsn CellEngine::log_settled(const base::PartitionKey& queue, const std::vector<OffsetRange>& ranges) {
  return log_ranges(kSettledMutation, queue, ranges);
}

// The floor rises with every settled run, but only whole batches can go.
void CellEngine::trim(Partition& partition, Offset log_start) {
  const storage::BatchRef* first = partition.find(partition.start());
  if (first == nullptr || first->end_offset() > log_start) return;
  cell_.trim(partition, log_start);
  arm_turn_end();  // room may have been made for those who wait
}

void CellEngine::load(Queue& queue, std::vector<storage::StoredBatch> batches) {
  cell_.load(*cell_.find(queue.key()), std::move(batches),
             [this, key = queue.key()](base::Result<std::vector<storage::StoredBatch>> loaded) {
               if (Queue* found = find_queue(key)) found->loaded(std::move(loaded));
             });
}

void CellEngine::pump_at_turn_end(Queue& queue) {
  if (queue.mark_for_pump()) to_pump_.push_back(queue.key());
  arm_turn_end();
}

bool CellEngine::may_hand_out(Queue& queue) {
  if (hand_outs_left_ > 0) {
    --hand_outs_left_;
    return true;
  }
  if (to_pump_next_turn_.empty()) {
    broker_.loop().call_at(broker_.loop().now(), [this] { pump_who_waited(); });
  }
  to_pump_next_turn_.push_back(queue.key());
  return false;
}

// Before those who came meanwhile; but who was refused first took the last hand-outs and is behind all others.
void CellEngine::pump_who_waited() {
  std::vector<base::PartitionKey> order = std::exchange(to_pump_next_turn_, {});
  std::ranges::rotate(order, order.begin() + 1);
  const std::vector<base::PartitionKey> newcomers = std::exchange(to_pump_, {});
  const std::set<base::PartitionKey> waited(order.begin(), order.end());
  std::ranges::copy_if(newcomers, std::inserter(order, order.end() - 1),
                       [&](const base::PartitionKey& key) { return !waited.contains(key); });
  for (const base::PartitionKey& key : order) {
    Queue* queue = find_queue(key);
    if (queue == nullptr) continue;
    queue->mark_for_pump();
    to_pump_.push_back(key);
  }
  arm_turn_end();
}

void CellEngine::last_consumer_left(Queue& queue) {
  const auto record = broker_.catalog().find(queue.key().stream);
  if (record && record->auto_delete) broker_.change_catalog({}, DeleteStream{record->id});
}

}  // namespace polylog::broker
