// bench_queue: what the engine itself spends on a queued message from publish to acknowledgement, no socket and no protocol:
// one core, one session, the real disk without waiting for it.
//   bench_queue [dir=.] [batch=256] [window=4] [size=16] [secs=2] [cpu=0]
// The session keeps `window` batches in flight and acknowledges each message of a delivery with a range of its own, as a
// client that acknowledges in another order would. Processor time is the whole process's: the log's threads count.
#include "bench/engine/appender.h"
#include "bench/support/report.h"

namespace polylog::bench {
namespace {

constexpr broker::Token kAttach{3}, kSettle{4};

// Publishes, takes and acknowledges until its time is over.
class Client final : public Appender {
 public:
  Client(Engine& engine, const Options& options)
      : Appender(engine, options, "batch", {.records = 256, .size = 16, .window = 4}) {
    create({.name = "queue", .kind = broker::StreamKind::kQueue}, 1);
  }
  void on_action(broker::Action action) override {
    if (const auto* got = std::get_if<broker::Deliveries>(&action.body)) return settle(*got);
    if (const auto* done = std::get_if<broker::SettleDone>(&action.body)) return or_exit(done->result);
    Appender::on_action(std::move(action));
  }
  uint64_t settled() const { return settled_; }
  uint64_t cpu_ns() const { return now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_began_; }

 private:
  void submit(broker::Token token, broker::CellRequest request) {
    broker_.submit(base::CellId(0), {id_, token}, std::move(request));
  }
  void begin() override {
    queue_ = broker_.catalog().find("queue")->key();
    cpu_began_ = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    submit(kAttach, broker::AttachRequest{.queue = queue_});
    start(base::CellId(0), queue_);
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
      submit(kAttach, broker::CreditRequest{.queue = queue_,
                                            .bytes = static_cast<uint32_t>(run.batch.size() * run.count / records_)});
      settled_ += run.count;
    }
  }

  base::PartitionKey queue_;
  uint64_t cpu_began_ = 0, settled_ = 0;
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
