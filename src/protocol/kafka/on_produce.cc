// Produce and InitProducerId. A batch is checked to the reference's depth, then goes to its cell as it came, unless the topic
// asks for another codec: bytes are borrowed from the frame, one AppendRequest a partition. All answers are of what is
// committed, so acks=1 and acks=all are the same; acks=0 gets no reply, and a closed connection on any error.
//
// Batches are handled in their order. When the turn has had enough of them, or one must be unpacked off the core, the session
// holds the frame and the rest comes later:
//
//   go_on(body) ─► batch ─► batch ─► kCheckedTurnBytesMax, or no room to unpack ─► next turn ─► go_on(body)
//                             └────► unpacks to much ─► Unpacker's thread ─► in_hand_ ─► go_on(body)
#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "protocol/kafka/errors.h"
#include "protocol/kafka/gen/init_producer_id.h"
#include "protocol/kafka/gen/produce.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/mapping.h"
#include "protocol/kafka/record_batch.h"
#include "protocol/kafka/session.h"
#include "protocol/kafka/topic_config.h"
#include "protocol/kafka/topics.h"
#include "protocol/kafka/unpacker.h"

namespace polylog::kafka {
namespace {

constexpr int16_t kAcksAll = -1, kAcksNone = 0, kAcksLeader = 1;
constexpr int16_t kZstdSinceVersion = 7;
constexpr size_t kBatchCostBytes = 256;  // what there is to do for an empty one takes as long as checking so many

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

class ProduceCall final : public PendingCall, public HeldCall {
 public:
  ProduceCall(const Call& call, int16_t acks) : call_(call), acks_(acks) {}
  ~ProduceCall() override { give_up(); }

  void run(const ProduceRequest& request, base::View body);
  void go_on(base::View body) override;
  void give_up() override;
  void on_action(broker::Token token, broker::ActionBody&& body) override;

 private:
  struct Batch {
    uint32_t topic, partition;      // in response_
    size_t at = 0, size_bytes = 0;  // in the body, which may move from turn to turn
  };
  struct Appending {
    uint64_t token;
    PartitionReply* reply;
  };

  void take_down(const ProduceRequest& request, base::View body);
  // False: it goes on in a later turn, with the same batch.
  bool append(const Topic& topic, const TopicSettings& settings, base::View bytes, PartitionReply& reply);
  std::optional<IncomingBatch> looked_into(const BatchHeader& header, base::View bytes, const IncomingRules& rules);
  std::optional<IncomingBatch> look_into_here(const BatchHeader& header, base::View bytes, const IncomingRules& rules);
  void send_off(const BatchHeader& header, base::View bytes, const IncomingRules& rules);
  size_t unpacked_bytes_max() const;
  void take_in_hand(IncomingBatch batch, size_t packed_bytes);
  void wait_for_turn();
  std::shared_ptr<ProduceCall> self() { return std::static_pointer_cast<ProduceCall>(shared_from_this()); }
  // `owned`: what `bytes` lie in, if not in the frame.
  void submit(const PartitionAt& at, const BatchHeader& header, const TopicSettings& settings, base::View bytes,
              base::Slice owned, PartitionReply& reply);
  void refuse(PartitionReply& reply, ErrorCode code, std::string_view why = {});
  void refuse(PartitionReply& reply, const BatchError& error);
  void finish();

