#include "tests/sim/client.h"

namespace polylog::sim {

using broker::Action;
using broker::ActionBody;

base::CellId Scene::cell_of(const base::PartitionKey& partition) const {
  for (const auto* list : {&streams, &queues, &passing})
    for (const Target& target : *list)
      if (target.partition == partition) return target.cell;
  return base::CellId(0);
}

void Client::node_up() {
  up_ = true;
  session_ = broker().add_session(*this);
  on_up();
  arm();
}

void Client::node_down() {
  if (!up_) return;
  up_ = false;
  held_.reset();
  on_down();
}

void Client::close() {
  if (!up_) return;
  broker().remove_session(session_);
  node_down();
}

void Client::reopen_session() {
  broker().remove_session(session_);
  held_.reset();
  on_down();
  session_ = broker().add_session(*this);
  on_up();
  arm();
}

void Client::arm() {
  const base::Duration wait = std::chrono::microseconds(random().between(10, tick_us_max_));
  io::Loop& loop = scene_.world.loops().loop(core_);
  loop.call_at(loop.now() + wait, [this, alive = std::weak_ptr(alive_), session = session_] {
    if (alive.expired() || !up_ || session != session_) return;
    tick();
    arm();
  });
}

uint64_t Client::submit(base::CellId cell, broker::CellRequest request) {
  const uint64_t token = new_token();
  submit_as(token, cell, std::move(request));
  return token;
}

void Client::submit_as(uint64_t token, base::CellId cell, broker::CellRequest request) {
  ++scene_.requests;
  if (scene_.world.bug() != Bug::kNone && tamper_request(token, cell, request)) return;
  broker().submit(cell, reply_to(token), std::move(request));
}

uint64_t Client::change_catalog(broker::CatalogRequest request) {
  const uint64_t token = new_token();
  ++scene_.requests;
  if (scene_.world.bug() == Bug::kForgetCatalog && std::holds_alternative<broker::DeleteStream>(request)) {
    ++scene_.tampered;
    answer_self(token, broker::CatalogDone{});
  } else {
    broker().change_catalog(reply_to(token), std::move(request));
  }
  return token;
}

void Client::on_action(Action action) {
  if (!up_ || action.to.session != session_) return;
  ++scene_.answers;
  const uint64_t token = action.to.token.value;
  if (!std::holds_alternative<broker::Deliveries>(action.body) &&
      !std::holds_alternative<broker::Readable>(action.body)) {
    if (token < newest_answered_) ++scene_.overtakings;
    newest_answered_ = std::max(newest_answered_, token);
  }
  if (scene_.world.bug() != Bug::kNone && tamper_action(action)) return;
  handle(token, action.body);
  if (held_ && std::holds_alternative<broker::Deliveries>(action.body)) {
    Action late = std::move(*held_);
    held_.reset();
    handle(late.to.token.value, late.body);
  }
}

// ---- planted bugs

void Client::answer_self(uint64_t token, ActionBody body) {
  io::Loop& loop = scene_.world.loops().loop(core_);
  loop.call_at(loop.now() + std::chrono::milliseconds(1),
               [this, alive = std::weak_ptr(alive_), session = session_, token, b = std::move(body)]() mutable {
                 if (!alive.expired() && up_ && session == session_) handle(token, b);
               });
}

bool Client::tamper_request(uint64_t token, base::CellId cell, broker::CellRequest& request) {
  const Bug bug = scene_.world.bug();
  if (bug == Bug::kLoseSettle) {
    const auto* settle = std::get_if<broker::SettleRequest>(&request);
    if (settle == nullptr || settle->outcome == broker::SettleRequest::Outcome::kReturn || !random().chance(0.1))
      return false;
    ++scene_.tampered;
    answer_self(token, broker::SettleDone{});
    return true;
  }
  if (bug != Bug::kRepeatCommit) return false;
  auto* group = std::get_if<broker::GroupRequest>(&request);
  auto* commit = group == nullptr ? nullptr : std::get_if<broker::CommitRequest>(group);
  if (commit == nullptr || commit->generation >= 0) return false;
  if (old_commit_ && random().chance(0.05)) {
    ++scene_.tampered;
    broker::CommitRequest again = *old_commit_;
    broker().submit(cell, reply_to(token), std::move(request));
    broker().submit(cell, reply_to(new_token()), broker::GroupRequest(std::move(again)));
    return true;
  }
  old_commit_ = *commit;
  return false;
}

namespace {
broker::ReconcileReply* reconciled(Action& action) {
  auto* reply = std::get_if<broker::GroupReply>(&action.body);
  return reply == nullptr ? nullptr : std::get_if<broker::ReconcileReply>(reply);
}
}  // namespace

bool Client::tamper_action(Action& action) {
  switch (scene_.world.bug()) {
    case Bug::kShiftOffset:
      if (auto* done = std::get_if<broker::AppendDone>(&action.body);
          done && done->base_offset && random().chance(0.01)) {
        ++scene_.tampered;
        done->base_offset = done->base_offset->next();
      }
      return false;
    case Bug::kForgetDelivered:
      if (auto* deliveries = std::get_if<broker::Deliveries>(&action.body))
        for (broker::DeliveryRun& run : deliveries->runs) {
          scene_.tampered += run.redelivered ? 1 : 0;
          run.redelivered = false;
        }
      return false;
    case Bug::kSwallowDelivery:
      if (auto* deliveries = std::get_if<broker::Deliveries>(&action.body); deliveries && random().chance(0.05)) {
        ++scene_.tampered;
        for (const broker::DeliveryRun& run : deliveries->runs) {
          const base::PartitionKey queue = queue_of_delivery(action.to.token.value);
          submit(
              scene_.cell_of(queue),
              broker::SettleRequest{.queue = queue,
                                    .ranges = {{run.first_offset, run.first_offset + base::OffsetCount(run.count - 1)}},
                                    .consumer = action.to.token});
        }
        return true;
      }
      return false;
    case Bug::kSwapDeliveries:
      if (std::holds_alternative<broker::Deliveries>(action.body) && !held_ && random().chance(0.1)) {
        ++scene_.tampered;
        held_ = std::move(action);
        return true;
      }
      return false;
    case Bug::kFlipByte:
      if (auto* read = std::get_if<broker::ReadDone>(&action.body); read && random().chance(0.01))
        for (broker::ReadDone::Item& item : read->items)
          for (broker::ReadBatch& batch : item.batches) {
            ++scene_.tampered;
            std::vector<uint8_t> bytes(batch.bytes.data(), batch.bytes.data() + batch.bytes.size());
            bytes[bytes.size() - 1 - random().below(bytes.size() / 2)] ^= 4;
            batch.bytes = base::Slice::copy_of(bytes);
          }
      return false;
    case Bug::kReuseGeneration:
      if (auto* reply = std::get_if<broker::GroupReply>(&action.body))
        if (auto* join = std::get_if<broker::JoinReply>(reply); join && join->generation > 2 && random().chance(0.3)) {
          ++scene_.tampered;
          join->generation -= 2;
        }
      return false;
    case Bug::kShareOwnership:
      if (broker::ReconcileReply* told = reconciled(action); told && told->assignment && random().chance(0.1)) {
        ++scene_.tampered;
        told->assignment = {scene_.streams.front().partition};
      }
      return false;
    case Bug::kReuseEpoch:
      if (broker::ReconcileReply* told = reconciled(action); told && told->epoch > 2 && random().chance(0.1)) {
        ++scene_.tampered;
        told->epoch -= 1;
      }
      return false;
    default: return false;
  }
}

}  // namespace polylog::sim
