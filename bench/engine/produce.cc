// bench_produce: appends through the engine alone, from a session on one core to a partition on the same core or on the other.
//   bench_produce [dir=.] [where=same|other] [records=64] [size=100] [window=32] [secs=2]
// Two cores either way: what differs is the mail between them. The session keeps `window` batches in flight.
#include <vector>

#include "bench/engine/engine.h"
#include "bench/support/clock.h"
#include "bench/support/options.h"
#include "bench/support/report.h"

namespace polylog::bench {
namespace {

constexpr broker::Token kCreate{1}, kAppend{2};

class Producer final : public broker::Session {
 public:
  Producer(Engine& engine, const Options& options)
      : engine_(engine),
        broker_(engine.broker(0)),
        cell_(options.text("where", "same") == "same" ? 0 : 1),
        records_(static_cast<uint32_t>(options.count("records", 64))),
        window_(options.count("window", 32)),
        batch_(records_ * options.count("size", 100)),
        duration_ns_(static_cast<uint64_t>(options.number("secs", 2) * 1e9)),
        id_(broker_.add_session(*this)) {
    broker_.change_catalog({id_, kCreate}, broker::CreateStream{.wanted = {.name = "stream"}, .partition_count = 2});
  }
  ~Producer() override { broker_.remove_session(id_); }

  void on_action(broker::Action action) override {
    if (std::holds_alternative<broker::CatalogDone>(action.body)) begin();
    if (const auto* done = std::get_if<broker::AppendDone>(&action.body)) append_done(*done);
  }
  void on_pressure() override {
    if (began_ != 0) append_more();
  }
  double rate() const { return static_cast<double>(appended_) * 1e9 / static_cast<double>(ended_ - began_); }

 private:
  void begin() {
    const auto stream = broker_.catalog().find("stream");
    partition_ = stream->key(stream->partitions[0] == cell_ ? 0 : 1);
    began_ = now_ns();
    append_more();
  }
  void append_more() {
    for (; appends_ < window_ && !broker_.under_pressure(); ++appends_) append();
  }
  void append() {
    broker_.submit(
        cell_, {id_, kAppend},
        broker::AppendRequest{.partition = partition_, .bytes = {batch_.data(), batch_.size()}, .count = records_});
  }
  void append_done(const broker::AppendDone& done) {
    or_exit(done.base_offset);
    --appends_;
    appended_ += records_;
    ended_ = now_ns();
    if (ended_ < began_ + duration_ns_) return append_more();
    engine_.stop();
  }

  Engine& engine_;
  broker::Broker& broker_;
  const base::CellId cell_;
  const uint32_t records_;
  const uint64_t window_;
  const std::vector<uint8_t> batch_;
  const uint64_t duration_ns_;
  const broker::SessionId id_;
  base::PartitionKey partition_;
  uint64_t appends_ = 0;  // not answered
  uint64_t began_ = 0, ended_ = 0, appended_ = 0;
};

int run(const Options& options) {
  Engine engine(options.text("dir", "."), 2);
  Producer producer(engine, options);
  engine.run();
  Report report;
  report.add("rate", producer.rate());
  report.print();
  return 0;
}

}  // namespace
}  // namespace polylog::bench

int main(int argc, char** argv) { return polylog::bench::run(polylog::bench::Options(argc, argv)); }
