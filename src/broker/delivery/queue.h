// Queue: one work-queue partition with its subscription and the consumers attached to it: decides who gets what, in which
// order, within whose credit.
//
// pump() hands ready entries to consumers: highest priority with credit first, round robin among equals. It sees appended,
// not only committed entries: the delivery is logged in the same slot as the publish, and both leave after one commit.
// Entries whose bytes are no longer in RAM are loaded first; the queue waits, others do not.
// A consumer needs credit (open deliveries), its pool's credit, and window (bytes on their way to a slow socket).
// Owned by its cell's core; talks to the cell through QueueHost.
#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "broker/actions.h"
#include "broker/delivery/subscription.h"
#include "storage/partition.h"

namespace polylog::broker {

class Queue;

// Deliveries that consumers of one session may have open together.
struct Pool {
  uint32_t size = kUnlimited;
  uint32_t open = 0;
  std::vector<base::PartitionKey> starved;  // queues that would have delivered but for the pool
};

class QueueHost {
 public:
  virtual ~QueueHost() = default;
  virtual base::Lsn log_delivered(const base::PartitionKey& queue, const std::vector<OffsetRange>& ranges) = 0;
  virtual base::Lsn log_settled(const base::PartitionKey& queue, const std::vector<OffsetRange>& ranges) = 0;
  virtual void reply(ReplyTo to, ActionBody body, base::Lsn after) = 0;
  virtual void trim(storage::Partition& partition, Offset log_start) = 0;
  virtual void load(Queue& queue, std::vector<storage::StoredBatch> batches) = 0;  // answers Queue::loaded()
  virtual void pump_at_turn_end(Queue& queue) = 0;
  // Asked before each. False: this turn has done enough of it; the queue is pumped again in the next.
  virtual bool may_hand_out(Queue& queue) = 0;
  virtual void last_consumer_left(Queue& queue) = 0;
  virtual Pool& pool(SessionId session, uint32_t pool) = 0;
  virtual void pool_freed(Pool& pool, uint32_t count) = 0;  // counts down, and pumps the queues it starved
};

class Queue {
 public:
  Queue(QueueHost& host, base::PartitionKey key) : host_(host), key_(key) {}

  const base::PartitionKey& key() const { return key_; }
  void set_partition(storage::Partition& partition) { partition_ = &partition; }
  bool has_partition() const { return partition_ != nullptr; }
  uint64_t ready_count() const { return subscription_.ready_count(partition_->appended()); }
  size_t consumer_count() const { return consumers_.size(); }
  Subscription& subscription() { return subscription_; }
  const Subscription& subscription() const { return subscription_; }

  void attach(ReplyTo from, const AttachRequest& request);
  void detach(ReplyTo from);
  void credit(ReplyTo from, uint32_t bytes);
  void settle(ReplyTo from, const SettleRequest& request);
  void acquire(ReplyTo from, const AcquireRequest& request);
  void purge(ReplyTo from);
  void stats(ReplyTo from);
  void peek(ReplyTo from, uint32_t count_max);
  void session_closed(SessionId session);
  void gone();                                                    // deleted: tells the consumers
  bool mark_for_pump() { return !std::exchange(marked_, true); }  // false: it is marked already
  void pump();
  // Once for each number: whether this is the first time. For walks over all queues that begin again.
  bool mark(uint64_t walk) { return std::exchange(walked_, walk) != walk; }
  void loaded(base::Result<std::vector<storage::StoredBatch>> batches);

 private:
  struct Consumer {
    ReplyTo id;
    bool auto_settle = false;
    bool exclusive = false;
    int32_t priority = 0;
    uint32_t credit = 0;
    uint32_t pool = 0;
    int64_t window_bytes = 0;
    uint32_t open = 0;  // deliveries that count in the pool
  };
  struct WaitingAcquire {
    ReplyTo from;
    AcquireRequest request;
  };

  Consumer* find(ReplyTo id);
  Consumer* next_consumer(uint32_t& quota);
  uint32_t quota_of(const Consumer& consumer);
  void remove_consumer(size_t index);
  void give_credit(ReplyTo consumer, uint32_t count);
  void hold(SessionId session, const std::vector<OffsetRange>& ranges);
  // Bytes of the batch that holds `offset`, from RAM or loaded; empty when a load was started.
  bool bytes_at_hand(Offset offset, storage::StoredBatch& batch);
  void start_load(Offset from);
  bool hand_out(Consumer& consumer, uint32_t quota);
  void settle_ranges(const std::vector<OffsetRange>& ranges, base::Lsn& lsn);
  void answer_acquires();
  void append_runs(const std::vector<AcquiredRun>& acquired, std::vector<DeliveryRun>& runs, size_t& bytes);

  QueueHost& host_;
  base::PartitionKey key_;
  storage::Partition* partition_ = nullptr;
  Subscription subscription_;
  std::vector<Consumer> consumers_;      // by falling priority
  size_t next_ = 0;                      // round robin
  std::vector<Consumer> departed_;       // detached while deliveries were open that count in a pool
  std::map<SessionId, OffsetSet> held_;  // who has what open: only he may settle it, and it comes back when he goes
  std::vector<WaitingAcquire> acquires_;
  std::map<int64_t, base::Slice> loaded_;  // by base offset: brought back from disk, until settled past
  bool marked_ = false;
  uint64_t walked_ = 0;
  bool loading_ = false;
  base::Lsn last_lsn_;  // newest mutation of this queue: what a reply about it depends on
};

}  // namespace polylog::broker
