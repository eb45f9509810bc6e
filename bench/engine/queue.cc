// bench_queue: what the engine itself spends on a queued message from publish to acknowledgement, no socket and no protocol:
// one core, one session, the real disk without waiting for it.
//   bench_queue [dir=.] [batch=256] [window=4] [size=16] [secs=2] [cpu=0]
// The session keeps `window` batches in flight and acknowledges each message of a delivery with a range of its own, as a
// client that acknowledges in another order would. Processor time is the whole process's: the log's threads count.
#include <vector>

#include "bench/engine/engine.h"
#include "bench/support/clock.h"
#include "bench/support/options.h"
#include "bench/support/report.h"

namespace polylog::bench {
namespace {

constexpr broker::Token kCreate{1}, kAttach{2}, kAppend{3}, kSettle{4};

// Publishes, takes and acknowledges until its time is over.
class Client final : public broker::Session {
 public:
  Client(Engine& engine, const Options& options)
      : broker_(engine.broker(0)),
        engine_(engine),
        batch_count_(static_cast<uint32_t>(options.count("batch", 256))),
        window_(options.count("window", 4)),
        batch_(batch_count_ * options.count("size", 16)),
        duration_ns_(static_cast<uint64_t>(options.number("secs", 2) * 1e9)),
        id_(broker_.add_session(*this)) {
    broker_.change_catalog(
        {id_, kCreate},
        broker::CreateStream{.wanted = {.name = "queue", .kind = broker::StreamKind::kQueue}, .partition_count = 1});
  }
  ~Client() override { broker_.remove_session(id_); }

  void on_action(broker::Action action) override {
    if (std::holds_alternative<broker::CatalogDone>(action.body)) begin();
    if (const auto* done = std::get_if<broker::AppendDone>(&action.body)) append_done(*done);
    if (const auto* got = std::get_if<broker::Deliveries>(&action.body)) settle(*got);
    if (const auto* done = std::get_if<broker::SettleDone>(&action.body)) or_exit(done->result);
  }
  uint64_t settled() const { return settled_; }
  uint64_t cpu_ns() const { return now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_began_; }
  void on_pressure() override {
    if (began_ != 0) append_more();
  }
  double seconds() const { return static_cast<double>(now_ns() - began_) / 1e9; }

 private:
  void submit(broker::Token token, broker::CellRequest request) {
    broker_.submit(base::CellId(0), {id_, token}, std::move(request));
  }
  void begin() {
    queue_ = broker_.catalog().find("queue")->key();
    began_ = now_ns();
    cpu_began_ = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    submit(kAttach, broker::AttachRequest{.queue = queue_});
    append_more();
  }
  void append_more() {
    for (; appends_ < window_ && !broker_.under_pressure(); ++appends_) append();
  }
  void append() {
    submit(kAppend,
           broker::AppendRequest{.partition = queue_, .bytes = {batch_.data(), batch_.size()}, .count = batch_count_});
  }
  void append_done(const broker::AppendDone& done) {
    or_exit(done.base_offset);
    --appends_;
    if (now_ns() < began_ + duration_ns_) return append_more();
    engine_.stop();
  }
  void settle(const broker::Deliveries& got) {
    for (const broker::DeliveryRun& run : got.runs) {
      broker::SettleRequest request{.queue = queue_, .consumer = kAttach};
      request.ranges.reserve(run.count);
      for (uint32_t i = 0; i < run.count; ++i) {
        const base::Offset at = run.first_offset + base::OffsetCount(i);
        request.ranges.emplace_back(at, at);
      }
      submit(kSettle, std::move(request));
      submit(kAttach,
             broker::CreditRequest{.queue = queue_,
                                   .bytes = static_cast<uint32_t>(run.batch.size() * run.count / batch_count_)});
      settled_ += run.count;
    }
  }

  broker::Broker& broker_;
  Engine& engine_;
  const uint32_t batch_count_;
  const uint64_t window_;
  const std::vector<uint8_t> batch_;
  const uint64_t duration_ns_;
  const broker::SessionId id_;
  base::PartitionKey queue_;
  uint64_t appends_ = 0;  // not answered
  uint64_t began_ = 0, cpu_began_ = 0, settled_ = 0;
};

int run(const Options& options) {
  pin_to_cpu(static_cast<int>(options.number("cpu", 0)));
  Engine engine(options.text("dir", "."), 1);
  Client client(engine, options);
  engine.run();
  Report report;
  report.add("rate", static_cast<double>(client.settled()) / client.seconds());
  report.add("server_cpu_ns", static_cast<double>(client.cpu_ns()) / static_cast<double>(client.settled()));
  report.print();
  return 0;
}

}  // namespace
}  // namespace polylog::bench

int main(int argc, char** argv) { return polylog::bench::run(polylog::bench::Options(argc, argv)); }
