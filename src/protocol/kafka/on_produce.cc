// Produce and InitProducerId. A batch is checked to the reference's depth, then goes to its cell as it came, unless the topic
// asks for another codec: bytes are borrowed from the frame, one AppendRequest a partition. All answers are of what is committed, so acks=1 and acks=all are
// the same; acks=0 gets no reply, and a closed connection on any error.
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "protocol/kafka/errors.h"
#include "protocol/kafka/gen/init_producer_id.h"
#include "protocol/kafka/gen/produce.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/mapping.h"
#include "protocol/kafka/record_batch.h"
#include "protocol/kafka/repack.h"
#include "protocol/kafka/session.h"
#include "protocol/kafka/topic_config.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {
namespace {

constexpr int16_t kAcksAll = -1, kAcksNone = 0, kAcksLeader = 1;
constexpr int16_t kZstdSinceVersion = 7;

using PartitionReply = ProduceResponse::Partition;

// A copy of the batch with the broker's time in it.
base::Slice with_append_time(base::View bytes, int64_t now_ms) {
  base::Chunk* chunk = base::Chunk::allocate(bytes.size());
  std::memcpy(chunk->data(), bytes.data(), bytes.size());
  set_log_append_time({chunk->data(), bytes.size()}, now_ms);
  base::Slice slice(chunk, chunk->data(), bytes.size());
  chunk->unref();
  return slice;
}

std::optional<storage::WriterStamp> stamp_of(const BatchHeader& header) {
  if (header.producer_id < 0) return std::nullopt;
  return storage::WriterStamp{.id = header.producer_id,
                              .epoch = header.producer_epoch,
                              .first_sequence = header.base_sequence,
                              .last_sequence = header.last_sequence()};
}

class ProduceCall final : public PendingCall {
 public:
  ProduceCall(const Call& call, int16_t acks) : call_(call), acks_(acks) {}

  void run(const ProduceRequest& request);
  void on_action(broker::Token token, broker::ActionBody&& body) override;

 private:
  void make_response(const ProduceRequest& request);
  void append(const Topic& topic, const TopicSettings& settings, const ProduceRequest::Partition& asked,
              PartitionReply& reply);
  void append_repacked(const PartitionAt& at, const BatchHeader& header, const TopicSettings& settings,
                       base::View bytes, PartitionReply& reply);
  // `owned`: what `bytes` lie in, if not in the frame.
  void submit(const PartitionAt& at, const BatchHeader& header, const TopicSettings& settings, base::View bytes,
              base::Slice owned, PartitionReply& reply);
  void refuse(PartitionReply& reply, ErrorCode code, std::string_view why = {});
  void refuse(PartitionReply& reply, const BatchError& error);
  void finish();

