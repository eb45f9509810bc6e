// Methods of class basic.
#include <fmt/format.h>

#include "protocol/amqp/commands.h"
#include "protocol/amqp/connection.h"
#include "protocol/amqp/queue_lookup.h"
#include "protocol/amqp/run_reader.h"

namespace polylog::amqp {
namespace {

using SettleOutcome = Consumers::SettleOutcome;
using OffsetWhat = broker::FindOffsetRequest::What;
constexpr std::string_view kConsumerTagPrefix = "amq.ctag-";

SettleOutcome outcome_of(bool requeue) { return requeue ? SettleOutcome::kReturn : SettleOutcome::kReject; }

void confirm_consume(Channel& channel, broker::Token token, const std::string& tag, bool no_wait) {
  channel.answer_with([&channel, token, tag, no_wait] {
    if (!no_wait) channel.session().send(channel.number(), BasicConsumeOk{.consumer_tag = tag});
    channel.consumers().announce(token);
  });
}

// ---- queues

Outcome consume_queue(Channel& channel, Consumer wanted, const Record& record, const BasicConsume& m) {
  const auto priority = find(m.arguments, "x-priority");
  if (priority && !priority->is_integer()) {
    return refuse(ReplyCode::kPreconditionFailed, fmt::format("invalid arg 'x-priority' for {}", describe(*record)));
  }
  Consumer& consumer = channel.consumers().add(std::move(wanted));
  const broker::Token token = consumer.token;
  // Quorum queues know no exclusive consumers.
  const bool exclusive = m.exclusive && type_of(*record) != QueueType::kQuorum;
  channel.consumers().attach(consumer, exclusive, priority ? static_cast<int32_t>(priority->integer) : 0);
  channel.await(
      token, [&channel, record, token, tag = consumer.tag, no_wait = m.no_wait](broker::ActionBody& answer) -> Outcome {
        const auto& result = std::get<broker::AttachDone>(answer).result;
        if (result) {
          confirm_consume(channel, token, tag, no_wait);
          return {};
        }
        channel.consumers().remove(token);
        if (result.error().code == base::ErrorCode::kInUse) {
          return refuse(ReplyCode::kAccessRefused, describe(*record) + " in exclusive use");
        }
        return std::unexpected(to_fault(result.error(), describe(*record)));
      });
  return {};
}

// ---- streams

broker::FindOffsetRequest locate(const Record& record, const StreamStart& start) {
  broker::FindOffsetRequest request{.partition = record->key(), .what = OffsetWhat::kCommitted, .time = {}};
  switch (start.what) {
    case StreamStart::What::kFirst: request.what = OffsetWhat::kStart; break;
    case StreamStart::What::kTime:
      request.what = OffsetWhat::kTime;
      request.time = {start.value};
      break;
    case StreamStart::What::kLast:
    case StreamStart::What::kNext:
    case StreamStart::What::kOffset: break;
  }
  return request;
}

// `found`: what locate() gave; nothing that young is as good as "next".
void start_stream(Channel& channel, broker::Token token, const StreamStart& start, base::Offset found) {
  Consumer* consumer = channel.consumers().find(token);
  if (consumer == nullptr) return;
  base::Offset from = found;
  if (start.what == StreamStart::What::kOffset) from = base::Offset(start.value);
  if (start.what == StreamStart::What::kLast && from > base::Offset(0)) from = from - base::OffsetCount(1);
  consumer->announced = true;
  consumer->stream->start(from, start.what == StreamStart::What::kLast);
}

Outcome await_start(Channel& channel, const Record& record, broker::Token token, StreamStart start, bool no_wait) {
  channel.ask(record->partitions[0], locate(record, start),
              [&channel, record, token, start, no_wait](broker::ActionBody& answer) mutable -> Outcome {
                const auto& offset = std::get<broker::FindOffsetDone>(answer).offset;
                if (!offset) return std::unexpected(to_fault(offset.error(), describe(*record)));
                if (*offset < base::Offset(0)) {
                  return await_start(channel, record, token, {StreamStart::What::kNext, 0}, no_wait);
                }
                channel.answer_with([&channel, token, start, no_wait, found = *offset] {
                  Consumer* consumer = channel.consumers().find(token);
                  if (consumer == nullptr) return;
                  if (!no_wait) channel.session().send(channel.number(), BasicConsumeOk{.consumer_tag = consumer->tag});
                  start_stream(channel, token, start, found);
                });
                return {};
              });
  return {};
}

Outcome consume_stream(Channel& channel, Consumer wanted, const Record& record, const BasicConsume& m) {
  const std::string object = describe(*record);
  if (record->partitions.size() > 1) {
    return std::unexpected(not_implemented(
        fmt::format("consuming from {}, a stream of {} partitions", object, record->partitions.size())));
  }
  if (m.no_ack) {
    return std::unexpected(
        not_implemented(fmt::format("automatic acknowledgement not supported by stream {}", object)));
  }
  if (channel.consumers().prefetch() == 0) {
    return refuse(ReplyCode::kPreconditionFailed,
                  fmt::format("consumer prefetch count is not set for stream {}", object));
  }
  const auto start = parse_stream_start(object, m.arguments, channel.session().broker().loop().wall_now());
  if (!start) return std::unexpected(start.error());
  Consumer& consumer = channel.consumers().add(std::move(wanted));
  channel.consumers().read_stream(consumer);
  return await_start(channel, record, consumer.token, *start, m.no_wait);
}

// ---- get

void answer_get(Channel& channel, const Record& record, const broker::DeliveryRun& run, uint32_t left, bool no_ack) {
  const uint64_t tag = channel.consumers().take(record->key(), record->partitions[0], run.first_offset, no_ack);
  channel.answer_with([&channel, record, run, left, tag] {
    Session& session = channel.session();
    const auto write = [&](base::Offset, const RecordView& message, const base::Slice& owner) {
      const base::Slice body =
          owner.empty() ? base::Slice::copy_of(message.body)
                        : owner.sub(static_cast<size_t>(message.body.data() - owner.data()), message.body.size());
      write_message(session.out(), Session::scratch(), channel.number(),
                    BasicGetOk{.delivery_tag = tag,
                               .redelivered = run.redelivered,
                               .exchange = message.exchange,
                               .routing_key = message.routing_key,
                               .message_count = left},
                    message.properties, body, session.frame_max());
    };
    if (!for_each_record(session.broker().encodings(), run, record->name, write)) {
      return channel.raise({ReplyCode::kInternalError, "cannot read a message of " + describe(*record)});
    }
    session.metrics().messages_sent.add();
    session.wrote();
  });
}

}  // namespace

Outcome on_qos(Channel& channel, const BasicQos& m) {
  if (m.prefetch_size != 0) {
    return std::unexpected(not_implemented(fmt::format("prefetch_size!=0 ({})", m.prefetch_size)));
  }
  if (m.global) {
    channel.consumers().set_shared_prefetch(m.prefetch_count);
  } else {
    channel.consumers().set_prefetch(m.prefetch_count);
  }
  channel.answer(BasicQosOk{});
  return {};
}

Outcome on_consume(Channel& channel, const BasicConsume& m) {
  if (!is_valid_table(m.arguments)) return refuse(ReplyCode::kSyntaxError, "cannot decode the consumer's arguments");
  const auto found = find_queue(channel, m.queue);
  if (!found) return std::unexpected(found.error());
  const Record& record = *found;
  Consumer wanted;
  wanted.tag = m.consumer_tag.empty() ? random_name(kConsumerTagPrefix) : std::string(m.consumer_tag);
  if (channel.consumers().find(wanted.tag) != nullptr) {
    return refuse(ReplyCode::kNotAllowed, fmt::format("attempt to reuse consumer tag '{}'", wanted.tag));
  }
  wanted.queue_name = record->name;
  wanted.queue = record->key();
  wanted.cell = record->partitions[0];
  wanted.no_ack = m.no_ack;
  if (record->kind == broker::StreamKind::kStream) return consume_stream(channel, std::move(wanted), record, m);
  return consume_queue(channel, std::move(wanted), record, m);
}

Outcome on_cancel(Channel& channel, const BasicCancel& m) {
  const std::string tag(m.consumer_tag);
  Consumer* consumer = channel.consumers().find(tag);
  if (consumer == nullptr || consumer->stream) {
    if (consumer != nullptr) {
      consumer->stream->stop();
      channel.consumers().remove(consumer->token);
    }
    channel.answer(BasicCancelOk{.consumer_tag = tag}, m.no_wait);
    return {};
  }
  const broker::Token token = consumer->token;
  channel.session().submit(consumer->cell, token, broker::DetachRequest{consumer->queue});
  channel.await(token, [&channel, token, tag, no_wait = m.no_wait](broker::ActionBody&) -> Outcome {
    channel.consumers().remove(token);
    channel.answer(BasicCancelOk{.consumer_tag = tag}, no_wait);
    return {};
  });
  return {};
}

Outcome on_cancel_ok(Channel&, const BasicCancelOk&) { return {}; }  // answers our own cancel

Outcome on_publish(Channel& channel, const BasicPublish& m) { return channel.publisher().begin(m); }

Outcome on_get(Channel& channel, const BasicGet& m) {
  const auto found = find_queue(channel, m.queue);
  if (!found) return std::unexpected(found.error());
  const Record record = *found;
  if (record->kind == broker::StreamKind::kStream) {
    return std::unexpected(not_implemented(fmt::format("basic.get not supported by stream {}", describe(*record))));
  }
  const Orphan where{
      .token = {}, .queue = record->key(), .cell = record->partitions[0], .consumer = {}, .auto_settle = m.no_ack};
  channel.ask_acquire(where, {.queue = record->key(), .auto_settle = m.no_ack},
                      [&channel, record, no_ack = m.no_ack](broker::ActionBody& answer) -> Outcome {
                        const auto& done = std::get<broker::AcquireDone>(answer);
                        if (!done.run) return std::unexpected(to_fault(done.run.error(), describe(*record)));
                        if (*done.run) {
                          answer_get(channel, record, **done.run, done.ready_left, no_ack);
                        } else {
                          channel.answer(BasicGetEmpty{});
                        }
                        return {};
                      });
  return {};
}

Outcome on_ack(Channel& channel, const BasicAck& m) {
  return channel.consumers().settle(m.delivery_tag, m.multiple, SettleOutcome::kDone);
}

Outcome on_nack(Channel& channel, const BasicNack& m) {
  return channel.consumers().settle(m.delivery_tag, m.multiple, outcome_of(m.requeue));
}

Outcome on_reject(Channel& channel, const BasicReject& m) {
  return channel.consumers().settle(m.delivery_tag, false, outcome_of(m.requeue));
}

Outcome on_recover(Channel& channel, const BasicRecover& m) {
  if (!m.requeue) return std::unexpected(not_implemented("requeue=false"));
  channel.consumers().return_all();
  channel.answer(BasicRecoverOk{});
  return {};
}

Outcome on_recover_async(Channel& channel, const BasicRecoverAsync& m) {
  if (!m.requeue) return std::unexpected(not_implemented("requeue=false"));
  channel.consumers().return_all();
  return {};
}

}  // namespace polylog::amqp
