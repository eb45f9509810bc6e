// ListOffsets, OffsetForLeaderEpoch and DeleteRecords: one question a partition, answered together.
//
// ListOffsets by time is exact: the cell names the batch, which is then read and walked for the record.
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/kafka/errors.h"
#include "protocol/kafka/gen/delete_records.h"
#include "protocol/kafka/gen/list_offsets.h"
#include "protocol/kafka/gen/offset_for_leader_epoch.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/mapping.h"
#include "protocol/kafka/session.h"
#include "protocol/kafka/topic_config.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {
namespace {

// A request of topics with partitions, whose response has the same shape. The whole response is made before anything is
// asked; Waiting is what an unanswered partition needs.
template <typename Response, typename Waiting>
class PartitionsCall : public PendingCall {
 public:
  using PartitionReply = typename decltype(Response::Topic::partitions)::value_type;
  explicit PartitionsCall(const Call& call) : call_(call) {}

  template <typename Request>
  void run(const Request& request) {
    response_.topics.resize(request.topics.size());
    for (size_t t = 0; t < request.topics.size(); ++t) {
      response_.topics[t].name = request.topics[t].name;
      response_.topics[t].partitions.resize(request.topics[t].partitions.size());
    }
    for (size_t t = 0; t < request.topics.size(); ++t) {
      const Topic topic = find_topic(call_.broker(), request.topics[t].name);
      for (size_t p = 0; p < request.topics[t].partitions.size(); ++p) {
        PartitionReply& reply = response_.topics[t].partitions[p];
        reply.partition_index = request.topics[t].partitions[p].partition_index;
        ask(topic, request.topics[t].partitions[p], reply);
      }
    }
    finish_if_answered();
  }

 protected:
  using AskedPartition = Waiting::Asked;
  virtual void ask(const Topic& topic, const AskedPartition& asked, PartitionReply& reply) = 0;
  virtual void answer(Waiting waiting, broker::ActionBody&& body) = 0;

  void submit(Waiting waiting, broker::CellRequest request) {
    const broker::ReplyTo reply_to = call_.expect(shared_from_this());
    const base::CellId cell = waiting.at.cell;
    waiting_.emplace(reply_to.token.value, std::move(waiting));
    call_.broker().submit(cell, reply_to, std::move(request));
  }
  void on_action(broker::Token token, broker::ActionBody&& body) final {
    answer(std::move(waiting_.extract(token.value).mapped()), std::move(body));
    finish_if_answered();
  }

  Call call_;

 private:
  void finish_if_answered() {
    if (waiting_.empty()) call_.reply(response_);
  }
  Response response_;
  std::unordered_map<uint64_t, Waiting> waiting_;  // by token
};

// ---- ListOffsets

constexpr int64_t kLatest = -1, kEarliest = -2, kMaxTimestamp = -3, kEarliestLocal = -4, kLatestTiered = -5;

struct OffsetWaiting {
  using Asked = ListOffsetsRequest::Partition;
  PartitionAt at;
  ListOffsetsResponse::Partition* reply;
  int64_t timestamp;   // asked; once a batch is found, what its record must reach
  base::Offset batch;  // found, being read for the exact record
};

class ListOffsetsCall final : public PartitionsCall<ListOffsetsResponse, OffsetWaiting> {
 public:
  using PartitionsCall::PartitionsCall;

