// CellEngine: the neutral engine over one cell: executes requests on streams, queues and groups, and holds every answer back
// until what it depends on is committed. Everything is computed at once against the newest state; nothing leaves early.
//
// Owned by its cell's core. Deterministic: state, requests and the loop's clock are all it reads. Knows no wire format.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <variant>
#include <vector>

#include "broker/actions.h"
#include "broker/broker.h"
#include "broker/compaction_schedule.h"
#include "broker/delivery/queue.h"
#include "broker/groups/config.h"
#include "broker/groups/group_table.h"
#include "broker/groups/output.h"
#include "broker/retention.h"
#include "broker/watches.h"
#include "storage/cell.h"

namespace polylog::broker {

inline constexpr size_t kSavedRangesMax = 2048;   // 64 KiB with both kinds
inline constexpr size_t kSavedCursorsMax = 2048;  // of a group in one object of a checkpoint
inline constexpr size_t kDropsPerTurn = 256;      // partitions of a deleted stream

// What an answer waits for that depends on nothing new.
inline constexpr base::Lsn kCommittedAlready{0};
inline std::unexpected<base::Error> no_such_partition() {
  return base::fail(base::ErrorCode::kNotFound, "no such partition here");
}

// The members are defined in cell_engine.cc (requests, groups, the gate, turns), cell_reads.cc, cell_queues.cc,
// cell_state.cc and cell_objects.cc (checkpoints).
class CellEngine final : public storage::Engine, public QueueHost, public GroupOutput, public StreamDirectory {
 public:
  struct Options {
    storage::Cell::Options cell;
    GroupConfig groups;
    std::function<base::Uuid()> new_id;
    // What a stream keeps; asked every few seconds, so that a changed setting acts. Empty: everything.
    std::function<RetentionPolicy(const StreamRecord&)> retention = {};
    CompactionSchedule::Options compaction = {};  // its policy is asked likewise
    size_t saved_ranges_max = kSavedRangesMax;    // of each kind in one object of a checkpoint
  };
  CellEngine(Broker& broker, Options options);
  ~CellEngine() override;

  base::Result<storage::RecoveryReport> open();  // blocking, at start-up
  bool failed() const { return !opened_ || cell_.failed(); }
  storage::Cell& cell() { return cell_; }

  void execute(ReplyTo from, CellRequest request);
  void session_closed(SessionId session);
  // Of a stream that was declared or changed: those from `from` to before `to` that lie here.
  void make_partitions(const StreamRecord& record, uint32_t from, uint32_t to);
  // A stream was declared or changed, and its partitions are made; or it was deleted; or the settings are others.
  void apply_catalog(const CatalogDelta& delta);
  // Start-up: drops what a deleted stream left here, and reports it as dropped even if there was nothing.
  void bury(const base::Uuid& stream, uint32_t partitions);
  void end_turn();
  std::string describe() const { return cell_.describe(); }

  // --- for survey.h
  const GroupTable& groups() const { return groups_; }
  struct QueueCounts {
    uint64_t ready = 0, open = 0, consumers = 0;
  };
  // Adds the queues of some of the hash table's buckets; returns where to go on, or nothing at the end.
  std::optional<size_t> count_queues(size_t first_bucket, QueueCounts& counts) const;

 private:
  struct Gated {
    base::Lsn after;
    std::variant<Action, io::Task> what;
  };
  struct ParkedAppend {
    ReplyTo from;
    AppendRequest request;
  };
  struct ReadOp;
  class Walk;
  struct Metrics {
    Metrics(base::Registry& registry, base::CellId cell);
    struct Total {  // of the cell's own count
      base::Counter& counter;
      uint64_t counted = 0;
      void set(uint64_t total) { counter.add(total - std::exchange(counted, total)); }
    };
    base::Counter &batches, &records, &bytes, &refused;
    Total wal_bytes, wal_syncs, segment_bytes, pack_bytes, checkpoint_bytes;
    base::Gauge &failed, &disk_full, &pressured, &partitions, &tail_bytes, &undurable, &undurable_limit;
  };

  void on(ReplyTo from, AppendRequest& request);
  void park(ReplyTo from, AppendRequest& request);
  bool try_append(ReplyTo from, AppendRequest& request);
  void append_parked();
  void on(ReplyTo from, ReadRequest& request);
  void on(ReplyTo from, UnwatchRequest& request);
  void on(ReplyTo from, FindOffsetRequest& request);
  void on(ReplyTo from, FindEpochRequest& request);
  void on(ReplyTo from, TrimRequest& request);
  void on(ReplyTo from, PartitionStatsRequest& request);
  void on(ReplyTo from, WritersRequest& request);
  void on(ReplyTo from, AttachRequest& request);
  void on(ReplyTo from, DetachRequest& request);
  void on(ReplyTo from, CreditRequest& request);
  void on(ReplyTo from, PoolRequest& request);
  void on(ReplyTo from, SettleRequest& request);
  void on(ReplyTo from, AcquireRequest& request);
  void on(ReplyTo from, PurgeRequest& request);
  void on(ReplyTo from, QueueStatsRequest& request);
  void on(ReplyTo from, GroupRequest& request);
  void carry_out(ReplyTo from, GroupRequest& request);
  bool brings_new_pattern(const GroupRequest& request);
  bool must_wait(const GroupRequest& request);
  void note_pattern_compared();
  void compare_next_pattern();
  void arm_comparing();
  void on(ReplyTo from, CellStatsRequest& request);
  void on(ReplyTo from, PeekRequest& request);
  CellStatsDone cell_stats() const;

