#include "broker/cell_engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/mutations.h"

namespace polylog::broker {
namespace {

constexpr size_t kHandOutsPerTurn = 1024;  // each of a batch's entries: about a microsecond

using storage::Partition;

std::string label_of(base::CellId cell) { return fmt::format("cell=\"{}\"", cell.value); }

storage::Cell::Options with_sync_time(storage::Cell::Options options, Broker& broker) {
  options.sync_time = &broker.stages().sync;
  return options;
}

}  // namespace

CellEngine::Metrics::Metrics(base::Registry& registry, base::CellId cell)
    : batches(registry.counter("polylog_appended_batches_total", "Batches appended", label_of(cell))),
      records(registry.counter("polylog_appended_records_total", "Records appended", label_of(cell))),
      bytes(registry.counter("polylog_appended_bytes_total", "Bytes of appended batches", label_of(cell))),
      refused(
          registry.counter("polylog_refused_appends_total", "Appends refused, for whatever reason", label_of(cell))),
      wal_bytes(registry.counter("polylog_wal_bytes_total", "Bytes written to the write-ahead log", label_of(cell))),
      wal_syncs(registry.counter("polylog_wal_syncs_total", "Group commits", label_of(cell))),
      segment_bytes(registry.counter("polylog_segment_bytes_total", "Bytes moved into segments", label_of(cell))),
      pack_bytes(registry.counter("polylog_pack_bytes_total", "Bytes moved into packs", label_of(cell))),
      checkpoint_bytes(registry.counter("polylog_checkpoint_bytes_total", "Bytes of checkpoints", label_of(cell))),
      failed(registry.gauge("polylog_cell_failed", "1 when a cell refuses writes after a disk error or found damage",
                            label_of(cell))),
      disk_full(registry.gauge("polylog_cell_disk_full", "1 while only the reserve is left", label_of(cell))),
      pressured(registry.gauge("polylog_cell_pressured", "1 while producers are held back", label_of(cell))),
      partitions(registry.gauge("polylog_partitions", "Partitions open", label_of(cell))),
      tail_bytes(registry.gauge("polylog_tail_bytes", "Bytes of recent batches in RAM", label_of(cell))),
      undurable(registry.gauge("polylog_cell_undurable_bytes", "Bytes staged and not yet synced", label_of(cell))),
      undurable_limit(registry.gauge("polylog_cell_undurable_limit_bytes",
                                     "Bytes that may be staged and not yet synced; past half of it producers are held",
                                     label_of(cell))) {}

CellEngine::CellEngine(Broker& broker, Options options)
    : broker_(broker),
      cell_(with_sync_time(std::move(options.cell), broker), *this),
      metrics_(broker.metrics(), cell_.id()),
      group_defaults_(options.groups),
      groups_(*this, *this, options.groups, std::move(options.new_id)),
      retention_(std::move(options.retention)),
      compaction_(broker, cell_, std::move(options.compaction)),
      saved_ranges_max_(options.saved_ranges_max) {
  metrics_.undurable_limit.set(static_cast<int64_t>(cell_.options().undurable_bytes_max));
}

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
  if (retention_) arm_retention();
  compaction_.start();
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
  if (const auto* append = std::get_if<AppendRequest>(&request))
    broker_.emit({from, AppendDone{.base_offset = closed(), .request_bytes = append->batch().size()}});
  if (const auto* read = std::get_if<ReadRequest>(&request)) {
    ReadDone done;
    done.items.resize(read->items.size(), {.error = base::ErrorCode::kIo});
    broker_.emit({from, std::move(done)});
  }
  if (std::holds_alternative<FindOffsetRequest>(request))
    broker_.emit({from, FindOffsetDone{.offset = closed(), .time = {-1}}});
  if (std::holds_alternative<FindEpochRequest>(request)) broker_.emit({from, FindEpochDone{.epoch = closed()}});
  if (std::holds_alternative<TrimRequest>(request)) broker_.emit({from, TrimDone{closed()}});
  if (const auto* stats = std::get_if<PartitionStatsRequest>(&request)) {
    PartitionStatsDone done;
    done.items.resize(stats->partitions.size(), {.error = base::ErrorCode::kIo});
    broker_.emit({from, std::move(done)});
  }
  if (std::holds_alternative<WritersRequest>(request)) broker_.emit({from, WritersDone{closed()}});
  if (std::holds_alternative<AttachRequest>(request)) broker_.emit({from, AttachDone{closed()}});
  if (std::holds_alternative<DetachRequest>(request)) broker_.emit({from, DetachDone{}});
  if (std::holds_alternative<SettleRequest>(request)) broker_.emit({from, SettleDone{closed()}});
  if (std::holds_alternative<AcquireRequest>(request)) broker_.emit({from, AcquireDone{.run = closed()}});
  if (std::holds_alternative<PurgeRequest>(request)) broker_.emit({from, PurgeDone{closed()}});
  if (std::holds_alternative<QueueStatsRequest>(request)) broker_.emit({from, QueueStatsDone{.result = closed()}});
  if (const auto* group = std::get_if<GroupRequest>(&request)) broker_.emit({from, unavailable(*group)});
  if (std::holds_alternative<CellStatsRequest>(request)) broker_.emit({from, CellStatsDone{.failed = true}});
  if (std::holds_alternative<PeekRequest>(request)) broker_.emit({from, PeekDone{.result = closed()}});
}