 private:
  void ask(const Topic& topic, const ListOffsetsRequest::Partition& asked, PartitionReply& reply) override;
  void answer(OffsetWaiting waiting, broker::ActionBody&& body) override;
  void answer_found(OffsetWaiting waiting, const broker::FindOffsetDone& done);
  void answer_read(const OffsetWaiting& waiting, const broker::ReadDone& done);
};

// The oldest version that knows a special timestamp; 0: a plain one.
int16_t first_version_of(int64_t timestamp) {
  switch (timestamp) {
    case kMaxTimestamp: return 7;
    case kEarliestLocal: return 8;
    case kLatestTiered: return 9;
    default: return timestamp >= kEarliest ? 0 : INT16_MAX;
  }
}

std::optional<broker::FindOffsetRequest> find_request(const base::PartitionKey& key, int64_t timestamp) {
  using What = broker::FindOffsetRequest::What;
  switch (timestamp) {
    case kLatest: return broker::FindOffsetRequest{key, What::kCommitted, {}};
    case kEarliest:
    case kEarliestLocal: return broker::FindOffsetRequest{key, What::kStart, {}};
    case kMaxTimestamp: return broker::FindOffsetRequest{key, What::kMaxTime, {}};
    case kLatestTiered: return std::nullopt;  // nothing is tiered
    default: return broker::FindOffsetRequest{key, What::kTime, {timestamp}};
  }
}

void ListOffsetsCall::ask(const Topic& topic, const ListOffsetsRequest::Partition& asked, PartitionReply& reply) {
  const auto at = find_partition(call_.broker(), topic, asked.partition_index, asked.current_leader_epoch);
  if (!at) {
    reply.error_code = at.error();
    return;
  }
  if (call_.version() < first_version_of(asked.timestamp)) {
    reply.error_code = ErrorCode::kUnsupportedVersion;
    return;
  }
  if (const auto request = find_request(at->key, asked.timestamp)) {
    submit({.at = *at, .reply = &reply, .timestamp = asked.timestamp}, *request);
  }
}

void ListOffsetsCall::answer(OffsetWaiting waiting, broker::ActionBody&& body) {
  if (const auto* done = std::get_if<broker::FindOffsetDone>(&body)) return answer_found(waiting, *done);
  answer_read(waiting, std::get<broker::ReadDone>(body));
}

void ListOffsetsCall::answer_found(OffsetWaiting waiting, const broker::FindOffsetDone& done) {
  PartitionReply& reply = *waiting.reply;
  if (!done.offset) {
    reply.error_code = to_wire(done.offset.error().code);
    return;
  }
  if (done.offset->value < 0) return;  // nothing that young: -1, -1
  reply.offset = done.offset->value;
  reply.leader_epoch = static_cast<int32_t>(done.epoch.value);
  const bool by_time = waiting.timestamp >= 0 || waiting.timestamp == kMaxTimestamp;
  if (!by_time) return;
  reply.timestamp = done.time.ms;
  if (waiting.timestamp == kMaxTimestamp) waiting.timestamp = done.time.ms;
  waiting.batch = *done.offset;
  submit(waiting, broker::ReadRequest{.items = {{.partition = waiting.at.key, .from = waiting.batch, .bytes_max = 1}},
                                      .bytes_max = 1});
}

// What the cell said stands when the batch has no such record: its header promised one that is not there.
void ListOffsetsCall::answer_read(const OffsetWaiting& waiting, const broker::ReadDone& done) {
  PartitionReply& reply = *waiting.reply;
  const broker::ReadDone::Item& item = done.items.front();
  if (item.error) {
    reply = {.partition_index = reply.partition_index, .error_code = to_wire(*item.error)};
    return;
  }
  if (item.batches.empty()) return;
  const broker::ReadBatch& batch = item.batches.front();
  const auto found = find_by_time(call_.broker().encodings(), batch, waiting.timestamp, item.start);
  if (!found) return;
  reply.offset = found->offset.value;
  reply.timestamp = found->time.ms;
}

// ---- OffsetForLeaderEpoch

struct EpochWaiting {
  using Asked = OffsetForLeaderEpochRequest::Partition;
  PartitionAt at;
  OffsetForLeaderEpochResponse::Partition* reply;
};

class EpochEndCall final : public PartitionsCall<OffsetForLeaderEpochResponse, EpochWaiting> {
 public:
  using PartitionsCall::PartitionsCall;

 private:
  void ask(const Topic& topic, const OffsetForLeaderEpochRequest::Partition& asked, PartitionReply& reply) override {
    const auto at = find_partition(call_.broker(), topic, asked.partition_index, asked.current_leader_epoch);
    if (!at) {
      reply.error_code = at.error();
    } else if (asked.leader_epoch >= 0 && asked.leader_epoch <= at->leader_epoch) {
      const base::Epoch epoch(static_cast<uint32_t>(asked.leader_epoch));
      submit({.at = *at, .reply = &reply}, broker::FindEpochRequest{at->key, epoch});
    }
  }
  void answer(EpochWaiting waiting, broker::ActionBody&& body) override {
    const auto& done = std::get<broker::FindEpochDone>(body);
    if (!done.epoch) return;  // nothing that old: -1, -1
    waiting.reply->leader_epoch = static_cast<int32_t>(done.epoch->value);
    waiting.reply->end_offset = done.end.value;
  }
};

// ---- DeleteRecords

struct TrimWaiting {
  using Asked = DeleteRecordsRequest::Partition;
  PartitionAt at;
  DeleteRecordsResponse::Partition* reply;
};

class DeleteRecordsCall final : public PartitionsCall<DeleteRecordsResponse, TrimWaiting> {
 public:
  using PartitionsCall::PartitionsCall;

 private:
  static constexpr int64_t kHighWatermark = -1;

  void ask(const Topic& topic, const DeleteRecordsRequest::Partition& asked, PartitionReply& reply) override {
    reply.low_watermark = -1;
    const auto at = find_partition(call_.broker(), topic, asked.partition_index);
    if (!at) {
      reply.error_code = at.error();
    } else if (!settings_of(*topic, call_.config()).deletes) {
      reply.error_code = ErrorCode::kPolicyViolation;
    } else if (asked.offset < kHighWatermark) {
      reply.error_code = ErrorCode::kOffsetOutOfRange;
    } else {
      submit({.at = *at, .reply = &reply}, broker::TrimRequest{at->key, base::Offset(asked.offset)});
    }
  }
  void answer(TrimWaiting waiting, broker::ActionBody&& body) override {
    const auto& done = std::get<broker::TrimDone>(body);
    if (done.log_start) {
      waiting.reply->low_watermark = done.log_start->value;
    } else {
      waiting.reply->error_code = to_wire(done.log_start.error().code);
    }
  }
};

}  // namespace

void handle_list_offsets(Call call, base::View body) {
  ListOffsetsRequest request;
  if (!call.parse(body, request)) return;
  std::make_shared<ListOffsetsCall>(call)->run(request);
}

void handle_offset_for_leader_epoch(Call call, base::View body) {
  OffsetForLeaderEpochRequest request;
  if (!call.parse(body, request)) return;
  std::make_shared<EpochEndCall>(call)->run(request);
}

void handle_delete_records(Call call, base::View body) {
  DeleteRecordsRequest request;
  if (!call.parse(body, request)) return;
  std::make_shared<DeleteRecordsCall>(call)->run(request);
}

}  // namespace polylog::kafka
