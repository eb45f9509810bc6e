#include "protocol/amqp/consumer.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/amqp/arguments.h"
#include "protocol/amqp/connection.h"
#include "protocol/amqp/delivery_writer.h"
#include "protocol/amqp/mapping.h"
#include "protocol/amqp/run_reader.h"

namespace polylog::amqp {
namespace {

using base::OffsetCount;
using broker::SettleRequest;

constexpr uint32_t kWindowBytes = 1 * base::limits::kMiB;
constexpr uint32_t kCreditStepBytes = kWindowBytes / 4;  // given back in such portions

uint32_t credit_of(uint16_t prefetch) { return prefetch == 0 ? broker::kUnlimited : prefetch; }

}  // namespace

// ---- consumers

Consumer* Consumers::find(std::string_view tag) {
  const auto found = std::ranges::find_if(consumers_, [&](const auto& consumer) { return consumer->tag == tag; });
  return found == consumers_.end() ? nullptr : found->get();
}

Consumer* Consumers::find(broker::Token token) {
  const auto found = std::ranges::find_if(consumers_, [&](const auto& consumer) { return consumer->token == token; });
  return found == consumers_.end() ? nullptr : found->get();
}

Consumer& Consumers::add(Consumer consumer) {
  consumer.token = channel_.session().make_token(channel_.number(), TokenKind::kConsumer);
  consumer.holder = add_holder(consumer.queue, consumer.cell, consumer.token);
  consumers_.push_back(std::make_unique<Consumer>(std::move(consumer)));
  return *consumers_.back();
}

void Consumers::attach(Consumer& consumer, bool exclusive, int32_t priority) {
  if (shared_prefetch_set_) set_pool(consumer.cell, credit_of(shared_prefetch_));
  channel_.session().submit(consumer.cell, consumer.token,
                            broker::AttachRequest{.queue = consumer.queue,
                                                  .auto_settle = consumer.no_ack,
                                                  .exclusive = exclusive,
                                                  .priority = priority,
                                                  .credit = credit_of(prefetch_),
                                                  .pool = channel_.pool(),
                                                  .window_bytes = kWindowBytes});
}

void Consumers::read_stream(Consumer& consumer) {
  consumer.stream = std::make_unique<StreamConsumer>(channel_, consumer, prefetch_);
  holders_[consumer.holder].is_stream = true;
}

void Consumers::announce(broker::Token token) {
  Consumer* consumer = find(token);
  if (consumer == nullptr) return;
  consumer->announced = true;
  for (broker::Deliveries& deliveries : std::exchange(consumer->early, {})) on_deliveries(*consumer, deliveries);
}

void Consumers::remove(broker::Token token) {
  const auto found = std::ranges::find_if(consumers_, [&](const auto& consumer) { return consumer->token == token; });
  if (found == consumers_.end()) return;
  holders_[(*found)->holder].in_use = false;
  consumers_.erase(found);
}

void Consumers::set_shared_prefetch(uint16_t count) {
  shared_prefetch_ = count;
  shared_prefetch_set_ = true;
  std::vector<base::CellId> told;
  for (const auto& consumer : consumers_) {
    if (consumer->stream || std::ranges::find(told, consumer->cell) != told.end()) continue;
    told.push_back(consumer->cell);
    set_pool(consumer->cell, credit_of(count));
  }
}

void Consumers::set_pool(base::CellId cell, uint32_t credit) {
  channel_.session().submit(cell, channel_.session().make_token(channel_.number(), TokenKind::kCall),
                            broker::PoolRequest{.pool = channel_.pool(), .credit = credit});
}

uint32_t Consumers::add_holder(base::PartitionKey queue, base::CellId cell, broker::Token consumer) {
  const Holder fresh{queue, cell, consumer};
  for (uint32_t i = 0; i < holders_.size(); ++i) {
    if (holders_[i].in_use || holders_[i].open > 0) continue;
    if (std::ranges::find(groups_, i, &Group::holder) != groups_.end()) continue;
    holders_[i] = fresh;
    return i;
  }
  holders_.push_back(fresh);
  return static_cast<uint32_t>(holders_.size() - 1);
}

// ---- deliveries

void Consumers::on_deliveries(Consumer& consumer, broker::Deliveries& deliveries) {
  if (!consumer.announced) {
    consumer.early.push_back(std::move(deliveries));
    return;
  }
  const broker::Token token = consumer.token;
  for (const broker::DeliveryRun& run : deliveries.runs) {
    if (find(token) == nullptr) return;  // delivering closed the channel
    deliver(consumer, run);
  }
  if (find(token) != nullptr) give_credit(consumer);
}

void Consumers::deliver(Consumer& consumer, const broker::DeliveryRun& run) {
  Session& session = channel_.session();
  bool fits = true;
  {
    DeliveryWriter writer({session.out(), channel_.number(), session.frame_max(), consumer.tag});
    const bool readable = for_each_record(session.broker().encodings(), run, consumer.queue_name,
                                          [&](base::Offset offset, const RecordView& record, const base::Slice& owner) {
                                            const uint64_t tag = consumer.no_ack ? tags_.push_settled()
                                                                                 : tags_.push(offset, consumer.holder);
                                            if (!consumer.no_ack) ++holders_[consumer.holder].open;
                                            fits = fits && writer.add(tag, run.redelivered, record, owner);
                                          });
    if (!readable) fits = false;
  }
  session.wrote();
  session.metrics().messages_sent.add(run.count);
  consumer.uncredited_bytes += window_bytes_of(run);
  if (!fits) {
    channel_.raise(
        {ReplyCode::kPreconditionFailed, fmt::format("a message of {} does not fit the negotiated frame_max {}",
                                                     describe_queue(consumer.queue_name, "/"), session.frame_max())});
  }
}

bool Consumers::deliver_from_stream(Consumer& consumer, base::Offset offset, const RecordView& record,
                                    const base::Slice& owner) {
  base::Writer properties;
  encode_with_stream_offset(properties, record.properties, offset);
  RecordView marked = record;
  marked.properties = properties.view();
  Session& session = channel_.session();
  DeliveryWriter writer({session.out(), channel_.number(), session.frame_max(), consumer.tag});
  const uint64_t tag = tags_.push(offset, consumer.holder);
  ++holders_[consumer.holder].open;
  session.wrote();
  session.metrics().messages_sent.add();
  return writer.add(tag, false, marked, owner);
}

void Consumers::give_credit(Consumer& consumer) {
  if (consumer.uncredited_bytes < kCreditStepBytes) return;
  Session& session = channel_.session();
  if (session.output_is_long()) return session.tell_output_room();
  const auto bytes = static_cast<uint32_t>(std::min<uint64_t>(consumer.uncredited_bytes, UINT32_MAX));
  consumer.uncredited_bytes -= bytes;
  session.submit(consumer.cell, consumer.token, broker::CreditRequest{.queue = consumer.queue, .bytes = bytes});
}

void Consumers::on_output_room() {
  for (size_t i = 0; i < consumers_.size(); ++i) {
    if (consumers_[i]->stream) {
      consumers_[i]->stream->pump();
    } else {
      give_credit(*consumers_[i]);
    }
  }
}

void Consumers::on_gone(Consumer& consumer) {
  const std::string tag = consumer.tag;
  Session& session = channel_.session();
  if (session.client_takes_cancel()) {
    session.send(channel_.number(), BasicCancel{.consumer_tag = tag, .no_wait = true});
  }
  remove(consumer.token);
}

uint64_t Consumers::take(base::PartitionKey queue, base::CellId cell, base::Offset offset, bool no_ack) {
  if (no_ack) return tags_.push_settled();
  for (uint32_t i = 0; i < holders_.size(); ++i) {
    Holder& holder = holders_[i];
    if (holder.queue != queue || holder.consumer != broker::Token{} || holder.open == 0) continue;
    ++holder.open;
    return tags_.push(offset, i);
  }
  const uint32_t index = add_holder(queue, cell, {});
  holders_[index].open = 1;
  holders_[index].in_use = false;
  return tags_.push(offset, index);
}

// ---- settlement

Outcome Consumers::settle(uint64_t tag, bool multiple, SettleOutcome outcome) {
  const bool all = multiple && tag == 0;
  if (!all && !tags_.is_open(tag)) {
    return refuse(ReplyCode::kPreconditionFailed, fmt::format("unknown delivery tag {}", tag));
  }
  const uint64_t last = all ? tags_.next() - 1 : tag;
  for (uint64_t at = multiple ? tags_.base() : tag; at <= last; ++at) {
    if (tags_.is_open(at)) settle_one(at, outcome);
  }
  tags_.trim();
  channel_.session().touch(channel_.number());
  return {};
}

void Consumers::settle_one(uint64_t tag, SettleOutcome outcome) {
  if (channel_.publisher().in_tx()) {
    tags_.set(tag, TagRing::State::kTaken);
    taken_.push_back({tag, outcome});
  } else {
    collect(tag, outcome);
  }
}

void Consumers::collect(uint64_t tag, SettleOutcome outcome) {
  const TagRing::Entry entry = tags_[tag];
  tags_.set(tag, TagRing::State::kSettled);
  --holders_[entry.holder].open;
  Group& to = group(entry.holder, outcome);
  ++to.count;
  if (!to.ranges.empty() && to.ranges.back().second.next() == entry.offset) {
    to.ranges.back().second = entry.offset;
  } else {
    to.ranges.emplace_back(entry.offset, entry.offset);
  }
}

Consumers::Group& Consumers::group(uint32_t holder, SettleOutcome outcome) {
  for (Group& group : groups_) {
    if (group.holder == holder && group.outcome == outcome) return group;
  }
  groups_.push_back({holder, outcome, {}});
  return groups_.back();
}

void Consumers::flush() {
  if (groups_.empty()) return;
  for (Group& group : std::exchange(groups_, {})) {
    const Holder& holder = holders_[group.holder];
    Consumer* consumer = holder.in_use ? find(holder.consumer) : nullptr;
    if (consumer != nullptr && consumer->stream) {  // a stream keeps everything: an ack is credit
      consumer->stream->add_credit(group.count);
      continue;
    }
    if (holder.is_stream) continue;
    std::ranges::sort(group.ranges);
    const TokenKind kind = group.outcome == SettleOutcome::kReturn ? TokenKind::kReturn : TokenKind::kSettle;
    const broker::Token token = channel_.session().make_token(channel_.number(), kind);
    channel_.session().submit(holder.cell, token,
                              SettleRequest{.queue = holder.queue,
                                            .outcome = group.outcome,
                                            .ranges = std::move(group.ranges),
                                            .consumer = holder.consumer});
    ++settles_open_;
  }
}

// An acknowledgement that may not last is no success of whatever the client asks next. What goes back to its queue would be
// delivered again in any case.
Outcome Consumers::on_settle_done(broker::Token token, const broker::SettleDone& done) {
  --settles_open_;
  if (done.result || kind_of(token) == TokenKind::kReturn) return {};
  return std::unexpected(to_fault(done.result.error(), "acknowledgements"));
}

void Consumers::return_all() {
  for (uint64_t tag = tags_.base(); tag < tags_.next(); ++tag) {
    if (tags_.is_open(tag)) collect(tag, SettleOutcome::kReturn);
  }
  tags_.trim();
  flush();
}

void Consumers::commit() {
  for (const Taken& taken : taken_) collect(taken.tag, taken.outcome);
  taken_.clear();
  tags_.trim();
  flush();
}

void Consumers::rollback() {
  for (const Taken& taken : taken_) tags_.set(taken.tag, TagRing::State::kOpen);
  taken_.clear();
}

// ---- the end

void Consumers::detach(Consumer& consumer) {
  Session& session = channel_.session();
  if (consumer.stream) return consumer.stream->stop();
  for (const broker::Deliveries& deliveries : consumer.early) {
    for (const broker::DeliveryRun& run : deliveries.runs) {
      if (consumer.no_ack) continue;
      for (uint32_t i = 0; i < run.count; ++i) {
        tags_.push(run.first_offset + OffsetCount(i), consumer.holder);
        ++holders_[consumer.holder].open;
      }
    }
  }
  session.submit(consumer.cell, consumer.token, broker::DetachRequest{.queue = consumer.queue});
  session.adopt({consumer.token, consumer.queue, consumer.cell, consumer.token, consumer.no_ack});
}

// Detaching comes first, so that what is returned is not handed to the consumer that goes.
void Consumers::tear_down(Ending ending) {
  flush();
  rollback();
  for (const auto& consumer : consumers_) detach(*consumer);
  if (shared_prefetch_set_) {
    for (const auto& consumer : consumers_) set_pool(consumer->cell, broker::kUnlimited);
  }
  for (const auto& consumer : consumers_) holders_[consumer->holder].in_use = false;
  consumers_.clear();
  if (ending == Ending::kChannel) return_all();
}

}  // namespace polylog::amqp
