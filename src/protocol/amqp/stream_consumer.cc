#include "protocol/amqp/stream_consumer.h"

#include <fmt/format.h>

#include "protocol/amqp/arguments.h"
#include "protocol/amqp/connection.h"
#include "protocol/amqp/run_reader.h"

namespace polylog::amqp {
namespace {

constexpr int64_t kMsPerSecond = 1000;

}  // namespace

std::expected<StreamStart, Fault> parse_stream_start(std::string_view object, base::View arguments,
                                                     base::WallTime now) {
  using What = StreamStart::What;
  const auto value = find(arguments, "x-stream-offset");
  if (!value) return StreamStart{};
  if (value->is_integer() && value->integer >= 0) return StreamStart{What::kOffset, value->integer};
  if (value->type == FieldType::kTimestamp) return StreamStart{What::kTime, value->integer * kMsPerSecond};
  if (value->is_text()) {
    const std::string_view text = value->text();
    if (text == "first") return StreamStart{What::kFirst, 0};
    if (text == "last") return StreamStart{What::kLast, 0};
    if (text == "next") return StreamStart{What::kNext, 0};
    if (const auto age_ms = parse_max_age_ms(text)) return StreamStart{What::kTime, now.ms - *age_ms};
  }
  return std::unexpected(Fault{ReplyCode::kPreconditionFailed,
                               fmt::format("invalid arg 'x-stream-offset' for {}: '{}'", object, to_text(*value))});
}

StreamConsumer::StreamConsumer(Channel& channel, Consumer& consumer, uint32_t credit)
    : channel_(channel), consumer_(consumer), credit_(credit) {}

void StreamConsumer::start(base::Offset from, bool whole_batch) {
  next_ = asked_ = from;
  whole_batch_ = whole_batch;
  started_ = true;
  pump();
}

void StreamConsumer::add_credit(uint32_t count) {
  credit_ += count;
  pump();
}

bool StreamConsumer::may_send() const { return credit_ > 0 && !channel_.session().output_is_long(); }

// Sends what was read, then reads on. After a fault this object is gone.
void StreamConsumer::pump() {
  if (!started_ || pumping_) return;
  pumping_ = true;
  while (batch_ < batches_.size() && may_send()) {
    if (Outcome outcome = send_batch(batches_[batch_]); !outcome) return channel_.raise(outcome.error());
  }
  pumping_ = false;
  if (channel_.session().output_is_long()) channel_.session().tell_output_room();
  if (batch_ < batches_.size()) return;
  batches_.clear();
  batch_ = 0;
  if (!reading_ && may_send()) read();
}

void StreamConsumer::read() {
  reading_ = true;
  broker::ReadRequest request{.items = {}, .bytes_max = kStreamReadBytes, .watch = true};
  request.items.push_back({consumer_.queue, next_, kStreamReadBytes});
  channel_.session().submit(consumer_.cell, consumer_.token, std::move(request));
}

void StreamConsumer::on_read(broker::ReadDone& done) {
  if (done.items.empty()) return;
  broker::ReadDone::Item& item = done.items.front();
  if (item.error) {
    reading_ = false;
    if (*item.error != base::ErrorCode::kOutOfRange) return channel_.consumers().on_gone(consumer_);
    next_ = next_ < item.start ? item.start : item.committed;  // trimmed meanwhile, or not written yet
    return pump();
  }
  if (item.batches.empty()) return;  // Readable will come
  reading_ = false;
  if (std::exchange(whole_batch_, false)) next_ = asked_ = item.batches.front().base_offset;
  batches_ = std::move(item.batches);
  batch_ = 0;
  pump();
}

void StreamConsumer::on_readable() {
  reading_ = false;
  pump();
}

// Sends as much of the batch as there is credit for.
Outcome StreamConsumer::send_batch(const broker::ReadBatch& batch) {
  const base::Offset end = batch.base_offset + base::OffsetCount(batch.count);
  bool fits = true, ended = true;
  const base::Result<> readable =
      for_each_record(channel_.session().broker().encodings(), batch, next_, consumer_.queue_name,
                      [&](base::Offset offset, const RecordView& record, const base::Slice& owner) {
                        if (credit_ == 0) return ended = false;
                        next_ = offset.next();
                        if (offset < asked_) return true;
                        --credit_;
                        return fits = channel_.consumers().deliver_from_stream(consumer_, offset, record, owner);
                      });
  const auto object = [&] {
    return fmt::format("offset {} of {}", next_.value, describe_queue(consumer_.queue_name, "/"));
  };
  if (!readable && ended) return std::unexpected(to_fault(readable.error(), object()));
  if (!fits) return refuse(ReplyCode::kInternalError, object() + ": its head does not fit a frame");
  if (ended) {
    next_ = std::max(next_, end);
    ++batch_;
  }
  return {};
}

void StreamConsumer::stop() {
  started_ = false;
  if (reading_) channel_.session().submit(consumer_.cell, consumer_.token, broker::UnwatchRequest{});
}

}  // namespace polylog::amqp
