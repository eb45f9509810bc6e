#include "broker/delivery/queue.h"

#include <algorithm>

#include "base/log.h"

namespace polylog::broker {
namespace {

constexpr size_t kLoadBytes = 1 << 20;
constexpr size_t kLoadBatches = 4096;  // a turn's work when they come
constexpr uint64_t kFairShares = 8;    // each of several consumers gets its part of a backlog in at least so many goes
constexpr uint32_t kRunMax = 4096;     // entries handed to one consumer in one go

uint64_t count_of(const std::vector<OffsetRange>& ranges) {
  uint64_t count = 0;
  for (const auto& [first, last] : ranges) count += static_cast<uint64_t>((last - first).value) + 1;
  return count;
}

}  // namespace

// --- consumers

Queue::Consumer* Queue::find(ReplyTo id) {
  for (Consumer& consumer : consumers_)
    if (consumer.id.session == id.session && consumer.id.token == id.token) return &consumer;
  return nullptr;
}

void Queue::attach(ReplyTo from, const AttachRequest& request) {
  const bool taken = !consumers_.empty() && (request.exclusive || consumers_.front().exclusive);
  if (taken)
    return host_.reply(from, AttachDone{base::fail(base::ErrorCode::kInUse, "an exclusive consumer")}, last_lsn_);
  Consumer consumer{.id = from,
                    .auto_settle = request.auto_settle,
                    .exclusive = request.exclusive,
                    .priority = request.priority,
                    .credit = request.auto_settle ? kUnlimited : request.credit,
                    .pool = request.auto_settle ? 0 : request.pool,
                    .window_bytes = request.window_bytes};
  const auto place = std::find_if(consumers_.begin(), consumers_.end(),
                                  [&](const Consumer& other) { return other.priority < consumer.priority; });
  consumers_.insert(place, consumer);
  host_.reply(from, AttachDone{}, last_lsn_);
  host_.pump_at_turn_end(*this);
}

void Queue::remove_consumer(size_t index) {
  if (consumers_[index].open > 0 && consumers_[index].pool != 0) departed_.push_back(consumers_[index]);
  consumers_.erase(consumers_.begin() + static_cast<ptrdiff_t>(index));
  if (consumers_.empty()) host_.last_consumer_left(*this);
}

void Queue::detach(ReplyTo from) {
  if (Consumer* consumer = find(from)) remove_consumer(static_cast<size_t>(consumer - consumers_.data()));
  host_.reply(from, DetachDone{}, last_lsn_);
}

void Queue::session_closed(SessionId session) {
  for (size_t i = consumers_.size(); i-- > 0;)
    if (consumers_[i].id.session == session) remove_consumer(i);
  std::erase_if(departed_, [&](const Consumer& consumer) { return consumer.id.session == session; });
  if (const auto held = held_.find(session); held != held_.end()) {
    subscription_.give_back(held->second);
    held_.erase(held);
    host_.pump_at_turn_end(*this);
  }
  std::erase_if(acquires_, [&](const WaitingAcquire& w) { return w.from.session == session; });
}

void Queue::gone() {
  for (const Consumer& consumer : consumers_) host_.reply(consumer.id, ConsumerGone{}, last_lsn_);
  // Deliveries that are open end with the queue: nobody will settle them here.
  for (const auto* list : {&consumers_, &departed_})
    for (const Consumer& consumer : *list)
      if (consumer.pool != 0) host_.pool_freed(host_.pool(consumer.id.session, consumer.pool), consumer.open);
  for (const WaitingAcquire& waiting : acquires_)
    host_.reply(waiting.from, AcquireDone{base::fail(base::ErrorCode::kNotFound, "the queue was deleted")}, last_lsn_);
  consumers_.clear();
  acquires_.clear();
  partition_ = nullptr;
}

void Queue::credit(ReplyTo from, uint32_t bytes) {
  Consumer* consumer = find(from);
  if (consumer == nullptr) return;
  consumer->window_bytes += bytes;
  host_.pump_at_turn_end(*this);
}

// --- settling

void Queue::settle_ranges(const std::vector<OffsetRange>& ranges, base::Lsn& lsn) {
  lsn = last_lsn_ = host_.log_settled(key_, ranges);
  subscription_.apply_settled(ranges, lsn);
  host_.trim(*partition_, subscription_.floor());
  while (!loaded_.empty() && partition_->find(Offset(loaded_.begin()->first)) == nullptr)
    loaded_.erase(loaded_.begin());
}

void Queue::give_credit(ReplyTo id, uint32_t count) {
  Consumer* consumer = find(id);
  const bool attached = consumer != nullptr;
  if (!attached) {
    const auto departed = std::find_if(departed_.begin(), departed_.end(), [&](const Consumer& other) {
      return other.id.session == id.session && other.id.token == id.token;
    });
    if (departed == departed_.end()) return;
    consumer = &*departed;
  }
  if (consumer->credit != kUnlimited) consumer->credit += count;
  if (consumer->pool != 0) {
    host_.pool_freed(host_.pool(id.session, consumer->pool), count);
  }
  consumer->open -= std::min(consumer->open, count);
  if (!attached && consumer->open == 0) departed_.erase(departed_.begin() + (consumer - departed_.data()));
}

void Queue::hold(SessionId session, const std::vector<OffsetRange>& ranges) {
  OffsetSet& held = held_[session];
  for (const auto& [first, last] : ranges) held.add(first, last);
}

void Queue::settle(ReplyTo from, const SettleRequest& request) {
  base::Lsn lsn = last_lsn_;
  const auto held = held_.find(from.session);
  const std::vector<OffsetRange> open =
      held == held_.end() ? std::vector<OffsetRange>{} : held->second.within(request.ranges);
  if (!open.empty() && partition_ != nullptr) {
    for (const auto& [first, last] : open) held->second.remove(first, last);
    if (held->second.empty()) held_.erase(held);
    if (request.outcome == SettleRequest::Outcome::kReturn) {
      subscription_.give_back(open);
    } else {
      settle_ranges(open, lsn);
    }
    give_credit({from.session, request.consumer}, static_cast<uint32_t>(count_of(open)));
    host_.pump_at_turn_end(*this);
  }
  host_.reply(from, SettleDone{}, lsn);
}

void Queue::purge(ReplyTo from) {
  const std::vector<OffsetRange> ready = subscription_.ready_ranges(partition_->appended());
  base::Lsn lsn = last_lsn_;
  if (!ready.empty()) settle_ranges(ready, lsn);
  host_.reply(from, PurgeDone{static_cast<uint32_t>(count_of(ready))}, lsn);
}

void Queue::stats(ReplyTo from) {
  host_.reply(from,
              QueueStatsDone{.result = {},
                             .ready = static_cast<uint32_t>(ready_count()),
                             .open = static_cast<uint32_t>(subscription_.open_count()),
                             .consumers = static_cast<uint32_t>(consumers_.size())},
              last_lsn_);
}

void Queue::peek(ReplyTo from, uint32_t count_max) {
  PeekDone done;
  int64_t left = count_max;
  for (const auto& [first, last] : subscription_.ready_ranges(partition_->committed())) {
    if (left == 0) break;
    const Offset end = std::min(last, first + base::OffsetCount(left - 1));
    done.ready.emplace_back(first, end);
    left -= (end - first).value + 1;
  }
  host_.reply(from, std::move(done), last_lsn_);
}

// --- handing out

uint32_t Queue::quota_of(const Consumer& consumer) {
  if (consumer.window_bytes <= 0) return 0;
  uint32_t quota = std::min(consumer.credit, kRunMax);
  if (consumer.pool == 0) return quota;
  Pool& pool = host_.pool(consumer.id.session, consumer.pool);
  if (pool.size == kUnlimited) return quota;
  const uint32_t left = pool.size - std::min(pool.size, pool.open);
  if (quota > 0 && left == 0 && std::find(pool.starved.begin(), pool.starved.end(), key_) == pool.starved.end())
    pool.starved.push_back(key_);
  return std::min(quota, left);
}

Queue::Consumer* Queue::next_consumer(uint32_t& quota) {
  size_t able = 0;
  Consumer* chosen = nullptr;
  for (size_t step = 0; step < consumers_.size(); ++step) {
    Consumer& consumer = consumers_[(next_ + step) % consumers_.size()];
    const uint32_t available = quota_of(consumer);
    if (available == 0) continue;
    if (chosen != nullptr && consumer.priority < chosen->priority) continue;
    able = chosen != nullptr && consumer.priority == chosen->priority ? able + 1 : 1;
    if (chosen == nullptr || consumer.priority > chosen->priority) {
      chosen = &consumer;
      quota = available;
    }
  }
  if (able > 1) {  // fair: entry by entry, unless the backlog is so long that it evens out anyway
    const uint64_t fair = subscription_.ready_count(partition_->appended()) / (able * kFairShares);
    quota = std::min<uint64_t>(quota, std::max<uint64_t>(1, fair));
  }
  return chosen;
}

bool Queue::bytes_at_hand(Offset offset, storage::StoredBatch& batch) {
  batch = partition_->batch_at(offset);
  if (!batch.bytes.empty()) return true;
  const auto found = loaded_.find(batch.ref.base_offset.value);
  if (found != loaded_.end()) {
    batch.bytes = found->second;
    return true;
  }
  start_load(batch.ref.base_offset);
  return false;
}

void Queue::start_load(Offset from) {
  loading_ = true;
  std::vector<storage::StoredBatch> batches;
  partition_->read(from, partition_->appended(), kLoadBytes, batches, kLoadBatches);
  std::erase_if(batches, [](const storage::StoredBatch& batch) { return !batch.bytes.empty(); });
  host_.load(*this, std::move(batches));
}

void Queue::loaded(base::Result<std::vector<storage::StoredBatch>> batches) {
  loading_ = false;
  if (!batches) {
    base::log_error("delivery", "a queue cannot be read: " + batches.error().text,
                    {{"queue", key_.stream.to_string()}, {"partition", key_.index}});
    for (const WaitingAcquire& waiting : std::exchange(acquires_, {}))
      host_.reply(waiting.from, AcquireDone{.run = std::unexpected(batches.error())}, last_lsn_);
    return;  // stays unread: never skipped, never served wrong
  }
  loaded_.clear();
  for (storage::StoredBatch& batch : *batches) loaded_[batch.ref.base_offset.value] = std::move(batch.bytes);
  host_.pump_at_turn_end(*this);
}

void Queue::append_runs(const std::vector<AcquiredRun>& acquired, std::vector<DeliveryRun>& runs, size_t& bytes) {
  for (const AcquiredRun& run : acquired) {
    for (Offset at = run.first; at <= run.last;) {
      storage::StoredBatch batch;
      bytes_at_hand(at, batch);
      const Offset last = std::min(run.last, batch.ref.end_offset() - base::OffsetCount(1));
      const auto count = static_cast<uint32_t>((last - at).value) + 1;
      bytes += size_t{batch.ref.bytes} * count / batch.ref.count;
      runs.push_back({.batch = std::move(batch.bytes),
                      .encoding = batch.ref.encoding,
                      .first_index = static_cast<uint32_t>((at - batch.ref.base_offset).value),
                      .count = count,
                      .first_offset = at,
                      .redelivered = run.redelivered});
      at = last.next();
    }
  }
}

bool Queue::hand_out(Consumer& consumer, uint32_t quota) {
  // Batch by batch: only entries whose bytes are at hand are acquired, and the window is respected to within one batch.
  const Offset first = subscription_.first_ready(partition_->appended());
  storage::StoredBatch batch;
  if (!bytes_at_hand(first, batch)) return false;
  const auto in_batch = static_cast<uint32_t>((batch.ref.end_offset() - first).value);
  const uint32_t record_bytes = std::max<uint32_t>(1, batch.ref.bytes / batch.ref.count);
  const auto in_window = static_cast<uint32_t>(std::max<int64_t>(1, consumer.window_bytes / record_bytes));
  std::vector<AcquiredRun> acquired =
      subscription_.acquire(std::min({quota, in_batch, in_window}), batch.ref.end_offset());

  std::vector<OffsetRange> ranges;
  for (const AcquiredRun& run : acquired) ranges.emplace_back(run.first, run.last);
  Deliveries deliveries;
  size_t bytes = 0;
  append_runs(acquired, deliveries.runs, bytes);
  const auto count = static_cast<uint32_t>(count_of(ranges));
  consumer.window_bytes -= static_cast<int64_t>(std::max<size_t>(bytes, 1));
  const ReplyTo to = consumer.id;
  if (consumer.auto_settle) {
    base::Lsn lsn;
    settle_ranges(ranges, lsn);
  } else {
    if (consumer.credit != kUnlimited) consumer.credit -= count;
    if (consumer.pool != 0) host_.pool(consumer.id.session, consumer.pool).open += count;
    consumer.open += count;
    hold(to.session, ranges);
    last_lsn_ = host_.log_delivered(key_, ranges);
    subscription_.apply_delivered(ranges, last_lsn_);
  }
  host_.reply(to, std::move(deliveries), last_lsn_);
  return true;
}

void Queue::pump() {
  marked_ = false;
  if (partition_ == nullptr || loading_) return;
  answer_acquires();
  while (!loading_ && subscription_.first_ready(partition_->appended()).value >= 0) {
    uint32_t quota = 0;
    Consumer* consumer = next_consumer(quota);
    if (consumer == nullptr || !host_.may_hand_out(*this)) return;
    next_ = static_cast<size_t>(consumer - consumers_.data()) + 1;
    if (!hand_out(*consumer, quota)) return;
  }
}

void Queue::acquire(ReplyTo from, const AcquireRequest& request) {
  acquires_.push_back({from, request});
  if (!loading_) answer_acquires();
}

void Queue::answer_acquires() {
  while (!acquires_.empty()) {
    const WaitingAcquire waiting = acquires_.front();
    const Offset first = subscription_.first_ready(partition_->appended());
    AcquireDone done;
    if (first.value >= 0) {
      storage::StoredBatch batch;
      if (!bytes_at_hand(first, batch)) return;
      const std::vector<AcquiredRun> acquired = subscription_.acquire(1, partition_->appended());
      std::vector<DeliveryRun> runs;
      size_t bytes = 0;
      append_runs(acquired, runs, bytes);
      const std::vector<OffsetRange> ranges{{first, first}};
      if (waiting.request.auto_settle) {
        base::Lsn lsn;
        settle_ranges(ranges, lsn);
      } else {
        hold(waiting.from.session, ranges);
        last_lsn_ = host_.log_delivered(key_, ranges);
        subscription_.apply_delivered(ranges, last_lsn_);
      }
      done.run = std::move(runs.front());
    } else {
      done.run = std::optional<DeliveryRun>{};
    }
    done.ready_left = static_cast<uint32_t>(subscription_.ready_count(partition_->appended()));
    acquires_.erase(acquires_.begin());
    host_.reply(waiting.from, std::move(done), last_lsn_);
  }
}

}  // namespace polylog::broker
