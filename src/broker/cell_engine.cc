#include "broker/cell_engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "broker/mutations.h"

namespace polylog::broker {
namespace {

using storage::Partition;

constexpr char kQueueName = 'q', kGroupName = 'g';  // first byte of a checkpoint object's name
constexpr base::Lsn kNow{0};
constexpr size_t kRangesPerMutationMax = 4096;  // 64 KiB: fits the slots of the smallest WAL files

std::unexpected<base::Error> not_found() { return base::fail(base::ErrorCode::kNotFound, "no such partition here"); }

std::string label_of(base::CellId cell) { return fmt::format("cell=\"{}\"", cell.value); }

std::string name_of_queue(const base::PartitionKey& key) {
  base::Writer name;
  name.u8(kQueueName);
  storage::write_key(name, key);
  return std::string(base::as_text(name.view()));
}

}  // namespace

CellEngine::Metrics::Metrics(base::Registry& registry, base::CellId cell)
    : batches(registry.counter("polylog_appended_batches_total", "Batches appended", label_of(cell))),
      records(registry.counter("polylog_appended_records_total", "Records appended", label_of(cell))),
      bytes(registry.counter("polylog_appended_bytes_total", "Bytes of appended batches", label_of(cell))),
      refused(registry.counter("polylog_refused_appends_total", "Appends refused, for whatever reason", label_of(cell))),
      wal_bytes(registry.counter("polylog_wal_bytes_total", "Bytes written to the write-ahead log", label_of(cell))),
      wal_syncs(registry.counter("polylog_wal_syncs_total", "Group commits", label_of(cell))),
      failed(registry.gauge("polylog_cell_failed", "1 when a cell refuses writes after a disk error or found damage",
                            label_of(cell))),
      disk_full(registry.gauge("polylog_cell_disk_full", "1 while only the reserve is left", label_of(cell))),
      pressured(registry.gauge("polylog_cell_pressured", "1 while producers are held back", label_of(cell))),
      partitions(registry.gauge("polylog_partitions", "Partitions open", label_of(cell))),
      tail_bytes(registry.gauge("polylog_tail_bytes", "Bytes of recent batches in RAM", label_of(cell))) {}

CellEngine::CellEngine(Broker& broker, Options options)
    : broker_(broker),
      cell_(options.cell, *this),
      metrics_(broker.metrics(), cell_.id()),
      groups_(*this, options.groups, std::move(options.new_id)),
      parked_bytes_max_(options.cell.undurable_bytes_max / 2) {}

CellEngine::~CellEngine() = default;

base::Result<storage::RecoveryReport> CellEngine::open() {
  auto report = cell_.open();
  if (!report) {
    metrics_.failed.set(1);
    return report;
  }
  opened_ = true;
  for (auto& [key, queue] : queues_) {
    queue->subscription().restart();
    if (Partition* partition = cell_.find(key)) queue->set_partition(*partition);
  }
  // An existing directory keeps its WAL file size, whatever is configured now: what fits a slot follows from it.
  groups_.limit_mutations(cell_.wal().part_bytes_max() - 4 * base::limits::kKiB);
  groups_.start(broker_.loop().now(), broker_.loop().wall_now());
  arm_groups();
  return report;
}

// --- requests

void CellEngine::execute(ReplyTo from, CellRequest request) {
  if (!opened_) return refuse(from, request);
  std::visit([&](auto& r) { on(from, r); }, request);
}

// The cell did not open: what it holds is unknown, so nothing is said to be there or not to be.
void CellEngine::refuse(ReplyTo from, const CellRequest& request) {
  const auto closed = [] { return base::fail(base::ErrorCode::kIo, "the cell is closed"); };
  if (std::holds_alternative<AppendRequest>(request)) broker_.emit({from, AppendDone{.base_offset = closed()}});
  if (const auto* read = std::get_if<ReadRequest>(&request)) {
    ReadDone done;
    done.items.resize(read->items.size(), {.error = base::ErrorCode::kIo});
    broker_.emit({from, std::move(done)});
  }
  if (std::holds_alternative<FindOffsetRequest>(request))
    broker_.emit({from, FindOffsetDone{.offset = closed(), .time = {-1}}});
  if (std::holds_alternative<FindEpochRequest>(request)) broker_.emit({from, FindEpochDone{.epoch = closed()}});
  if (std::holds_alternative<TrimRequest>(request)) broker_.emit({from, TrimDone{closed()}});
  if (std::holds_alternative<AttachRequest>(request)) broker_.emit({from, AttachDone{closed()}});
  if (std::holds_alternative<DetachRequest>(request)) broker_.emit({from, DetachDone{}});
  if (std::holds_alternative<AcquireRequest>(request)) broker_.emit({from, AcquireDone{.run = closed()}});
  if (std::holds_alternative<PurgeRequest>(request)) broker_.emit({from, PurgeDone{closed()}});
  if (std::holds_alternative<QueueStatsRequest>(request)) broker_.emit({from, QueueStatsDone{.result = closed()}});
  if (const auto* group = std::get_if<GroupRequest>(&request)) broker_.emit({from, unavailable(*group)});
}

void CellEngine::on(ReplyTo from, AppendRequest& request) {
  arm_turn_end();
  // Never past one that waits: a writer's batches keep their order.
  if (parked_.empty() && try_append(from, request)) return;
  if (park(from, request)) return;
  metrics_.refused.add();
  reply(from, AppendDone{.base_offset = base::fail(base::ErrorCode::kOverloaded, "more waits than memory allows")}, kNow);
}

// Producers stop when they are told of pressure; what is on its way by then waits here, within bounds.
bool CellEngine::park(ReplyTo from, AppendRequest& request) {
  const size_t bytes = request.owned.empty() ? request.bytes.size() : request.owned.size();
  if (parked_bytes_ + bytes > parked_bytes_max_) return false;
  if (request.owned.empty()) request.owned = base::Slice::copy_of(std::exchange(request.bytes, {}));
  parked_bytes_ += bytes;
  parked_.push_back({from, std::move(request)});
  return true;
}

void CellEngine::append_parked() {
  while (!parked_.empty() && try_append(parked_.front().from, parked_.front().request)) {
    parked_bytes_ -= parked_.front().request.owned.size();
    parked_.pop_front();
  }
}

// False: the cell has no room now and will have soon; nothing happened.
bool CellEngine::try_append(ReplyTo from, AppendRequest& request) {
  Partition* partition = cell_.find(request.partition);
  AppendDone done{.base_offset = not_found()};
  if (failed() || partition == nullptr) {
    if (failed()) done.base_offset = base::fail(base::ErrorCode::kIo, "the cell is closed");
    reply(from, std::move(done), kNow);
    return true;
  }
  done.log_start = partition->start();
  if (request.writer) {
    const auto verdict = partition->writers().check(*request.writer);
    if (!verdict) {
      done.base_offset = std::unexpected(verdict.error());
      reply(from, std::move(done), kNow);
      return true;
    }
    if (verdict->repeated) {  // answered like the first time, once that one is committed
      done.base_offset = verdict->base_offset;
      reply(from, std::move(done), cell_.appended_lsn());
      return true;
    }
  }
  storage::Cell::BatchInfo info{.count = request.count,
                                .encoding = request.encoding,
                                .max_ts = request.max_ts,
                                .writer = request.writer,
                                .place = {}};
  if (const Encoding* encoding = broker_.encodings().find(request.encoding))
    info.place = [encoding](base::MutView head, Offset base, base::Epoch epoch) { encoding->place(head, base, epoch); };
  const auto appended =
      cell_.append(*partition, info, request.owned.empty() ? request.bytes : request.owned.view());
  if (!appended) {
    if (appended.error().code == base::ErrorCode::kOverloaded) return false;
    metrics_.refused.add();
    done.base_offset = std::unexpected(appended.error());
    reply(from, std::move(done), kNow);
    return true;
  }
  metrics_.batches.add();
  metrics_.records.add(request.count);
  metrics_.bytes.add(partition->find(appended->base_offset)->bytes);
  done.base_offset = appended->base_offset;
  done.append_ts = appended->append_ts;
  reply(from, std::move(done), appended->lsn);
  if (partition->memory_only()) on_partition_commit(*partition);
  if (Queue* queue = find_queue(request.partition)) pump_at_turn_end(*queue);
  return true;
}

// --- reading

struct CellEngine::ReadOp {
  ReplyTo from;
  ReadDone done;
  struct Load {
    size_t item;
    Partition* partition;
    std::vector<storage::StoredBatch> batches;
  };
  std::vector<Load> loads;
  size_t loads_open = 0;

