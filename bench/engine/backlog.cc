// bench_backlog: what a long queue costs the engine: memory a message, and the longest turn while a checkpoint of it is made.
// One core, one session, the real disk without waiting for it.
//   bench_backlog [dir=.] [count=1000000] [window=1000] [size=16] [cpu=0]
// Messages are published one by one. Then all are taken, and every other one is acknowledged, so that no two ranges of what
// is acknowledged or open can be one. The checkpoint is made after each of the two.
#include <algorithm>
#include <fstream>
#include <vector>

#include "bench/engine/engine.h"
#include "bench/support/clock.h"
#include "bench/support/options.h"
#include "bench/support/report.h"

namespace polylog::bench {
namespace {

constexpr broker::Token kCreate{1}, kAttach{2}, kAppend{3}, kSettle{4};
constexpr uint32_t kRangesAtOnce = 512;

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t size = 0, resident = 0;
  statm >> size >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// Runs once a turn, and knows the longest, by processor time: a busy machine takes the processor away for longer.
class TurnWatch {
 public:
  explicit TurnWatch(io::Loop& loop) : loop_(loop) {}
  void start() {
    longest_ns_ = 0;
    last_ = now_ns(CLOCK_THREAD_CPUTIME_ID);
    if (!std::exchange(running_, true)) again();
  }
  double stop_us() {
    running_ = false;
    return static_cast<double>(longest_ns_) / 1e3;
  }

 private:
  void again() {
    loop_.call_at(loop_.now(), [this] {
      const uint64_t now = now_ns(CLOCK_THREAD_CPUTIME_ID);
      longest_ns_ = std::max(longest_ns_, now - std::exchange(last_, now));
      if (running_) again();
    });
  }
  io::Loop& loop_;
  bool running_ = false;
  uint64_t last_ = 0, longest_ns_ = 0;
};

class Client final : public broker::Session {
 public:
  Client(Engine& engine, const Options& options)
      : broker_(engine.broker(0)),
        engine_(engine),
        count_(options.count("count", 1'000'000)),
        window_(options.count("window", 1000)),
        batch_(options.count("size", 16)),
        watch_(broker_.loop()),
        id_(broker_.add_session(*this)) {
    broker_.change_catalog(
        {id_, kCreate},
        broker::CreateStream{.wanted = {.name = "queue", .kind = broker::StreamKind::kQueue}, .partition_count = 1});
  }
  ~Client() override { broker_.remove_session(id_); }

  void on_action(broker::Action action) override {
    if (std::holds_alternative<broker::CatalogDone>(action.body)) begin();
    if (const auto* done = std::get_if<broker::AppendDone>(&action.body)) append_done(*done);
    if (const auto* got = std::get_if<broker::Deliveries>(&action.body)) take(*got);
    if (const auto* done = std::get_if<broker::SettleDone>(&action.body)) settled(*done);
  }
  void on_pressure() override {
    if (count_ > sent_ && queue_ != base::PartitionKey{}) append_more();
  }
  Report& report() { return report_; }

 private:
  void submit(broker::Token token, broker::CellRequest request) {
    broker_.submit(base::CellId(0), {id_, token}, std::move(request));
  }
  void begin() {
    queue_ = broker_.catalog().find("queue")->key();
    empty_bytes_ = resident_bytes();
    append_more();
  }
  void append_more() {
    for (; sent_ < count_ && sent_ - answered_ < window_ && !broker_.under_pressure(); ++sent_)
      submit(kAppend, broker::AppendRequest{.partition = queue_, .bytes = {batch_.data(), batch_.size()}, .count = 1});
  }
  void append_done(const broker::AppendDone& done) {
    or_exit(done.base_offset);
    if (++answered_ < count_) return append_more();
    checkpoint("ready", [this] { submit(kAttach, broker::AttachRequest{.queue = queue_}); });
  }
  void take(const broker::Deliveries& got) {
    uint32_t bytes = 0;
    for (const broker::DeliveryRun& run : got.runs) {
      bytes += static_cast<uint32_t>(run.batch.size());
      if (run.first_offset.value % 2 == 1) acks_.emplace_back(run.first_offset, run.first_offset);
      taken_ += run.count;
    }
    submit(kAttach, broker::CreditRequest{.queue = queue_, .bytes = bytes});
    if (acks_.size() < kRangesAtOnce && taken_ < count_) return;
    submit(kSettle, broker::SettleRequest{.queue = queue_, .ranges = std::exchange(acks_, {}), .consumer = kAttach});
  }
  void settled(const broker::SettleDone& done) {
    or_exit(done.result);
    if (taken_ == count_ && acks_.empty() && !std::exchange(ended_, true))
      checkpoint("open", [this] { engine_.stop(); });
  }
  void checkpoint(const std::string& when, const std::function<void()>& then) {
    report_.add(when + "_bytes", (resident_bytes() - empty_bytes_) / static_cast<double>(count_));
    wait_for_others(when, then);
  }
  void wait_for_others(const std::string& when, const std::function<void()>& then) {
    if (!cell().checkpointing()) return measured_checkpoint(when, then);
    broker_.loop().call_at(broker_.loop().now() + std::chrono::milliseconds(1),
                           [this, when, then] { wait_for_others(when, then); });
  }
  void measured_checkpoint(const std::string& when, const std::function<void()>& then) {
    watch_.start();
    cell().checkpoint([this, when, begun = now_ns(), then](base::Result<> result) {
      or_exit(result);
      report_.add(when + "_checkpoint_secs", static_cast<double>(now_ns() - begun) / 1e9);
      report_.add(when + "_longest_turn_us", watch_.stop_us());
      then();
    });
  }

  storage::Cell& cell() { return broker_.cell(base::CellId(0))->cell(); }

  broker::Broker& broker_;
  Engine& engine_;
  const uint64_t count_, window_;
  const std::vector<uint8_t> batch_;
  TurnWatch watch_;
  const broker::SessionId id_;
  base::PartitionKey queue_;
  Report report_;
  double empty_bytes_ = 0;
  uint64_t sent_ = 0, answered_ = 0, taken_ = 0;
  std::vector<std::pair<base::Offset, base::Offset>> acks_;
  bool ended_ = false;
};

int run(const Options& options) {
  pin_to_cpu(static_cast<int>(options.number("cpu", 0)));
  Engine engine(options.text("dir", "."), 1);
  Client client(engine, options);
  engine.run();
  client.report().print();
  return 0;
}

}  // namespace
}  // namespace polylog::bench

int main(int argc, char** argv) { return polylog::bench::run(polylog::bench::Options(argc, argv)); }