  Call call_;
  ProduceResponse response_;
  std::vector<PartitionReply*> appends_;  // by token, from first_token_ on
  uint64_t first_token_ = 0;
  base::MonoTime staged_at_, committed_at_;  // of the last of them
  size_t answers_missing_ = 1;               // one is run() itself
  int16_t acks_;
  bool failed_ = false;
};

void ProduceCall::run(const ProduceRequest& request) {
  make_response(request);
  for (size_t t = 0; t < request.topics.size(); ++t) {
    const ProduceRequest::Topic& asked = request.topics[t];
    const Topic topic = find_topic(call_.broker(), asked.name);
    const TopicSettings settings = topic != nullptr ? settings_of(*topic, call_.config()) : TopicSettings{};
    for (size_t p = 0; p < asked.partitions.size(); ++p) {
      append(topic, settings, asked.partitions[p], response_.topics[t].partitions[p]);
    }
  }
  if (--answers_missing_ == 0) finish();
}

// Whole before anything is appended: answers point into it.
void ProduceCall::make_response(const ProduceRequest& request) {
  response_.topics.resize(request.topics.size());
  for (size_t t = 0; t < request.topics.size(); ++t) {
    const ProduceRequest::Topic& asked = request.topics[t];
    response_.topics[t].name = asked.name;
    response_.topics[t].partitions.resize(asked.partitions.size());
    for (size_t p = 0; p < asked.partitions.size(); ++p) {
      response_.topics[t].partitions[p].partition_index = asked.partitions[p].partition_index;
    }
  }
}

void ProduceCall::append(const Topic& topic, const TopicSettings& settings, const ProduceRequest::Partition& asked,
                         PartitionReply& reply) {
  const auto at = find_partition(call_.broker(), topic, asked.partition_index);
  if (!at) return refuse(reply, at.error());
  const base::View bytes = asked.records.value_or(base::View{});
  const int64_t now_ms = call_.broker().loop().wall_now().ms;
  BatchRules rules = settings.rules(now_ms, call_.version() >= kZstdSinceVersion);
  if (settings.compression)
    rules.depth = Depth::kFull;  // what is packed anew goes out under a checksum of this broker's
  const auto header = validate_batch(bytes, rules);
  if (!header) return refuse(reply, header.error());
  if (settings.compression && header->codec() != static_cast<uint8_t>(*settings.compression)) {
    return append_repacked(*at, *header, settings, bytes, reply);
  }
  submit(*at, *header, settings, bytes, {}, reply);
}

void ProduceCall::append_repacked(const PartitionAt& at, const BatchHeader& header, const TopicSettings& settings,
                                  base::View bytes, PartitionReply& reply) {
  auto repacked = repack_batch(header, bytes, *settings.compression);
  if (!repacked && repacked.error() == ErrorCode::kMessageTooLarge) {
    return refuse(reply, ErrorCode::kMessageTooLarge, "the records unpack to more than the limit");
  }
  if (!repacked) return refuse(reply, ErrorCode::kInvalidRecord, "the records cannot be unpacked");
  if (repacked->size() > settings.batch_bytes_max) {
    return refuse(reply, ErrorCode::kMessageTooLarge, "packed as the topic asks, the batch is too large");
  }
  const base::View view = repacked->view();
  submit(at, header, settings, view, std::move(*repacked), reply);
}

void ProduceCall::submit(const PartitionAt& at, const BatchHeader& header, const TopicSettings& settings,
                         base::View bytes, base::Slice owned, PartitionReply& reply) {
  broker::AppendRequest request{.partition = at.key,
                                .bytes = bytes,
                                .owned = std::move(owned),
                                .encoding = kEncodingTag,
                                .count = static_cast<uint32_t>(header.record_count),
                                .max_ts = {header.max_timestamp_ms},
                                .writer = stamp_of(header)};
  if (settings.log_append_time) {
    const int64_t now_ms = call_.broker().loop().wall_now().ms;
    request.owned = with_append_time(bytes, now_ms);
    request.bytes = request.owned.view();
    request.max_ts = {now_ms};
    reply.log_append_time_ms = now_ms;
  }
  call_.session().metrics().messages_received.add(request.count);
  const broker::ReplyTo reply_to = call_.expect(shared_from_this());
  if (appends_.empty()) first_token_ = reply_to.token.value;
  appends_.push_back(&reply);
  ++answers_missing_;
  call_.broker().submit(at.cell, reply_to, std::move(request));
}

void ProduceCall::on_action(broker::Token token, broker::ActionBody&& body) {
  const auto& done = std::get<broker::AppendDone>(body);
  PartitionReply& reply = *appends_[token.value - first_token_];
  if (done.base_offset) {
    reply.base_offset = done.base_offset->value;
    reply.log_start_offset = done.log_start.value;
  } else {
    refuse(reply, to_wire(done.base_offset.error().code), done.base_offset.error().text);
  }
  staged_at_ = std::max(staged_at_, done.staged_at);
  committed_at_ = std::max(committed_at_, done.committed_at);
  if (--answers_missing_ == 0) finish();
}

void ProduceCall::refuse(PartitionReply& reply, ErrorCode code, std::string_view why) {
  failed_ = true;
  reply.error_code = for_version(code, ApiKey::kProduce, call_.version());
  reply.base_offset = -1;
  reply.log_append_time_ms = -1;
  reply.log_start_offset = -1;
  if (!why.empty()) reply.error_message = std::string(why);
}

void ProduceCall::refuse(PartitionReply& reply, const BatchError& error) {
  refuse(reply, error.code, error.why);
  for (const int32_t record : error.records) reply.record_errors.push_back({record, std::string(error.why)});
}

void ProduceCall::finish() {
  if (acks_ != kAcksNone) {
    return call_.reply(response_, [this](Reply& reply) {
      reply.staged_at = staged_at_;
      reply.committed_at = committed_at_;
    });
  }
  if (failed_) return call_.close("a Produce with acks=0 failed");
  call_.finish_without_reply();
}

bool has_transactional_batch(const ProduceRequest& request) {
  for (const ProduceRequest::Topic& topic : request.topics) {
    for (const ProduceRequest::Partition& partition : topic.partitions) {
      const auto header = read_batch_header(partition.records.value_or(base::View{}));
      if (header && header->is_transactional()) return true;
    }
  }
  return false;
}

// Errors that concern the whole request, and so all of its partitions. Nothing is appended then.
ErrorCode request_error(const ProduceRequest& request) {
  if (request.acks != kAcksAll && request.acks != kAcksNone && request.acks != kAcksLeader) {
    return ErrorCode::kInvalidRequiredAcks;
  }
  if (request.transactional_id || has_transactional_batch(request)) {
    return ErrorCode::kTransactionalIdAuthorizationFailed;
  }
  return ErrorCode::kNone;
}

void reply_to_all(const Call& call, const ProduceRequest& request, ErrorCode code) {
  if (request.acks == kAcksNone) return call.close("a Produce with acks=0 was refused");
  ProduceResponse response;
  for (const ProduceRequest::Topic& topic : request.topics) {
    ProduceResponse::Topic& answer = response.topics.emplace_back();
    answer.name = topic.name;
    for (const ProduceRequest::Partition& partition : topic.partitions) {
      answer.partitions.push_back(
          {.partition_index = partition.partition_index, .error_code = code, .base_offset = -1});
    }
  }
  call.reply(response);
}

}  // namespace

void handle_produce(Call call, base::View body) {
  ProduceRequest request;
  if (!call.parse(body, request)) return;
  const ErrorCode error = request_error(request);
  if (error != ErrorCode::kNone) return reply_to_all(call, request, error);
  std::make_shared<ProduceCall>(call, request.acks)->run(request);
}

// Every request gets an id never used before, at epoch 0. That serves an epoch bump as well: the producer only asks for
// one to tell its new batches from its old ones.
void handle_init_producer_id(Call call, base::View body) {
  InitProducerIdRequest request;
  if (!call.parse(body, request)) return;
  if (request.transactional_id) {
    const ErrorCode code =
        request.transactional_id->empty() ? ErrorCode::kInvalidRequest : ErrorCode::kTransactionalIdAuthorizationFailed;
    return call.reply(InitProducerIdResponse{.error_code = code, .producer_epoch = -1});
  }
  call.broker().request_writer_id(call.when<broker::WriterIdDone>([call](broker::WriterIdDone& done) {
    if (done.id) return call.reply(InitProducerIdResponse{.producer_id = *done.id});
    call.reply(InitProducerIdResponse{.error_code = ErrorCode::kCoordinatorNotAvailable, .producer_epoch = -1});
  }));
}

}  // namespace polylog::kafka
