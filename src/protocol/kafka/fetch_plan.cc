#include "protocol/kafka/fetch_plan.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "protocol/kafka/errors.h"
#include "protocol/kafka/mapping.h"

namespace polylog::kafka {
void FetchedPartition::fail(ErrorCode code) {
  error = code;
  start = committed = -1;
  batches.clear();
  counts.clear();
  bytes = 0;
}

void FetchedPartition::add(RecordBytes batch, uint32_t count) {
  if (batch.size() == 0) return;  // e.g. converted from one that has no messages
  bytes += static_cast<int64_t>(batch.size());
  batches.push_back(std::move(batch));
  counts.push_back(count);
}

FetchPlan::FetchPlan(const Call& call, const FetchRequest& request)
    : encodings_(call.broker().encodings()),
      bytes_max_(std::clamp(request.max_bytes, 0, call.config().fetch_bytes_max)),
      read_committed_(request.isolation_level == 1),
      by_id_(call.version() >= kTopicIdsSinceVersion) {
  for (const FetchRequest::Topic& asked : request.topics) add(call, asked);
}

void FetchPlan::add(const Call& call, const FetchRequest::Topic& asked) {
  const Topic topic = by_id_ ? find_topic(call.broker(), asked.topic_id) : find_topic(call.broker(), asked.name);
  topics_.push_back({std::string(asked.name), asked.topic_id, asked.partitions.size()});
  for (const FetchRequest::Partition& wanted : asked.partitions) {
    FetchedPartition& partition = partitions_.emplace_back();
    partition.topic = topic;
    partition.index = wanted.partition_index;
    partition.next = base::Offset(wanted.fetch_offset);
    partition.bytes_max = std::max(wanted.partition_max_bytes, 0);
    partition.last_fetched_epoch = wanted.last_fetched_epoch;
    const auto at = find_partition(call.broker(), topic, wanted.partition_index, wanted.current_leader_epoch);
    if (at) {
      partition.at = *at;
    } else {
      partition.fail(by_id_ && topic == nullptr ? ErrorCode::kUnknownTopicId : at.error());
    }
  }
}

void FetchPlan::take(FetchedPartition& partition, broker::ReadDone::Item&& item) {
  if (item.error == base::ErrorCode::kNotFound && by_id_) return partition.fail(ErrorCode::kUnknownTopicId);
  if (item.error) return partition.fail(to_wire(*item.error));
  partition.start = item.start.value;
  partition.committed = item.committed.value;
  for (broker::ReadBatch& batch : item.batches) {
    partition.next = batch.base_offset + base::OffsetCount(batch.count);
    if (batch.encoding == kEncodingTag) {
      partition.add({std::move(batch.bytes), std::move(batch.span)}, batch.count);
    } else if (!convert(partition, batch)) {
      return partition.fail(ErrorCode::kCorruptMessage);
    }
  }
}

bool FetchPlan::convert(FetchedPartition& partition, const broker::ReadBatch& batch) const {
  const broker::Encoding* encoding = encodings_.find(batch.encoding);
  if (encoding == nullptr) return false;
  HubBatches out(base::Epoch(static_cast<uint32_t>(partition.at.leader_epoch)), batch.append_ts, partition.topic->name);
  const auto converted =
      encoding->to_hub(batch.bytes.view(), batch.base_offset,
                       [&](base::Offset offset, const broker::HubMessage& message) { out.add(offset, message); });
  if (converted) partition.add({base::Slice::copy_of(out.finish()), {}}, batch.count);
  return converted.has_value();
}

// The client's last record is of `last_fetched_epoch`; our log of that epoch must reach at least as far.
void FetchPlan::note_epoch_end(FetchedPartition& partition, const broker::FindEpochDone& done) {
  if (!partition.is_readable()) return;
  if (!done.epoch) return;  // nothing that old is known: the offset alone decides
  const auto epoch = static_cast<int32_t>(done.epoch->value);
  if (epoch == partition.last_fetched_epoch && done.end >= partition.next) return;
  partition.diverging = {.epoch = epoch, .end_offset = done.end.value};
}

bool FetchPlan::has_error() const {
  return std::ranges::any_of(partitions_, [](const FetchedPartition& p) { return !p.is_readable(); });
}

int64_t FetchPlan::bytes_ready() const {
  int64_t bytes = 0;
  for (const FetchedPartition& partition : partitions_) bytes += std::min(partition.bytes, partition.bytes_max);
  return bytes;
}

size_t FetchPlan::bytes_held() const {
  int64_t bytes = 0;
  for (const FetchedPartition& partition : partitions_) bytes += partition.bytes;
  return static_cast<size_t>(bytes);
}

FetchResponse::Partition FetchPlan::respond(const Call& call, FetchedPartition& partition, Budget& budget) const {
  FetchResponse::Partition reply{.partition_index = partition.index,
                                 .error_code = for_version(partition.error, ApiKey::kFetch, call.version()),
                                 .high_watermark = partition.committed,
                                 .last_stable_offset = partition.committed,
                                 .log_start_offset = partition.start,
                                 .diverging_epoch = partition.diverging};
  if (read_committed_) reply.aborted_transactions.emplace();
  if (partition.error == ErrorCode::kFencedLeaderEpoch) {
    const base::CellId cell = partition.topic->partitions[static_cast<size_t>(partition.index)];
    reply.current_leader = {call.config().node_id, static_cast<int32_t>(call.broker().epoch_of(cell).value)};
  }
  if (!partition.is_readable()) partition.batches.clear();
  reply.records.size_bytes = budget.keep_what_fits(partition);
  return reply;
}

// The first batch of the response goes whatever its size, so that no reader is stuck before a large one.
uint32_t FetchPlan::Budget::keep_what_fits(FetchedPartition& partition) {
  int64_t left = std::min(partition.bytes_max, bytes_left);
  int64_t taken = 0;
  size_t kept = 0;
  for (; kept < partition.batches.size(); ++kept) {
    const auto size = static_cast<int64_t>(partition.batches[kept].size());
    if (size > left && !is_untouched) break;
    is_untouched = false;
    left -= size;
    taken += size;
  }
  partition.batches.resize(kept);
  bytes_left = std::max<int64_t>(bytes_left - taken, 0);
  return static_cast<uint32_t>(taken);
}

Reply FetchPlan::make_reply(const Call& call, const FetchContext& context) {
  FetchResponse response{.session_id = context.session_id()};
  Budget budget{.bytes_left = bytes_max_};
  size_t at = 0;
  bool names_leader = false;
  for (const AskedTopic& asked : topics_) {
    FetchResponse::Topic& topic = response.topics.emplace_back();
    topic.name = asked.name;
    topic.topic_id = asked.id;
    for (size_t i = 0; i < asked.partition_count; ++i) {
      FetchedPartition& partition = partitions_[at++];
      topic.partitions.push_back(respond(call, partition, budget));
      names_leader |= topic.partitions.back().current_leader.leader_id >= 0;
      partition.is_left_out = !context.must_send(asked.name, asked.id, topic.partitions.back());
      if (partition.is_left_out) topic.partitions.pop_back();
    }
    if (topic.partitions.empty() && context.is_incremental) response.topics.pop_back();
  }
  const Config& config = call.config();
  if (names_leader) {
    response.node_endpoints.push_back({config.node_id, config.advertised.host, config.advertised.port, {}});
  }

  base::Writer out;
  const size_t frame_at = call.begin(out);
  std::vector<RecordsAt> records;
  encode(out, call.version(), response, records);
  Reply reply;
  reply.error = first_error(response);
  if (call.is_slow()) reply.object = topics_.empty() ? std::string() : topics_.front().name;
  size_t streamed_bytes = 0;
  size_t sent = 0;
  for (FetchedPartition& partition : partitions_) {
    if (partition.is_left_out) continue;
    const RecordsAt& place = records[sent++];
    streamed_bytes += place.size_bytes;
    for (size_t b = 0; b < partition.batches.size(); ++b) {
      call.session().metrics().messages_sent.add(partition.counts[b]);
      reply.streamed.push_back({place.position, std::move(partition.batches[b])});
    }
  }
  end_response(out, frame_at, streamed_bytes);
  reply.bytes = std::move(out.buffer());
  return reply;
}

}  // namespace polylog::kafka