  ReadDone::Item plan_read(const ReadRequest& request, size_t index, size_t& bytes_left, ReadOp& op);
  void start_loads(const std::shared_ptr<ReadOp>& op);
  Queue* find_queue(const base::PartitionKey& key);
  Queue& queue_for(const base::PartitionKey& key);
  void drop_partitions(std::span<const base::PartitionKey> keys);
  void drop_queue(const base::PartitionKey& key);
  void drop_on();
  void report_dropped(const base::Uuid& stream);
  void arm_retention();
  void retain(std::vector<base::PartitionKey> left, std::optional<size_t> next_bucket);
  bool retain(storage::Partition& partition);
  void arm_turn_end();
  void arm_groups();
  void update_pressure();
  void update_metrics();
  void gate(base::Lsn after, std::variant<Action, io::Task> what);
  void release(std::variant<Action, io::Task> what);
  void refuse(ReplyTo from, const CellRequest& request);
  void refuse(std::variant<Action, io::Task> what, const base::Error& error);

  // storage::Engine
  base::Result<> replay(const storage::Mutation& mutation, base::Lsn lsn) override;
  base::Result<> restore(const storage::CheckpointObject& object) override;
  std::unique_ptr<storage::ObjectWalk> walk_objects() override;
  void on_commit(base::Lsn committed) override;
  void on_partition_commit(storage::Partition& partition) override;
  void on_cell_failed(const base::Error& error) override;
  void on_space_change(bool full) override;
  // QueueHost and GroupOutput
  base::Lsn log_delivered(const base::PartitionKey& queue, const std::vector<OffsetRange>& ranges) override;
  base::Lsn log_settled(const base::PartitionKey& queue, const std::vector<OffsetRange>& ranges) override;
  base::Lsn log_ranges(storage::MutationType type, const base::PartitionKey& queue,
                       const std::vector<OffsetRange>& ranges);
  void reply(ReplyTo to, ActionBody body, base::Lsn after) override;
  void trim(storage::Partition& partition, Offset log_start) override;
  void load(Queue& queue, std::vector<storage::StoredBatch> batches) override;
  void pump_at_turn_end(Queue& queue) override;
  bool may_hand_out(Queue& queue) override;
  void pump_who_waited();
  void last_consumer_left(Queue& queue) override;
  Pool& pool(SessionId session, uint32_t pool) override;
  void pool_freed(Pool& pool, uint32_t count) override;
  base::Lsn log(base::View mutation) override;
  void reply(ReplyTo to, GroupReply reply, base::Lsn after) override;
  void compute(io::Task job, io::Task done) override;
  // StreamDirectory
  std::optional<Entry> find_stream(std::string_view name) const override;
  void each_stream(const std::function<void(std::string_view name, const Entry&)>& visit) const override;

  Broker& broker_;
  storage::Cell cell_;
  Metrics metrics_;
  const GroupConfig group_defaults_;  // where the broker's settings do not say
  GroupTable groups_;
  std::unordered_map<base::PartitionKey, std::unique_ptr<Queue>> queues_;
  std::vector<base::PartitionKey> to_pump_, to_pump_next_turn_;
  size_t hand_outs_left_ = 0;  // at this turn's end
  std::map<SessionId, std::map<uint32_t, Pool>> pools_;
  std::function<RetentionPolicy(const StreamRecord&)> retention_;
  CompactionSchedule compaction_;
  const size_t saved_ranges_max_;
  uint64_t walks_ = 0;  // over all objects
  Watches watches_;
  struct Dropping {
    base::Uuid stream;
    std::vector<base::PartitionKey> left;
    bool is_durable;
  };
  std::deque<Dropping> dropping_;
  std::deque<Gated> gated_;  // ascending
  // What producers had sent before they were told to stop, in order. Bounded by the cores' IngressBudgets.
  std::deque<ParkedAppend> parked_;
  bool opened_ = false;
  bool someone_waits_ = false;  // for what this turn staged; a confirmation that acks are durable can wait a moment
  bool turn_end_armed_ = false;
  bool pressured_ = false, full_ = false;
  io::TimerId group_timer_;
  std::deque<std::pair<ReplyTo, ReconcileRequest>> patterns_waiting_;
  std::unordered_map<std::string, size_t> groups_waiting_;  // how many of these are of each
  bool pattern_compared_ = false;                           // in this turn
  bool comparing_armed_ = false;                            // of patterns with streams that changed
  std::unique_ptr<io::Worker> group_worker_;                // made when first needed
};

}  // namespace polylog::broker
