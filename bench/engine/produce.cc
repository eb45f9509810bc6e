// bench_produce: appends through the engine alone, from a session on one core to a partition on the same core or on the other.
//   bench_produce [dir=.] [where=same|other] [records=64] [size=100] [window=32] [secs=2]
// Two cores either way: what differs is the mail between them. The session keeps `window` batches in flight.
#include "bench/engine/appender.h"
#include "bench/support/report.h"

namespace polylog::bench {
namespace {

class Producer final : public Appender {
 public:
  Producer(Engine& engine, const Options& options)
      : Appender(engine, options, "records", {.records = 64, .size = 100, .window = 32}),
        cell_(options.text("where", "same") == "same" ? 0 : 1) {
    create({.name = "stream"}, 2);
  }

 private:
  void begin() override {
    const auto stream = broker_.catalog().find("stream");
    start(cell_, stream->key(stream->partitions[0] == cell_ ? 0 : 1));
  }

  const base::CellId cell_;
};

int run(const Options& options) {
  Engine engine(options.text("dir", "."), 2);
  Producer producer(engine, options);
  engine.run();
  Report report;
  report.add("rate", static_cast<double>(producer.appended()) / producer.seconds());
  report.print();
  return 0;
}

}  // namespace
}  // namespace polylog::bench

int main(int argc, char** argv) { return polylog::bench::run(polylog::bench::Options(argc, argv)); }
