// Consumers of queues.
#include <fmt/format.h>

#include <map>
#include <set>

#include "tests/sim/cast.h"

namespace polylog::sim {
namespace {

using base::Offset;
using broker::ActionBody;
using Range = std::pair<Offset, Offset>;

class Consumer final : public Client {
 public:
  Consumer(Scene& scene, size_t core, uint64_t id, Target queue, bool automatic)
      : Client(scene, core, id), queue_(queue), automatic_(automatic) {
    if (automatic_) model().queue_is_lossy(queue_.partition);
  }
  bool busy() const override {
    return attach_token_ == 0 || !attached_ || !held_.empty() || !settling_.empty() || acquiring_ != 0;
  }
  std::string describe() const override {
    return fmt::format("consumer {} (attached {}) holds {} ranges, waits for {} settles{}", id_, attached_,
                       held_.size(), settling_.size(), acquiring_ != 0 ? " and an entry" : "");
  }

 private:
  void on_up() override { attach(); }
  void attach() {
    const uint32_t credit = random().chance(0.2) ? broker::kUnlimited : static_cast<uint32_t>(random().between(1, 60));
    attach_token_ =
        submit(queue_.cell, broker::AttachRequest{.queue = queue_.partition,
                                                  .auto_settle = automatic_,
                                                  .priority = static_cast<int32_t>(random().below(2)),
                                                  .credit = credit,
                                                  .window_bytes = static_cast<uint32_t>(random().between(1, 60'000))});
  }
  void tick() override {
    if (!attached_) {
      if (attach_token_ == 0) attach();
      return;
    }
    settle_some();
    if (scene_.calm) return;
    if (random().chance(0.01)) return leave();
    if (random().chance(0.005)) return detach();
    if (acquiring_ == 0 && random().chance(0.05))
      acquiring_ = submit(queue_.cell, broker::AcquireRequest{.queue = queue_.partition, .auto_settle = automatic_});
  }
  // Held ranges are settled, refused or given back, in one request of ascending ranges.
  void settle_some() {
    if (held_.empty() || (!scene_.calm && random().chance(0.5))) return;
    using Outcome = broker::SettleRequest::Outcome;
    Outcome outcome = Outcome::kDone;
    if (!scene_.calm && random().chance(0.15)) outcome = Outcome::kReturn;
    if (random().chance(0.05)) outcome = Outcome::kReject;
    for (const bool by_acquire : {false, true}) {
      broker::SettleRequest request{.queue = queue_.partition,
                                    .outcome = outcome,
                                    .ranges = {},
                                    .consumer = broker::Token{by_acquire ? 0 : attach_token_}};
      for (auto it = held_.begin(); it != held_.end();) {
        const bool take = it->second.acquired == by_acquire && (scene_.calm || random().chance(0.7));
        if (!take) {
          ++it;
          continue;
        }
        request.ranges.emplace_back(Offset(it->first), Offset(it->second.last));
        it = held_.erase(it);
      }
      if (!request.ranges.empty()) send(std::move(request));
    }
  }
  void send(broker::SettleRequest request) {
    const bool done = request.outcome != broker::SettleRequest::Outcome::kReturn;
    for (const auto& [first, last] : request.ranges) {
      if (done) {
        model().settle_asked(queue_.partition, first.value, last.value);
      } else {
        model().returned(queue_.partition, first.value, last.value);
      }
    }
    const uint64_t token = new_token();
    settling_[token] = done ? request.ranges : std::vector<Range>{};
    submit_as(token, queue_.cell, std::move(request));
  }
  void give_back_all() {
    for (const bool by_acquire : {false, true}) {
      broker::SettleRequest request{.queue = queue_.partition,
                                    .outcome = broker::SettleRequest::Outcome::kReturn,
                                    .ranges = {},
                                    .consumer = broker::Token{by_acquire ? 0 : attach_token_}};
      for (const auto& [first, held] : held_)
        if (held.acquired == by_acquire) request.ranges.emplace_back(Offset(first), Offset(held.last));
      if (!request.ranges.empty()) send(std::move(request));
    }
    held_.clear();
  }
  // As a session whose connection broke: detaches, and gives back what it holds once no more deliveries can come.
  void leave() {
    leaving_ = true;
    detach();
  }
  void detach() {
    if (acquiring_ != 0) return;  // what it brings would belong to nobody
    attached_ = false;
    submit_as(attach_token_, queue_.cell, broker::DetachRequest{queue_.partition});
  }
  void handle(uint64_t token, ActionBody& body) override {
    if (auto* attach = std::get_if<broker::AttachDone>(&body)) {
      attached_ = attach->result.has_value();
      if (!attached_) attach_token_ = 0;
    } else if (std::holds_alternative<broker::DetachDone>(body)) {
      detached();
    } else if (auto* deliveries = std::get_if<broker::Deliveries>(&body)) {
      uint32_t bytes = 0;
      for (const broker::DeliveryRun& run : deliveries->runs) {
        keep(run, false);
        bytes +=
            static_cast<uint32_t>(run.batch.size()) * run.count / std::max(1u, parse_batch(run.batch.view()).count);
      }
      submit_as(token, queue_.cell, broker::CreditRequest{queue_.partition, std::max(bytes, 1u)});
    } else if (auto* acquired = std::get_if<broker::AcquireDone>(&body)) {
      acquiring_ = 0;
      if (acquired->run && *acquired->run) keep(**acquired->run, true);
    } else if (const auto* settled = std::get_if<broker::SettleDone>(&body)) {
      const auto found = settling_.find(token);
      if (found == settling_.end()) return;
      if (settled->result) {
        for (const auto& [first, last] : found->second)
          model().settle_confirmed(queue_.partition, first.value, last.value);
      }
      settling_.erase(found);
    }
  }
  void detached() {
    attach_token_ = 0;
    if (!std::exchange(leaving_, false)) return;
    give_back_all();
    reopen_session();
  }
  void keep(const broker::DeliveryRun& run, bool acquired) {
    if (run.redelivered) ++scene_.redeliveries;
    model().delivered(queue_.partition, run, core_, id_ + 1, automatic_);
    if (!automatic_) held_[run.first_offset.value] = {run.first_offset.value + run.count - 1, acquired};
  }
  base::PartitionKey queue_of_delivery(uint64_t) const override { return queue_.partition; }
  void on_down() override {
    attached_ = leaving_ = false;
    attach_token_ = acquiring_ = 0;
    held_.clear();
    settling_.clear();
  }

  struct Held {
    int64_t last;
    bool acquired;
  };
  const Target queue_;
  const bool automatic_;
  bool attached_ = false, leaving_ = false;
  uint64_t attach_token_ = 0, acquiring_ = 0;
  std::map<int64_t, Held> held_;  // by first offset
  std::map<uint64_t, std::vector<Range>> settling_;
};

}  // namespace

std::unique_ptr<Client> make_consumer(Scene& scene, size_t core, uint64_t id, Target queue, bool automatic) {
  return std::make_unique<Consumer>(scene, core, id, queue, automatic);
}

}  // namespace polylog::sim