void CellEngine::on(ReplyTo from, AppendRequest& request) {
  arm_turn_end();
  // Never past one that waits: a writer's batches keep their order.
  if (!parked_.empty() || !try_append(from, request)) park(from, request);
}

// Producers stop when they are told of pressure; what is on its way by then waits here.
void CellEngine::park(ReplyTo from, AppendRequest& request) {
  if (request.owned.empty()) request.owned = base::Slice::copy_of(std::exchange(request.bytes, {}));
  parked_.push_back({from, std::move(request)});
}

void CellEngine::append_parked() {
  while (!parked_.empty()) {
    ParkedAppend next = std::move(parked_.front());  // a cell that fails meanwhile answers all that is parked
    parked_.pop_front();
    if (try_append(next.from, next.request)) continue;
    parked_.push_front(std::move(next));
    return;
  }
}

// False: the cell has no room now and will have soon; nothing happened.
bool CellEngine::try_append(ReplyTo from, AppendRequest& request) {
  Partition* partition = cell_.find(request.partition);
  AppendDone done{.base_offset = no_such_partition(), .request_bytes = request.batch().size()};
  if (failed() || partition == nullptr) {
    if (failed()) done.base_offset = base::fail(base::ErrorCode::kIo, "the cell is closed");
    reply(from, std::move(done), kCommittedAlready);
    return true;
  }
  done.log_start = partition->start();
  if (request.writer) {
    const auto verdict = partition->writers().check(*request.writer);
    if (!verdict) {
      done.base_offset = std::unexpected(verdict.error());
      reply(from, std::move(done), kCommittedAlready);
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
  const auto appended = cell_.append(*partition, info, request.batch());
  if (!appended) {
    if (appended.error().code == base::ErrorCode::kOverloaded) return false;
    metrics_.refused.add();
    done.base_offset = std::unexpected(appended.error());
    reply(from, std::move(done), kCommittedAlready);
    return true;
  }
  metrics_.batches.add();
  metrics_.records.add(request.count);
  metrics_.bytes.add(partition->find(appended->base_offset)->bytes);
  done.base_offset = appended->base_offset;
  done.append_ts = appended->append_ts;
  done.staged_at = broker_.loop().now();
  broker_.stages().append.record_ns((done.staged_at - request.asked_at).count());
  reply(from, std::move(done), appended->lsn);
  if (partition->memory_only()) on_partition_commit(*partition);
  if (Queue* queue = find_queue(request.partition)) pump_at_turn_end(*queue);
  return true;
}

// --- groups

bool CellEngine::brings_new_pattern(const GroupRequest& request) {
  const auto* reconcile = std::get_if<ReconcileRequest>(&request);
  if (reconcile == nullptr || !reconcile->pattern || reconcile->pattern->empty()) return false;
  return groups_.is_new_pattern(*reconcile->pattern);
}

// Comparing all names with a new pattern takes as long as a turn should: one in each. Who is second waits, behind others who
// do; and so does whatever its group's members report after it, so that nobody overtakes itself.
bool CellEngine::must_wait(const GroupRequest& request) {
  const auto* reconcile = std::get_if<ReconcileRequest>(&request);
  if (reconcile == nullptr) return false;
  if (groups_waiting_.contains(reconcile->group)) return true;
  return (pattern_compared_ || !patterns_waiting_.empty()) && brings_new_pattern(request);
}

void CellEngine::on(ReplyTo from, GroupRequest& request) {
  if (!must_wait(request)) return carry_out(from, request);
  auto& reconcile = std::get<ReconcileRequest>(request);
  ++groups_waiting_[reconcile.group];
  patterns_waiting_.emplace_back(from, std::move(reconcile));
}

void CellEngine::note_pattern_compared() {
  pattern_compared_ = true;
  broker_.loop().at_turn_end([this] {
    pattern_compared_ = false;
    if (!patterns_waiting_.empty()) broker_.loop().call_at(broker_.loop().now(), [this] { compare_next_pattern(); });
  });
}

void CellEngine::compare_next_pattern() {
  while (!patterns_waiting_.empty() && !pattern_compared_) {
    const ReplyTo from = patterns_waiting_.front().first;
    GroupRequest request(std::move(patterns_waiting_.front().second));
    patterns_waiting_.pop_front();
    const auto waiting = groups_waiting_.find(std::get<ReconcileRequest>(request).group);
    if (--waiting->second == 0) groups_waiting_.erase(waiting);
    carry_out(from, request);
  }
}

// With streams that changed: a share at the end of this turn, the rest in turns to come.
void CellEngine::arm_comparing() {
  if (comparing_armed_ || !groups_.has_changes()) return;
  comparing_armed_ = true;
  broker_.loop().at_turn_end([this] {
    comparing_armed_ = false;
    groups_.compare_changes();
    if (groups_.has_changes()) broker_.loop().call_at(broker_.loop().now(), [this] { arm_comparing(); });
  });
}

void CellEngine::carry_out(ReplyTo from, GroupRequest& request) {
  if (brings_new_pattern(request)) note_pattern_compared();
  if (std::holds_alternative<CommitRequest>(request) && cell_.reserve_low())
    return reply(from, unavailable(request), kCommittedAlready);
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
    void operator()(const ReconcileRequest& r) { groups.reconcile(from, r, now, wall); }
    void operator()(const DescribeGroupsRequest& r) { groups.describe(from, r); }
    void operator()(const DescribeManagedRequest& r) { groups.describe_managed(from, r); }
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

void CellEngine::compute(io::Task job, io::Task done) {
  if (group_worker_ == nullptr) group_worker_ = broker_.loop().make_worker("groups");
  group_worker_->submit(std::move(job), [this, done = std::move(done)]() mutable {
    if (failed()) return;
    done();
    arm_groups();
  });
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
  const base::MonoTime now = broker_.loop().now();
  while (!gated_.empty() && gated_.front().after <= committed) {
    auto what = std::move(gated_.front().what);
    gated_.pop_front();
    if (Action* action = std::get_if<Action>(&what))
      if (AppendDone* done = std::get_if<AppendDone>(&action->body)) done->committed_at = now;
    release(std::move(what));
  }
  broker_.stages().apply.record_ns((broker_.loop().clock() - now).count());
  if (!parked_.empty()) arm_turn_end();
  update_pressure();
  update_metrics();
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
  if (auto* done = std::get_if<WritersDone>(&body)) return fail(done->writers);
  if (auto* done = std::get_if<AttachDone>(&body)) return fail(done->result);
  if (auto* done = std::get_if<SettleDone>(&body)) return fail(done->result);
  if (auto* done = std::get_if<AcquireDone>(&body)) return fail(done->run);
  if (auto* done = std::get_if<PurgeDone>(&body)) return fail(done->count);
  if (auto* done = std::get_if<QueueStatsDone>(&body)) return fail(done->result);
  if (auto* done = std::get_if<PeekDone>(&body)) return fail(done->result);
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
    broker_.emit({parked.from,
                  AppendDone{.base_offset = std::unexpected(unknown), .request_bytes = parked.request.batch().size()}});
  update_pressure();
}

void CellEngine::on_space_change(bool) {
  if (opened_) arm_turn_end();  // for what waited: appends, deliveries
  update_pressure();
}

void CellEngine::update_pressure() {
  if (!opened_) return;
  const bool pressured = cell_.overloaded() || !parked_.empty();
  const bool full = !failed() && cell_.disk_full();  // a failed cell takes nothing when there is room again either
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
  if (to_pump_next_turn_.empty()) hand_outs_left_ = kHandOutsPerTurn;
  // Deliveries are logged too, and so are the acknowledgements that they bring: the last of the reserve, and of the files
  // that are ready, is for those on their way. They go on when space returns.
  if (!opened_ || !cell_.room_is_short()) {
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
  metrics_.wal_bytes.set(wal.written_bytes());
  metrics_.wal_syncs.set(wal.sync_count());
  metrics_.segment_bytes.set(cell_.packed().segment_bytes);
  metrics_.pack_bytes.set(cell_.packed().pack_bytes);
  metrics_.checkpoint_bytes.set(cell_.checkpoint_bytes_written());
  metrics_.partitions.set(static_cast<int64_t>(cell_.partition_count()));
  metrics_.tail_bytes.set(static_cast<int64_t>(cell_.tail_bytes()));
  metrics_.undurable.set(static_cast<int64_t>(wal.undurable_bytes()));
}
}  // namespace polylog::broker
