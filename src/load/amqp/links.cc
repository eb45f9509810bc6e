#include "load/amqp/links.h"

#include <fmt/format.h>

#include <algorithm>

namespace polylog::load::amqp {
namespace {

using base::ErrorCode;

std::unexpected<base::Error> malformed() {
  return base::fail(ErrorCode::kMalformed, "the server sends a frame that makes no sense");
}

}  // namespace

// ---- the greeting

Script Script::login(const Login& login, uint32_t& frame_bytes_max) {
  Script script;
  script.steps_.push_back({kConnectionStart, [login](std::string& output, const Frame&) {
                             put_start_ok(output, login.user, login.password);
                           }});
  script.steps_.push_back({kConnectionTune, [&frame_bytes_max](std::string& output, const Frame& tune) {
                             frame_bytes_max = put_tune_ok_and_open(output, tune);
                           }});
  script.steps_.push_back({kConnectionOpenOk, [](std::string& output, const Frame&) { put_channel_open(output); }});
  script.steps_.push_back({kChannelOpenOk, {}});
  return script;
}

Script Script::reply(uint32_t method) {
  Script script;
  script.steps_.push_back({method, {}});
  return script;
}

void Script::ask(uint32_t reply, std::function<void(std::string& output)> say) {
  steps_.back().then = [say = std::move(say)](std::string& output, const Frame&) { say(output); };
  steps_.push_back({reply, {}});
}

base::Result<> Script::on_frame(const Frame& frame, std::string& output) {
  TRY(check_not_closed(frame));
  if (done() || frame.method() != steps_[at_].reply) return {};
  const Step& step = steps_[at_++];
  if (step.then) step.then(output, frame);
  return {};
}

base::Result<> check_not_closed(const Frame& frame) {
  const auto reason = closing(frame);
  if (!reason) return {};
  const auto code = reason->code == kReplyNotFound ? ErrorCode::kNotFound : ErrorCode::kIo;
  return base::fail(code, fmt::format("the server closed: {} {}", reason->code, reason->text));
}

void AmqpLink::greet(std::string& output) {
  ready_ = false;
  script_ = Script::login(login_, frame_bytes_max_);
  add_greeting(script_);
  put_protocol_header(output);
}

base::Result<size_t> AmqpLink::take(std::string_view input, std::string& output, uint64_t now_ns) {
  size_t used = 0;
  while (true) {
    TRY_ASSIGN(const auto frame, next_frame(input.substr(used)));
    if (!frame) break;
    used += frame->size;
    if (ready_) {
      TRY(check_not_closed(*frame));
      TRY(on_frame(*frame, now_ns));
      continue;
    }
    TRY(script_.on_frame(*frame, output));
    if (!script_.done()) continue;
    ready_ = true;
    on_ready();
  }
  on_input_end(output);
  return used;
}

// ---- producer

void AmqpProducer::add_greeting(Script& script) {
  for (const Lane& lane : lanes_) {
    script.ask(kQueueDeclareOk, [&](std::string& output) { put_queue_declare(output, lane.queue, kind_); });
  }
  script.ask(kConfirmSelectOk, put_confirm_select);
}

void AmqpProducer::on_ready() {
  first_tag_ = 1;
  for (Lane& lane : lanes_) {
    lane.message = message_frames(lane.queue, ledger_.plan().message_bytes, kind_.durable, frame_bytes_max_);
  }
}

void AmqpProducer::send_due(std::string& output, uint64_t now_ns) {
  size_t without = 0;  // lanes in a row that had nothing
  while (without < lanes_.size() && sent_.size() < kUnconfirmedMax && output.size() < kOutputBytesTarget) {
    Lane& lane = lanes_[next_lane_++ % lanes_.size()];
    const auto message = ledger_.take(lane.index, now_ns);
    if (!message) {
      without++;
      continue;
    }
    without = 0;
    put_stamp(&lane.message.bytes[lane.message.body_at], ledger_.stamp(lane.index, *message));
    output += lane.message.bytes;
    sent_.push_back({.lane = lane.index, .message = *message});
  }
}

base::Result<> AmqpProducer::on_frame(const Frame& frame, uint64_t now_ns) {
  const uint32_t method = frame.method();
  if (method != kBasicAck && method != kBasicNack) return {};
  const auto confirmed = confirmation(frame);
  if (!confirmed || confirmed->tag >= first_tag_ + sent_.size()) return malformed();
  if (method == kBasicNack) ledger_.on_error("the server refused a message (basic.nack)");
  settle(*confirmed, method == kBasicAck, now_ns);
  return {};
}

void AmqpProducer::settle(const Confirmation& confirmation, bool accepted, uint64_t now_ns) {
  if (confirmation.multiple) {
    for (size_t i = 0; i < sent_.size() && first_tag_ + i <= confirmation.tag; ++i) {
      settle_one(sent_[i], accepted, now_ns);
    }
  } else if (confirmation.tag >= first_tag_) {
    settle_one(sent_[confirmation.tag - first_tag_], accepted, now_ns);
  }
  while (!sent_.empty() && sent_.front().settled) {
    sent_.pop_front();
    first_tag_++;
  }
}

void AmqpProducer::settle_one(Sent& sent, bool accepted, uint64_t now_ns) {
  if (std::exchange(sent.settled, true)) return;
  if (accepted) {
    ledger_.acknowledge(sent.lane, sent.message, now_ns);
  } else {
    ledger_.give_back(sent.lane, {&sent.message, 1});
  }
}

void AmqpProducer::on_down() {
  AmqpLink::on_down();
  for (const Sent& sent : sent_) {
    if (!sent.settled) ledger_.give_back(sent.lane, {&sent.message, 1});
  }
  sent_.clear();
}

// ---- consumer

void AmqpConsumer::add_greeting(Script& script) {
  for (const std::string& queue : queues_) {
    script.ask(kQueueDeclareOk, [&](std::string& output) { put_queue_declare(output, queue, kind_); });
  }
  script.ask(kBasicQosOk, [](std::string& output) { put_qos(output, kPrefetch); });
  for (const std::string& queue : queues_) {
    script.ask(kBasicConsumeOk, [&](std::string& output) { put_consume(output, queue, queue); });
  }
  body_bytes_left_ = tag_ = next_tag_ = acknowledged_tag_ = 0;
}

base::Result<> AmqpConsumer::on_frame(const Frame& frame, uint64_t now_ns) {
  if (frame.type == kFrameHeader) return on_header(frame);
  if (frame.type == kFrameBody) {
    on_body(frame.payload, now_ns);
    return {};
  }
  if (frame.method() == kBasicCancel) return base::fail(ErrorCode::kIo, "the server cancelled the consumer");
  if (frame.method() != kBasicDeliver) return {};
  const auto tag = delivery_tag(frame);
  if (!tag) return malformed();
  next_tag_ = *tag;
  return {};
}

// | class u16 | 0 u16 | body size u64 | ...
base::Result<> AmqpConsumer::on_header(const Frame& frame) {
  if (frame.payload.size() < 12) return malformed();
  body_bytes_left_ = read_u64(frame.payload.substr(4));
  body_begin_.clear();
  return {};
}

void AmqpConsumer::on_body(std::string_view piece, uint64_t now_ns) {
  if (body_begin_.size() < kMessageBytesMin) body_begin_ += piece.substr(0, kMessageBytesMin - body_begin_.size());
  body_bytes_left_ -= std::min<uint64_t>(body_bytes_left_, piece.size());
  if (body_bytes_left_ > 0) return;
  ledger_.receive(body_begin_, now_ns);
  tag_ = next_tag_;
}

void AmqpConsumer::on_input_end(std::string& output) {
  if (tag_ == acknowledged_tag_) return;
  put_ack(output, tag_);
  acknowledged_tag_ = tag_;
}

}  // namespace polylog::load::amqp
