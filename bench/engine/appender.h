// A session on core 0 of an Engine that appends equal batches to one partition, `window` of them in flight, until its time
// is over and it stops the engine. What else a program does with the partition is its own.
#pragma once

#include <vector>

#include "bench/engine/engine.h"
#include "bench/support/clock.h"
#include "bench/support/options.h"

namespace polylog::bench {

class Appender : public broker::Session {
 public:
  struct Defaults {
    uint64_t records, size, window;  // records a batch, bytes a record, batches in flight
  };
  Appender(Engine& engine, const Options& options, const char* records, Defaults defaults)
      : broker_(engine.broker(0)),
        records_(static_cast<uint32_t>(options.count(records, defaults.records))),
        id_(broker_.add_session(*this)),
        engine_(engine),
        window_(options.count("window", defaults.window)),
        batch_(records_ * options.count("size", defaults.size)),
        duration_ns_(static_cast<uint64_t>(options.number("secs", 2) * 1e9)) {}
  ~Appender() override { broker_.remove_session(id_); }

  void on_action(broker::Action action) override {
    if (std::holds_alternative<broker::CatalogDone>(action.body)) begin();
    if (const auto* done = std::get_if<broker::AppendDone>(&action.body)) append_done(*done);
  }
  void on_pressure() override {
    if (began_ != 0) append_more();
  }
  uint64_t appended() const { return appended_; }  // records
  double seconds() const { return static_cast<double>(now_ns() - began_) / 1e9; }

 protected:
  virtual void begin() = 0;  // the stream is there: start()
  void create(broker::StreamRecord wanted, uint32_t partitions) {
    broker_.change_catalog({id_, kCreate},
                           broker::CreateStream{.wanted = std::move(wanted), .partition_count = partitions});
  }
  void start(base::CellId cell, base::PartitionKey partition) {
    cell_ = cell;
    partition_ = partition;
    began_ = now_ns();
    append_more();
  }

  broker::Broker& broker_;
  const uint32_t records_;
  const broker::SessionId id_;

 private:
  static constexpr broker::Token kCreate{1}, kAppend{2};
  void append_more() {
    for (; in_flight_ < window_ && !broker_.under_pressure(); ++in_flight_) {
      broker_.submit(
          cell_, {id_, kAppend},
          broker::AppendRequest{.partition = partition_, .bytes = {batch_.data(), batch_.size()}, .count = records_});
    }
  }
  void append_done(const broker::AppendDone& done) {
    or_exit(done.base_offset);
    --in_flight_;
    appended_ += records_;
    if (now_ns() < began_ + duration_ns_) return append_more();
    engine_.stop();
  }

  Engine& engine_;
  const uint64_t window_;
  const std::vector<uint8_t> batch_;
  const uint64_t duration_ns_;
  base::CellId cell_{0};
  base::PartitionKey partition_;
  uint64_t in_flight_ = 0;
  uint64_t began_ = 0, appended_ = 0;
};

}  // namespace polylog::bench
