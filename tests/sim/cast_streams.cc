// Producers and readers.
#include <fmt/format.h>

#include <deque>
#include <map>

#include "tests/sim/cast.h"

namespace polylog::sim {
namespace {

using base::ErrorCode;
using broker::ActionBody;

// Refused for good: the operation never happened. kIo says nothing about the outcome.
bool is_final(ErrorCode code) {
  return code == ErrorCode::kDiskFull || code == ErrorCode::kOverloaded || code == ErrorCode::kNotFound ||
         code == ErrorCode::kTooLarge || code == ErrorCode::kOutOfOrder || code == ErrorCode::kFenced;
}

broker::AppendRequest append_of(const base::PartitionKey& partition, Operation operation, int64_t now_ms) {
  const std::vector<uint8_t> bytes = make_batch(operation);
  return {.partition = partition,
          .bytes = {},
          .owned = base::Slice::copy_of(bytes),
          .encoding = kEncodingTag,
          .count = operation.count,
          .max_ts = {now_ms},
          .writer = {}};
}

class Producer final : public Client {
 public:
  using Client::Client;
  bool busy() const override { return !in_flight_.empty(); }
  std::string describe() const override {
    return fmt::format("producer {} waits for {} appends", id_, in_flight_.size());
  }

 private:
  void tick() override {
    if (scene_.calm || in_flight_.size() >= 16) return;
    for (uint64_t left = 1 + random().below(3); left > 0; --left) append();
  }
  void append() {
    const Target target = choose();
    const bool big = random().chance(0.03);
    const auto count = static_cast<uint32_t>(big ? random().between(3, 8) : random().between(1, 12));
    const uint64_t operation = model().next_operation(target.partition, count, big);
    in_flight_[submit(target.cell,
                      append_of(target.partition, {operation, count}, scene_.world.loops().wall_now().ms))] = operation;
  }
  Target choose() {
    const uint64_t at = random().below(scene_.streams.size() + 2 * scene_.queues.size() + scene_.passing.size());
    if (at < scene_.streams.size()) return scene_.streams[at];
    if (at < scene_.streams.size() + 2 * scene_.queues.size())
      return scene_.queues[(at - scene_.streams.size()) % scene_.queues.size()];
    return scene_.passing[at - scene_.streams.size() - 2 * scene_.queues.size()];
  }
  void handle(uint64_t token, ActionBody& body) override {
    const auto* done = std::get_if<broker::AppendDone>(&body);
    const auto found = in_flight_.find(token);
    if (done == nullptr || found == in_flight_.end()) return;
    if (done->base_offset) {
      model().acked(found->second, done->base_offset->value);
    } else if (is_final(done->base_offset.error().code)) {
      ++scene_.refused;
      model().refused(found->second);
    }
    in_flight_.erase(found);
  }
  void on_down() override { in_flight_.clear(); }

  std::map<uint64_t, uint64_t> in_flight_;  // token -> operation
};

class NumberedProducer final : public Client {
 public:
  NumberedProducer(Scene& scene, size_t core, uint64_t id, Target target) : Client(scene, core, id), target_(target) {}
  bool busy() const override { return !pending_.empty() || wants_id_; }
  std::string describe() const override {
    return fmt::format("numbered producer {} waits for {}", id_, pending_.size());
  }

 private:
  static constexpr size_t kInFlightMax = 5;
  struct Pending {
    uint64_t operation;
    storage::WriterStamp stamp;
    uint32_t count;
    uint64_t token = 0;  // 0: to be sent
  };
  void tick() override {
    if (writer_id_ < 0) return ask_for_id();
    if (!scene_.calm && pending_.size() < kInFlightMax && !resending_) {
      const auto count = static_cast<uint32_t>(random().between(1, 6));
      const auto last = static_cast<int32_t>(next_sequence_ + static_cast<int32_t>(count) - 1);
      pending_.push_back({model().next_operation(target_.partition, count, false),
                          {.id = writer_id_, .epoch = 0, .first_sequence = next_sequence_, .last_sequence = last},
                          count});
      next_sequence_ = last + 1;
    }
    send_unsent();
  }
  void ask_for_id() {
    if (wants_id_ || scene_.calm) return;
    wants_id_ = true;
    broker().request_writer_id(reply_to(new_token()));
  }
  // In order, and only once nothing sent earlier is still under way behind a gap.
  void send_unsent() {
    if (resending_) {
      for (const Pending& pending : pending_)
        if (pending.token != 0) return;
      resending_ = false;
    }
    for (Pending& pending : pending_) {
      if (pending.token != 0) continue;
      auto request =
          append_of(target_.partition, {pending.operation, pending.count}, scene_.world.loops().wall_now().ms);
      request.writer = pending.stamp;
      pending.token = new_token();
      submit_as(pending.token, target_.cell, std::move(request));
    }
  }
  void handle(uint64_t token, ActionBody& body) override {
    if (auto* id = std::get_if<broker::WriterIdDone>(&body)) {
      wants_id_ = false;
      if (id->id) writer_id_ = *id->id;
      return;
    }
    const auto* done = std::get_if<broker::AppendDone>(&body);
    if (done == nullptr) return;
    const auto found =
        std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.token == token; });
    if (found == pending_.end()) return;
    if (done->base_offset) {
      if (retried_) ++scene_.repeats;
      model().acked(found->operation, done->base_offset->value);
      pending_.erase(found);
      return;
    }
    const ErrorCode code = done->base_offset.error().code;
    const bool expected = code == ErrorCode::kIo || code == ErrorCode::kDiskFull || code == ErrorCode::kOverloaded ||
                          (code == ErrorCode::kOutOfOrder && resending_);
    if (!expected)
      model().violation("writer", fmt::format("writer {} sequence {}: {}", writer_id_, found->stamp.first_sequence,
                                              done->base_offset.error().text));
    ++scene_.refused;
    found->token = 0;
    resending_ = true;
  }
  void on_down() override {
    wants_id_ = false;
    resending_ = false;
    retried_ = retried_ || !pending_.empty();
    for (Pending& pending : pending_) pending.token = 0;
  }