  static void add(ReadDone::Item& item, std::vector<storage::StoredBatch>& batches) {
    for (storage::StoredBatch& batch : batches)
      item.batches.push_back({.base_offset = batch.ref.base_offset,
                              .count = batch.ref.count,
                              .encoding = batch.ref.encoding,
                              .max_ts = batch.ref.max_ts,
                              .append_ts = batch.ref.append_ts,
                              .bytes = std::move(batch.bytes)});
  }
};

ReadDone::Item CellEngine::plan_read(const ReadRequest::Item& item, size_t& bytes_left, ReadOp& op, size_t index) {
  ReadDone::Item result;
  Partition* partition = cell_.find(item.partition);
  if (partition == nullptr) {
    result.error = base::ErrorCode::kNotFound;
    return result;
  }
  result.start = partition->start();
  result.committed = partition->committed();
  if (item.from < partition->start() || item.from > partition->appended()) {
    result.error = base::ErrorCode::kOutOfRange;
    return result;
  }
  if (item.from >= partition->committed() || bytes_left == 0) return result;
  std::vector<storage::StoredBatch> batches;
  partition->read(item.from, partition->committed(), std::min<size_t>(item.bytes_max, bytes_left), batches);
  bool cold = false;
  for (const storage::StoredBatch& batch : batches) {
    bytes_left -= std::min<size_t>(bytes_left, batch.ref.bytes);
    cold = cold || batch.bytes.empty();
  }
  if (cold) {
    op.loads.push_back({index, partition, std::move(batches)});
  } else {
    ReadOp::add(result, batches);
  }
  return result;
}

void CellEngine::on(ReplyTo from, ReadRequest& request) {
  auto op = std::make_shared<ReadOp>();
  op->from = from;
  size_t bytes_left = request.bytes_max;
  for (size_t i = 0; i < request.items.size(); ++i)
    op->done.items.push_back(plan_read(request.items[i], bytes_left, *op, i));
  if (request.watch) {
    std::vector<base::PartitionKey> keys;
    for (const ReadRequest::Item& item : request.items) keys.push_back(item.partition);
    watches_.add(from, std::move(keys));
  }
  if (op->loads.empty()) {
    broker_.emit({from, std::move(op->done)});
  } else {
    start_loads(op);
  }
}

void CellEngine::start_loads(const std::shared_ptr<ReadOp>& op) {
  op->loads_open = op->loads.size();
  for (ReadOp::Load& load : op->loads) {
    cell_.load(*load.partition, std::move(load.batches),
               [this, op, item = load.item](base::Result<std::vector<storage::StoredBatch>> batches) {
                 if (batches) {
                   ReadOp::add(op->done.items[item], *batches);
                 } else {
                   base::log_error("storage", batches.error().text);
                   op->done.items[item].error = batches.error().code;
                 }
                 if (--op->loads_open == 0) broker_.emit({op->from, std::move(op->done)});
               });
  }
}

void CellEngine::on(ReplyTo from, UnwatchRequest&) { watches_.remove(from); }

void CellEngine::on(ReplyTo from, FindOffsetRequest& request) {
  FindOffsetDone done{.offset = not_found(), .time = {-1}, .epoch = cell_.epoch()};
  if (const Partition* partition = cell_.find(request.partition)) {
    const storage::BatchRef* ref = nullptr;
    switch (request.what) {
      case FindOffsetRequest::What::kStart: done.offset = partition->start(); break;
      case FindOffsetRequest::What::kCommitted: done.offset = partition->committed(); break;
      case FindOffsetRequest::What::kTime:
        ref = partition->find_by_time(request.time);
        done.offset = Offset(-1);
        break;
      case FindOffsetRequest::What::kMaxTime:
        ref = partition->newest_by_time();
        done.offset = Offset(-1);
        break;
    }
    if (ref != nullptr) {
      done.offset = std::max(ref->base_offset, partition->start());
      done.time = ref->max_ts;
      done.epoch = ref->epoch;
    }
  }
  broker_.emit({from, std::move(done)});
}

void CellEngine::on(ReplyTo from, FindEpochRequest& request) {
  FindEpochDone done{.epoch = not_found(), .end = {}};
  if (const Partition* partition = cell_.find(request.partition)) {
    const auto& epochs = partition->epochs();
    const auto after = std::upper_bound(epochs.begin(), epochs.end(), request.epoch,
                                        [](base::Epoch e, const Partition::EpochStart& s) { return e < s.epoch; });
    if (request.epoch == cell_.epoch()) {
      done.epoch = request.epoch;
      done.end = partition->committed();
    } else if (after != epochs.begin()) {
      done.epoch = std::prev(after)->epoch;
      done.end = after == epochs.end() ? partition->committed() : after->start;
    }
  }
  broker_.emit({from, std::move(done)});
}

void CellEngine::on(ReplyTo from, TrimRequest& request) {
  Partition* partition = cell_.find(request.partition);
  if (partition == nullptr) return reply(from, TrimDone{not_found()}, kNow);
  if (find_queue(request.partition) != nullptr)
    return reply(from, TrimDone{base::fail(base::ErrorCode::kInvalid, "a queue is emptied by settling")}, kNow);
  const Offset before = request.before.value < 0 ? partition->committed() : request.before;
  if (before > partition->committed())
    return reply(from, TrimDone{base::fail(base::ErrorCode::kOutOfRange, "beyond the end")}, kNow);
  base::Lsn lsn = cell_.appended_lsn();
  if (before > partition->start()) {
    lsn = cell_.trim(*partition, before);
    arm_turn_end();
  }
  reply(from, TrimDone{partition->start()}, lsn);
}

// --- queues

Queue* CellEngine::find_queue(const base::PartitionKey& key) {
  const auto found = queues_.find(key);
  return found == queues_.end() || !found->second->has_partition() ? nullptr : found->second.get();
}

Queue& CellEngine::queue_for(const base::PartitionKey& key) {
  auto& slot = queues_[key];
  if (!slot) slot = std::make_unique<Queue>(*this, key);
  return *slot;
}

void CellEngine::on(ReplyTo from, AttachRequest& request) {
  if (Queue* queue = find_queue(request.queue)) return queue->attach(from, request);
  reply(from, AttachDone{not_found()}, kNow);
}

void CellEngine::on(ReplyTo from, DetachRequest& request) {
  if (Queue* queue = find_queue(request.queue)) return queue->detach(from);
  reply(from, DetachDone{}, kNow);
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
  reply(from, SettleDone{}, kNow);
}

void CellEngine::on(ReplyTo from, AcquireRequest& request) {
  if (Queue* queue = find_queue(request.queue)) return queue->acquire(from, request);
  reply(from, AcquireDone{.run = not_found()}, kNow);
}

void CellEngine::on(ReplyTo from, PurgeRequest& request) {
  if (Queue* queue = find_queue(request.queue)) return queue->purge(from);
  reply(from, PurgeDone{not_found()}, kNow);
}

void CellEngine::on(ReplyTo from, QueueStatsRequest& request) {
  if (Queue* queue = find_queue(request.queue)) return queue->stats(from);
  reply(from, QueueStatsDone{.result = not_found()}, kNow);
}

base::Lsn CellEngine::log_ranges(storage::MutationType type, const base::PartitionKey& queue,
                                 const std::vector<OffsetRange>& ranges) {
  const Partition* partition = cell_.find(queue);
  if (partition == nullptr || partition->memory_only()) return kNow;
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

void CellEngine::last_consumer_left(Queue& queue) {
  const auto record = broker_.catalog().find(queue.key().stream);
  if (record && record->auto_delete) broker_.change_catalog({}, DeleteStream{record->id});
}

// --- groups

void CellEngine::on(ReplyTo from, GroupRequest& request) {
  if (std::holds_alternative<CommitRequest>(request) && cell_.reserve_low())
    return reply(from, unavailable(request), kNow);
  const base::MonoTime now = broker_.loop().now();
  const base::WallTime wall = cell_.now();
  struct Visitor {
    GroupTable& groups;
    ReplyTo from;
    base::MonoTime now;
    base::WallTime wall;
    void operator()(const JoinRequest& r) { groups.join(from, r, now, wall); }
    void operator()(const SyncRequest& r) { groups.sync(from, r, now, wall); }
    void operator()(const HeartbeatRequest& r) { groups.heartbeat(from, r, now, wall); }
    void operator()(const LeaveRequest& r) { groups.leave(from, r, now, wall); }
    void operator()(const CommitRequest& r) { groups.commit(from, r, now, wall); }
    void operator()(const FetchCursorsRequest& r) { groups.fetch_cursors(from, r); }
    void operator()(const DescribeGroupsRequest& r) { groups.describe(from, r); }
    void operator()(const ListGroupsRequest& r) { groups.list(from, r); }
    void operator()(const DeleteGroupsRequest& r) { groups.remove(from, r); }
    void operator()(const DeleteCursorsRequest& r) { groups.delete_cursors(from, r); }
  };
  std::visit(Visitor{groups_, from, now, wall}, request);
  arm_groups();
}

void CellEngine::arm_groups() {
  broker_.loop().cancel(group_timer_);
  const auto deadline = groups_.next_deadline();
  if (!deadline) return;
  group_timer_ = broker_.loop().call_at(*deadline, [this] {
    groups_.on_time(broker_.loop().now(), cell_.now());
    arm_groups();
  });
}

base::Lsn CellEngine::log(base::View mutation) {
  arm_turn_end();
  return cell_.log(kGroupMutation, mutation);
}

void CellEngine::reply(ReplyTo to, GroupReply group_reply, base::Lsn after) {
  reply(to, ActionBody(std::move(group_reply)), after);
}

// --- the gate

void CellEngine::reply(ReplyTo to, ActionBody body, base::Lsn after) { gate(after, Action{to, std::move(body)}); }

void CellEngine::gate(base::Lsn after, std::variant<Action, io::Task> what) {
  if (cell_.failed()) {  // there is no later commit to wait for
    if (after <= cell_.committed_lsn()) return release(std::move(what));
    return refuse(std::move(what), {base::ErrorCode::kIo, "the cell stopped"});
  }
  // Behind whatever waits already, so that answers keep the order of the questions.
  if (!gated_.empty()) after = std::max(after, gated_.back().after);
  if (gated_.empty() && after <= cell_.committed_lsn()) return release(std::move(what));
  const Action* action = std::get_if<Action>(&what);
  if (action == nullptr || !std::holds_alternative<SettleDone>(action->body)) {
    someone_waits_ = true;
    arm_turn_end();
  }
  gated_.push_back({after, std::move(what)});
}

void CellEngine::release(std::variant<Action, io::Task> what) {
  if (Action* action = std::get_if<Action>(&what)) {
    broker_.emit(std::move(*action));
  } else {
    std::get<io::Task>(what)();
  }
}

void CellEngine::on_commit(base::Lsn committed) {
  while (!gated_.empty() && gated_.front().after <= committed) {
    auto what = std::move(gated_.front().what);
    gated_.pop_front();
    release(std::move(what));
  }
  if (!parked_.empty()) arm_turn_end();
  update_pressure();
}

void CellEngine::on_partition_commit(Partition& partition) {
  for (const ReplyTo& watcher : watches_.fire(partition.key())) broker_.emit({watcher, Readable{}});
}

namespace {

// The outcome of what waited is unknown. Where the answer can carry an error it does; a confirmation is never sent.
bool turn_into_failure(ActionBody& body, const base::Error& error) {
  const auto fail = [&](auto& result) {
    result = std::unexpected(error);
    return true;
  };
  if (auto* done = std::get_if<AppendDone>(&body)) return fail(done->base_offset);
  if (auto* done = std::get_if<TrimDone>(&body)) return fail(done->log_start);
  if (auto* done = std::get_if<AttachDone>(&body)) return fail(done->result);
  if (auto* done = std::get_if<AcquireDone>(&body)) return fail(done->run);
  if (auto* done = std::get_if<PurgeDone>(&body)) return fail(done->count);
  if (auto* done = std::get_if<QueueStatsDone>(&body)) return fail(done->result);
  if (auto* reply = std::get_if<GroupReply>(&body)) {
    make_unavailable(*reply);
    return true;
  }
  return std::holds_alternative<DetachDone>(body) || std::holds_alternative<ConsumerGone>(body);
}

}  // namespace

void CellEngine::refuse(std::variant<Action, io::Task> what, const base::Error& error) {
  Action* action = std::get_if<Action>(&what);
  if (action != nullptr && turn_into_failure(action->body, error)) broker_.emit(std::move(*action));
}

void CellEngine::on_cell_failed(const base::Error& error) {
  metrics_.failed.set(1);
  // Whatever stopped the cell, the outcome of what waits is unknown: never a code that says it did not happen.
  const base::Error unknown{base::ErrorCode::kIo, error.text};
  for (Gated& gated : std::exchange(gated_, {})) refuse(std::move(gated.what), unknown);
  for (ParkedAppend& parked : std::exchange(parked_, {}))
    broker_.emit({parked.from, AppendDone{.base_offset = std::unexpected(unknown)}});
  parked_bytes_ = 0;
  update_pressure();
}

void CellEngine::on_space_change(bool) {
  if (opened_) arm_turn_end();  // for what waited: appends, deliveries
  update_pressure();
}

void CellEngine::update_pressure() {
  if (!opened_) return;
  const bool pressured = cell_.overloaded() || !parked_.empty();
  const bool full = cell_.disk_full();
  if (pressured == pressured_ && full == full_) return;
  pressured_ = pressured;
  full_ = full;
  metrics_.pressured.set(pressured);
  metrics_.disk_full.set(full);
  broker_.tell_all_pressure(cell_.id(), pressured, full);
}

void CellEngine::arm_turn_end() {
  if (turn_end_armed_) return;
  turn_end_armed_ = true;
  broker_.loop().at_turn_end([this] { end_turn(); });
}

void CellEngine::end_turn() {
  turn_end_armed_ = false;
  append_parked();
  // Deliveries are logged too: the last of the reserve is for what frees space. They go on when space returns.
  if (!opened_ || !cell_.reserve_low()) {
    for (const base::PartitionKey& key : std::exchange(to_pump_, {}))
      if (Queue* queue = find_queue(key)) queue->pump();
  }
  turn_end_armed_ = false;  // pumping armed it again; what it staged goes out with this turn
  using Wait = storage::Cell::Wait;
  if (opened_) cell_.end_turn(std::exchange(someone_waits_, false) ? Wait::kSomeone : Wait::kNobody);
  update_pressure();
  update_metrics();
}

void CellEngine::update_metrics() {
  if (!opened_) return;
  const storage::Wal& wal = cell_.wal();
  metrics_.wal_bytes.add(wal.written_bytes() - std::exchange(wal_bytes_counted_, wal.written_bytes()));
  metrics_.wal_syncs.add(wal.sync_count() - std::exchange(wal_syncs_counted_, wal.sync_count()));
  metrics_.partitions.set(static_cast<int64_t>(cell_.partition_count()));
  metrics_.tail_bytes.set(static_cast<int64_t>(cell_.tail_bytes()));
}

// --- catalog

void CellEngine::make_partitions(const StreamRecord& record) {
  for (uint32_t i = 0; i < record.partitions.size(); ++i) {
    if (record.partitions[i] != cell_.id()) continue;
    Partition& partition = cell_.find_or_make(record.key(i), !record.durable || record.exclusive_owner.has_value());
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
  cell_.drop(key);
  arm_turn_end();
}

void CellEngine::report_dropped(const base::Uuid& stream) {
  gate(cell_.appended_lsn(), io::Task([this, stream] { broker_.report_dropped(stream, cell_.id()); }));
}

void CellEngine::apply_catalog(const CatalogDelta& delta) {
  if (!opened_) return;
  const StreamRecord& record = *delta.record;
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

void CellEngine::session_closed(SessionId session) {
  watches_.remove_session(session);
  for (auto& [key, queue] : queues_) queue->session_closed(session);
  pools_.erase(session);
  groups_.session_closed(session, broker_.loop().now(), cell_.now());
  arm_groups();
}

// --- replay and checkpoints

base::Result<> CellEngine::replay(const storage::Mutation& mutation, base::Lsn lsn) {
  if (mutation.version != 1)
    return base::fail(base::ErrorCode::kCorrupt, "written by a newer version of polylog; start that one");
  if (mutation.type == kGroupMutation) return groups_.apply(mutation.payload, lsn);
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

base::Result<> CellEngine::restore(const storage::CheckpointObject& object) {
  if (object.version != 1) return base::fail(base::ErrorCode::kCorrupt, "a checkpoint of a newer version of polylog");
  if (object.type == kGroupObject) return groups_.restore(object.payload, object.stamp);
  base::Reader in(object.payload);
  const base::PartitionKey key = storage::read_key(in);
  if (object.type != kSubscriptionObject || !queue_for(key).subscription().load(in, object.stamp))
    return base::fail(base::ErrorCode::kCorrupt, "a checkpoint's object does not decode");
  return {};
}

std::vector<std::string> CellEngine::object_names() const {
  std::vector<std::string> names;
  for (const auto& [key, queue] : queues_) names.push_back(name_of_queue(key));
  for (const std::string& group : groups_.names()) names.push_back(kGroupName + group);
  return names;
}

bool CellEngine::snapshot(const std::string& name, base::Writer& payload, storage::CheckpointObject& object) const {
  const std::string rest = name.substr(1);
  if (name[0] == kGroupName) {
    const auto bytes = groups_.snapshot(rest);
    if (!bytes) return false;
    payload.bytes(*bytes);
    object.type = kGroupObject;
    object.stamp = groups_.stamp(rest);
    return true;
  }
  base::Reader in(base::as_view(rest));
  const base::PartitionKey key = storage::read_key(in);
  const auto queue = queues_.find(key);
  if (queue == queues_.end()) return false;
  const Subscription& subscription = queue->second->subscription();
  if (subscription.stamp() == base::Lsn{}) return false;  // nothing durable ever happened
  storage::write_key(payload, key);
  subscription.save(payload);
  object.type = kSubscriptionObject;
  object.stamp = subscription.stamp();
  return true;
}

}  // namespace polylog::broker
