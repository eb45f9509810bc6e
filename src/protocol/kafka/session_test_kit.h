// For tests of sessions: a whole broker of one core on simulated time and disk, and a client that speaks in generated
// messages. Replies are decoded by the same codecs; other tests see to it that those are right. No faults are injected.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/broker.h"
#include "broker/catalog/catalog_service.h"
#include "broker/cell_engine.h"
#include "io/sim/sim_disk.h"
#include "io/sim/sim_loop.h"
#include "protocol/kafka/mapping.h"
#include "protocol/kafka/session.h"
#include "storage/local_meta_store.h"

namespace polylog::kafka {

class TestBroker {
 public:
  explicit TestBroker(size_t cells = 2, size_t ingress_bytes_max = 64 * base::limits::kMiB)
      : world({}),
        disk(1),
        store(world.loop(0), disk, "/data"),
        broker({.loop = world.loop(0),
                .encodings = encodings,
                .metrics = metrics,
                .core_of_cell = std::vector<base::CoreId>(cells),
                .all = brokers,
                .ingress_bytes_max = ingress_bytes_max}) {
    encodings.add(kEncodingTag, std::make_unique<RecordBatchEncoding>());
    brokers = {&broker};
    REQUIRE(disk.make_directory("/data"));
    for (uint16_t i = 0; i < cells; ++i) open_cell(base::CellId(i));
    REQUIRE(store.open());
    service = std::make_unique<broker::CatalogService>(broker::CatalogService::Options{
        .store = store, .brokers = brokers, .cell_count = cells, .new_id = [this] { return new_id(); }});
    broker.set_catalog_service(service.get());
    REQUIRE(service->load());
    config.cluster_id = "AAAAAAAAAAAAAAAAAAAAAA";
    config.advertised = {"broker.example", 9092};
    config.log_dir = "/data";
    shared = std::make_shared<CoreShared>(broker, config);
  }

  io::SimWorld world;
  io::SimDisk disk;
  base::Registry metrics;
  broker::EncodingRegistry encodings;
  std::vector<broker::Broker*> brokers;
  storage::LocalMetaStore store;
  broker::Broker broker;
  std::unique_ptr<broker::CatalogService> service;
  Config config;
  std::shared_ptr<CoreShared> shared;  // by all clients

 private:
  void open_cell(base::CellId id) {
    const std::string directory = "/data/cell-" + std::to_string(id.value);
    REQUIRE(disk.make_directory(directory));
    auto engine = std::make_unique<broker::CellEngine>(
        broker, broker::CellEngine::Options{.cell = {.loop = world.loop(0),
                                                     .disk = disk,
                                                     .directory = directory,
                                                     .id = id,
                                                     .nonce = new_id(),
                                                     .wal_file_bytes = 4 * base::limits::kMiB,
                                                     .reserve_bytes = 0},
                                            .groups = {.initial_rebalance_delay_ms = 0},
                                            .new_id = [this] { return new_id(); }});
    REQUIRE(engine->open());
    broker.tell_all_epoch(id, engine->cell().epoch());
    broker.add_cell(id, std::move(engine));
  }
  base::Uuid new_id() {
    base::Uuid id;
    const uint64_t number = ++ids_;
    std::memcpy(id.bytes.data(), &number, sizeof(number));
    return id;
  }
  uint64_t ids_ = 0;
};

// A connection whose other end is the test.
class TestConnection final : public io::Connection {
 public:
  io::OutQueue& out() override { return out_; }
  void flush_at_turn_end() override {}
  void pause_reading() override { paused = true; }
  void resume_reading() override { paused = false; }
  void close_after_flush() override { closed = true; }
  void close_now() override { closed = true; }
  const std::string& peer() const override { return peer_; }
  bool peer_is_loopback() const override { return true; }

  bool paused = false, closed = false;

 private:
  io::OutQueue out_;
  std::string peer_ = "127.0.0.1:4711";
};

class TestClient {
 public:
  explicit TestClient(TestBroker& broker) : broker_(broker), session_(make_session(broker.shared)) {
    session_->on_open(connection);
  }
  ~TestClient() {
    if (session_ != nullptr) leave();
  }
  void leave() {
    session_->on_closed("the test is over");
    session_.reset();
  }

  template <typename Request>
  void send(ApiKey key, int16_t version, const Request& request) {
    base::Writer out;
    const size_t at = begin_request(out, key, version, ++correlation_id_, "test");
    encode(out, version, request);
    end_response(out, at);
    sent_.push_back({key, version, correlation_id_});
    give(out.view());
  }
  void give(base::View bytes) {
    input_.insert(input_.end(), bytes.begin(), bytes.end());
    feed();
  }
  // Offers what the session has not taken yet.
  void feed() {
    if (connection.paused || connection.closed) return;
    const auto taken = session_->on_bytes(input_);
    input_.erase(input_.begin(), input_.begin() + static_cast<ptrdiff_t>(taken.consumed_bytes));
  }
  size_t bytes_waiting() const { return input_.size(); }

  // Waits up to `patience` for the oldest reply that was not received yet.
  template <typename Response>
  std::optional<Response> receive(base::Duration patience = std::chrono::seconds(10)) {
    const base::MonoTime until = broker_.world.now() + patience;
    while (!collect_frame() && broker_.world.now() < until) {
      broker_.world.run_for(std::chrono::milliseconds(1));
      if (bytes_waiting() > 0) feed();  // as a connection does when it is read again
    }
    if (frame_.empty()) return std::nullopt;
    const Sent sent = sent_.front();
    sent_.pop_front();
    base::Reader in(base::View(frame_).subspan(4));
    CHECK(read_response_header(in, sent.key, sent.version) == sent.correlation_id);
    std::optional<Response> response(std::in_place);
    CHECK(decode(in, sent.version, *response));
    CHECK(in.at_end());
    received_.swap(frame_);  // what the response has views into
    frame_.clear();
    return response;
  }
  template <typename Response, typename Request>
  Response ask(ApiKey key, int16_t version, const Request& request) {
    send(key, version, request);
    auto response = receive<Response>();
    REQUIRE(response);
    return std::move(*response);
  }
  void skip_reply() { sent_.pop_back(); }  // the request just sent gets none

  TestConnection connection;

 private:
  struct Sent {
    ApiKey key;
    int16_t version;
    int32_t correlation_id;
  };
  bool collect_frame() {
    std::vector<base::View> pieces;
    connection.out().gather(pieces, SIZE_MAX);
    size_t bytes = 0;
    for (base::View piece : pieces) {
      output_.insert(output_.end(), piece.begin(), piece.end());
      bytes += piece.size();
    }
    connection.out().sent(bytes);
    const Frame frame = next_frame(output_);
    if (frame.status != FrameStatus::kComplete) return false;
    frame_.assign(output_.begin(), output_.begin() + static_cast<ptrdiff_t>(frame.size_bytes));
    output_.erase(output_.begin(), output_.begin() + static_cast<ptrdiff_t>(frame.size_bytes));
    return true;
  }

  TestBroker& broker_;
  std::unique_ptr<io::Handler> session_;
  std::vector<uint8_t> input_, output_, frame_, received_;
  std::deque<Sent> sent_;
  int32_t correlation_id_ = 0;
};

}  // namespace polylog::kafka