  const Target target_;
  int64_t writer_id_ = -1;
  bool wants_id_ = false, resending_ = false, retried_ = false;
  int32_t next_sequence_ = 0;
  std::deque<Pending> pending_;
};

class Reader final : public Client {
 public:
  using Client::Client;
  bool busy() const override { return reading_ != 0 || trimming_ != 0; }
  std::string describe() const override { return fmt::format("reader {} waits for an answer", id_); }

 private:
  void tick() override {
    if (reading_ != 0) return;
    if (watching_ && !readable_ && ticks_waited_++ < 50) return;
    if (scene_.calm) return;
    if (random().chance(0.01)) return trim();
    watching_ = readable_ = false;
    if (positions_.empty() || random().chance(0.05)) choose_again();
    broker::ReadRequest request{
        .items = {}, .bytes_max = static_cast<uint32_t>(random().between(1, 64 * 1024)), .watch = random().chance(0.5)};
    for (const auto& [partition, from] : positions_)
      request.items.push_back({.partition = partition, .from = base::Offset(from), .bytes_max = 32 * 1024});
    watching_ = request.watch;
    ticks_waited_ = 0;
    reading_ = new_token();
    watch_token_ = reading_;
    submit_as(reading_, cell_, std::move(request));
  }
  // Partitions of one cell, each from its start, its end or somewhere.
  void choose_again() {
    positions_.clear();
    cell_ = base::CellId(static_cast<uint16_t>(random().below(kCells)));
    for (const auto* list : {&scene_.streams, &scene_.queues})
      for (const Target& target : *list)
        if (target.cell == cell_ && random().chance(0.7))
          positions_[target.partition] =
              static_cast<int64_t>(random().below(static_cast<uint64_t>(model().end_known(target.partition)) + 1));
  }
  void trim() {
    const Target target = scene_.streams[random().below(scene_.streams.size())];
    const int64_t end = model().end_known(target.partition);
    const int64_t before = static_cast<int64_t>(random().below(static_cast<uint64_t>(end) + 1));
    model().trim_asked(target.partition, before);
    trimming_ = submit(target.cell, broker::TrimRequest{target.partition, base::Offset(before)});
    trimmed_ = target.partition;
  }
  void handle(uint64_t token, ActionBody& body) override {
    if (std::holds_alternative<broker::Readable>(body)) {
      readable_ = readable_ || token == watch_token_;
      return;
    }
    if (const auto* done = std::get_if<broker::TrimDone>(&body); done && token == trimming_) {
      trimming_ = 0;
      if (done->log_start) model().log_start_seen(trimmed_, done->log_start->value);
      return;
    }
    auto* done = std::get_if<broker::ReadDone>(&body);
    if (done == nullptr || token != reading_) return;
    reading_ = 0;
    size_t index = 0;
    for (auto& [partition, from] : positions_) take(partition, from, done->items[index++]);
  }
  void take(const base::PartitionKey& partition, int64_t& from, const broker::ReadDone::Item& item) {
    if (item.error) {
      if (*item.error == ErrorCode::kOutOfRange) {
        from = item.start.value;
      } else {
        ++scene_.cold_or_failed_reads;
        if (!scene_.reads_may_fail)
          model().violation("available",
                            fmt::format("a read fails with {} on a sound disk", base::name_of(*item.error)));
      }
      return;
    }
    bool first = true;
    for (const broker::ReadBatch& batch : item.batches) {
      const int64_t begin = batch.base_offset.value;
      if (first ? begin > from || begin + batch.count <= from : begin != from)
        model().violation("dense", fmt::format("asked from {}, got a batch of {} at {}", from, batch.count, begin));
      if (begin + batch.count > item.committed.value)
        model().violation("read_record",
                          fmt::format("a batch at {} reaches past the committed end {}", begin, item.committed.value));
      model().read(partition, batch);
      from = begin + batch.count;
      first = false;
    }
  }
  void on_down() override {
    reading_ = trimming_ = 0;
    watching_ = readable_ = false;
  }

  base::CellId cell_;
  std::map<base::PartitionKey, int64_t> positions_;
  uint64_t reading_ = 0, trimming_ = 0, watch_token_ = 0;
  base::PartitionKey trimmed_;
  bool watching_ = false, readable_ = false;
  int ticks_waited_ = 0;
};

}  // namespace

std::unique_ptr<Client> make_producer(Scene& scene, size_t core, uint64_t id) {
  return std::make_unique<Producer>(scene, core, id);
}
std::unique_ptr<Client> make_numbered_producer(Scene& scene, size_t core, uint64_t id, Target target) {
  return std::make_unique<NumberedProducer>(scene, core, id, target);
}
std::unique_ptr<Client> make_reader(Scene& scene, size_t core, uint64_t id) {
  return std::make_unique<Reader>(scene, core, id);
}

}  // namespace polylog::sim