  Call call_;
  ProduceResponse response_;
  std::vector<Batch> batches_;
  size_t next_batch_ = 0;
  std::optional<IncomingBatch> in_hand_;     // of the next batch
  size_t in_hand_bytes_ = 0;                 // held as ingress
  std::shared_ptr<void> waits_;              // in the unpacker's line, or for its thread
  size_t unpacked_bytes_ = 0;                // of all batches so far
  std::vector<Appending> appends_;           // by token
  base::MonoTime staged_at_, committed_at_;  // of the last of them
  size_t answers_missing_ = 1;               // one is go_on() itself
  int16_t acks_;
  bool failed_ = false;
};

void ProduceCall::run(const ProduceRequest& request, base::View body) {
  take_down(request, body);
  go_on(body);
}

// The response is whole before anything is appended: answers point into it.
void ProduceCall::take_down(const ProduceRequest& request, base::View body) {
  response_.topics.resize(request.topics.size());
  for (uint32_t t = 0; t < request.topics.size(); ++t) {
    const ProduceRequest::Topic& asked = request.topics[t];
    response_.topics[t].name = asked.name;
    response_.topics[t].partitions.resize(asked.partitions.size());
    batches_.reserve(batches_.size() + asked.partitions.size());
    for (uint32_t p = 0; p < asked.partitions.size(); ++p) {
      response_.topics[t].partitions[p].partition_index = asked.partitions[p].partition_index;
      const base::View records = asked.partitions[p].records.value_or(base::View{});
      const size_t at = records.empty() ? 0 : static_cast<size_t>(records.data() - body.data());
      batches_.push_back({.topic = t, .partition = p, .at = at, .size_bytes = records.size()});
    }
  }
}

void ProduceCall::go_on(base::View body) {
  // Before all else: hundreds may wait, and few find room in a turn.
  if (waits_ != nullptr && !call_.session().shared().unpacker().has_room(waits_)) return wait_for_turn();
  Topic topic;
  TopicSettings settings;
  const ProduceResponse::Topic* topic_of = nullptr;  // whose those are
  size_t checked_bytes = 0;
  for (; next_batch_ < batches_.size(); ++next_batch_) {
    const Batch& batch = batches_[next_batch_];
    const size_t cost_bytes = batch.size_bytes + kBatchCostBytes;
    checked_bytes += cost_bytes;
    if (checked_bytes > limits::kCheckedTurnBytesMax && checked_bytes > cost_bytes) return wait_for_turn();
    ProduceResponse::Topic& answer = response_.topics[batch.topic];
    if (std::exchange(topic_of, &answer) != &answer) {
      topic = find_topic(call_.broker(), answer.name);
      settings = topic != nullptr ? settings_of(*topic, call_.config()) : TopicSettings{};
    }
    const base::View bytes = body.subspan(batch.at, batch.size_bytes);
    if (!append(topic, settings, bytes, answer.partitions[batch.partition])) return;
    give_up();  // whatever became of it: the topic may have changed meanwhile
  }
  if (--answers_missing_ == 0) finish();
}

bool ProduceCall::append(const Topic& topic, const TopicSettings& settings, base::View bytes, PartitionReply& reply) {
  const auto at = find_partition(call_.broker(), topic, reply.partition_index);
  if (!at) return refuse(reply, at.error()), true;
  const int64_t now_ms = call_.broker().loop().wall_now().ms;
  IncomingRules rules{.batch = settings.rules(now_ms, call_.version() >= kZstdSinceVersion),
                      .compression = settings.compression};
  // What is packed anew goes out under a checksum of this broker's.
  if (settings.compression) rules.batch.depth = Depth::kFull;
  const auto header = validate_envelope(bytes, rules.batch);
  if (!header) return refuse(reply, header.error()), true;
  base::Slice packed_anew;
  if (must_walk(*header, rules.batch)) {
    std::optional<IncomingBatch> seen = looked_into(*header, bytes, rules);
    if (!seen) return false;
    if (!seen->packed_anew) return refuse(reply, seen->packed_anew.error()), true;
    packed_anew = std::move(*seen->packed_anew);
  }
  const base::View stored = packed_anew.empty() ? bytes : packed_anew.view();
  submit(*at, *header, settings, stored, std::move(packed_anew), reply);
  return true;
}

// Nothing: later.
std::optional<IncomingBatch> ProduceCall::looked_into(const BatchHeader& header, base::View bytes,
                                                      const IncomingRules& rules) {
  if (in_hand_) return std::exchange(in_hand_, std::nullopt);
  const bool stays = !header.is_compressed() && !rules.packs_anew(header);
  if (stays && bytes.size() <= limits::kCheckedTurnBytesMax) return look_into(header, bytes, rules, 0);
  const size_t here_bytes_max =
      header.is_compressed() ? call_.session().packed_here_bytes_max() : limits::kUnpackedInlineBytesMax;
  if (bytes.size() <= here_bytes_max) {
    Unpacker& unpacker = call_.session().shared().unpacker();
    if (!unpacker.has_room(waits_)) {
      if (waits_ == nullptr) waits_ = unpacker.stand_in_line();
      return wait_for_turn(), std::nullopt;
    }
    waits_.reset();
    if (auto seen = look_into_here(header, bytes, rules)) return seen;
  }
  send_off(header, bytes, rules);
  return std::nullopt;
}

// Nothing: it is too much for this core.
std::optional<IncomingBatch> ProduceCall::look_into_here(const BatchHeader& header, base::View bytes,
                                                         const IncomingRules& rules) {
  const size_t bytes_max = std::min(limits::kUnpackedInlineBytesMax, unpacked_bytes_max());
  IncomingBatch seen = look_into(header, bytes, rules, bytes_max);
  call_.session().shared().unpacker().note(std::max(seen.unpacked_bytes, bytes.size()));
  if (seen.unpacks_to_too_much && bytes_max < unpacked_bytes_max()) {
    call_.session().note_unpacked(bytes.size(), bytes_max + 1);
    return std::nullopt;
  }
  unpacked_bytes_ += seen.unpacked_bytes;
  return seen;
}

void ProduceCall::send_off(const BatchHeader& header, base::View bytes, const IncomingRules& rules) {
  const std::shared_ptr<ProduceCall> kept = self();
  call_.session().hold(kept);
  waits_ = std::make_shared<std::monostate>();
  call_.session().shared().unpacker().submit({.header = header,
                                              .batch = base::Slice::copy_of(bytes),
                                              .rules = rules,
                                              .unpacked_bytes_max = unpacked_bytes_max()},
                                             waits_, [this, packed_bytes = bytes.size()](IncomingBatch seen) {
                                               take_in_hand(std::move(seen), packed_bytes);
                                               call_.session().may_go_on();
                                             });
}

size_t ProduceCall::unpacked_bytes_max() const {
  return std::min(limits::kDecompressedBytesMax, limits::kUnpackedRequestBytesMax - unpacked_bytes_);
}

void ProduceCall::take_in_hand(IncomingBatch batch, size_t packed_bytes) {
  waits_.reset();
  if (!batch.unpacks_to_too_much) call_.session().note_unpacked(packed_bytes, batch.unpacked_bytes);
  unpacked_bytes_ += batch.unpacked_bytes;
  in_hand_bytes_ = batch.packed_anew ? batch.packed_anew->size() : 0;
  in_hand_ = std::move(batch);
  call_.broker().hold_ingress(in_hand_bytes_);
}

void ProduceCall::give_up() {
  waits_.reset();
  in_hand_.reset();
  if (in_hand_bytes_ > 0) call_.broker().release_ingress(std::exchange(in_hand_bytes_, 0));
}

void ProduceCall::wait_for_turn() {
  const std::shared_ptr<ProduceCall> kept = self();
  call_.session().hold(kept);
  call_.broker().loop().at_turn_end([waiting = std::weak_ptr(kept)] {
    if (const auto call = waiting.lock()) call->call_.session().may_go_on();
  });
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
  appends_.push_back({reply_to.token.value, &reply});
  ++answers_missing_;
  call_.broker().submit(at.cell, reply_to, std::move(request));
}

void ProduceCall::on_action(broker::Token token, broker::ActionBody&& body) {
  const auto& done = std::get<broker::AppendDone>(body);
  PartitionReply& reply = *std::ranges::lower_bound(appends_, token.value, {}, &Appending::token)->reply;
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
  size_t partitions = 0;
  for (const ProduceRequest::Topic& topic : request.topics) partitions += topic.partitions.size();
  if (partitions > limits::kProducedPartitionsMax) return call.close("a Produce of too many partitions");
  const ErrorCode error = request_error(request);
  if (error != ErrorCode::kNone) return reply_to_all(call, request, error);
  std::make_shared<ProduceCall>(call, request.acks)->run(request, body);
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
