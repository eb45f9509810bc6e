// CellEngine's reading side: batches by offset, from RAM or from disk, and the questions where an offset lies.
#include <algorithm>

#include "base/log.h"
#include "broker/cell_engine.h"

namespace polylog::broker {

using storage::Partition;

struct CellEngine::ReadOp {
  ReplyTo from;
  ReadDone done;
  struct Load {
    size_t item;
    Partition* partition;
    std::vector<storage::StoredBatch> batches;
    std::optional<storage::SegmentReader::Wish> wish;  // of a segment, instead of batches
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
                              .bytes = std::move(batch.bytes),
                              .span = std::move(batch.span)});
  }
};

ReadDone::Item CellEngine::plan_read(const ReadRequest& request, size_t index, size_t& bytes_left, ReadOp& op) {
  const ReadRequest::Item& item = request.items[index];
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
  const size_t bytes_max = std::min<size_t>(item.bytes_max, bytes_left);
  if (const storage::SegmentRef* segment = partition->segment_at(item.from)) {
    op.loads.push_back({index, partition, {}, {{item.from, partition->committed(), bytes_max, request.span_encoding}}});
    bytes_left -= std::min<size_t>(bytes_max, segment->data_bytes);
    return result;
  }
  std::vector<storage::StoredBatch> batches;
  partition->read(item.from, partition->committed(), bytes_max, batches);
  bool cold = false;
  for (const storage::StoredBatch& batch : batches) {
    bytes_left -= std::min<size_t>(bytes_left, batch.ref.bytes);
    cold = cold || batch.bytes.empty();
  }
  if (cold) {
    op.loads.push_back({index, partition, std::move(batches), {}});
  } else {
    ReadOp::add(result, batches);
  }
  return result;
}

void CellEngine::on(ReplyTo from, ReadRequest& request) {
  auto op = std::make_shared<ReadOp>();
  op->from = from;
  size_t bytes_left = request.bytes_max;
  for (size_t i = 0; i < request.items.size(); ++i) op->done.items.push_back(plan_read(request, i, bytes_left, *op));
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
    auto done = [this, op, item = load.item](base::Result<std::vector<storage::StoredBatch>> batches) {
      if (batches) {
        ReadOp::add(op->done.items[item], *batches);
      } else {
        base::log_error("storage", batches.error().text, {{"cell", cell_.id().value}});
        op->done.items[item].error = batches.error().code;
      }
      if (--op->loads_open == 0) broker_.emit({op->from, std::move(op->done)});
    };
    if (load.wish) {
      cell_.read_segment(*load.partition, *load.wish, std::move(done));
    } else {
      cell_.load(*load.partition, std::move(load.batches), std::move(done));
    }
  }
}

void CellEngine::on(ReplyTo from, UnwatchRequest&) { watches_.remove(from); }

void CellEngine::on(ReplyTo from, FindOffsetRequest& request) {
  FindOffsetDone done{.offset = no_such_partition(), .time = {-1}, .epoch = cell_.epoch()};
  const Partition* partition = cell_.find(request.partition);
  if (partition == nullptr) return broker_.emit({from, std::move(done)});
  auto found = [this, from, done,
                start = partition->start()](base::Result<std::optional<storage::BatchRef>> batch) mutable {
    if (!batch) {
      done.offset = std::unexpected(batch.error());
    } else if (!*batch) {
      done.offset = Offset(-1);
    } else {
      done.offset = std::max((*batch)->base_offset, start);
      done.time = (*batch)->max_ts;
      done.epoch = (*batch)->epoch;
    }
    broker_.emit({from, std::move(done)});
  };
  switch (request.what) {
    case FindOffsetRequest::What::kStart: done.offset = partition->start(); break;
    case FindOffsetRequest::What::kCommitted: done.offset = partition->committed(); break;
    case FindOffsetRequest::What::kTime: return cell_.find_by_time(*partition, request.time, std::move(found));
    case FindOffsetRequest::What::kMaxTime: return cell_.find_newest(*partition, std::move(found));
  }
  broker_.emit({from, std::move(done)});
}

void CellEngine::on(ReplyTo from, FindEpochRequest& request) {
  FindEpochDone done{.epoch = no_such_partition(), .end = {}};
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

CellStatsDone CellEngine::cell_stats() const {
  return {.epoch = cell_.epoch(),
          .failed = failed(),
          .disk_full = cell_.disk_full(),
          .pressured = pressured_,
          .partitions = cell_.partition_count(),
          .tail_bytes = cell_.tail_bytes(),
          .wal_bytes_written = cell_.wal().written_bytes()};
}

void CellEngine::on(ReplyTo from, CellStatsRequest&) { broker_.emit({from, cell_stats()}); }

void CellEngine::on(ReplyTo from, TrimRequest& request) {
  Partition* partition = cell_.find(request.partition);
  if (partition == nullptr) return reply(from, TrimDone{no_such_partition()}, kCommittedAlready);
  if (find_queue(request.partition) != nullptr)
    return reply(from, TrimDone{base::fail(base::ErrorCode::kInvalid, "a queue is emptied by settling")},
                 kCommittedAlready);
  const Offset before = request.before.value < 0 ? partition->committed() : request.before;
  if (before > partition->committed())
    return reply(from, TrimDone{base::fail(base::ErrorCode::kOutOfRange, "beyond the end")}, kCommittedAlready);
  base::Lsn lsn = cell_.appended_lsn();
  if (before > partition->start()) {
    lsn = cell_.trim(*partition, before);
    arm_turn_end();
  }
  reply(from, TrimDone{partition->start()}, lsn);
}

void CellEngine::on(ReplyTo from, PartitionStatsRequest& request) {
  PartitionStatsDone done;
  for (const base::PartitionKey& key : request.partitions) {
    const Partition* partition = cell_.find(key);
    if (partition == nullptr) {
      done.items.push_back({.error = base::ErrorCode::kNotFound});
    } else {
      done.items.push_back({.error = {},
                            .size_bytes = partition->stored_bytes(),
                            .batches = partition->batch_count(),
                            .start = partition->start(),
                            .committed = partition->committed()});
    }
  }
  if (const auto space = cell_.disk_space()) {
    done.disk_total_bytes = space->total_bytes;
    done.disk_free_bytes = space->free_bytes;
  }
  broker_.emit({from, std::move(done)});
}

void CellEngine::on(ReplyTo from, WritersRequest& request) {
  WritersDone done{no_such_partition()};
  if (const Partition* partition = cell_.find(request.partition)) done.writers = partition->writers().all();
  reply(from, std::move(done), cell_.appended_lsn());
}

}  // namespace polylog::broker
