// World: a broker of one core on simulated time and disk, no faults injected, and connections to it whose other end is
// the replay. Time passes in run_for() only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "broker/broker.h"
#include "broker/catalog/catalog_service.h"
#include "io/net.h"
#include "io/sim/sim_disk.h"
#include "io/sim/sim_loop.h"
#include "storage/local_meta_store.h"
#include "tests/golden/transcript.h"

namespace polylog::golden {

class World {
 public:
  explicit World(int64_t wall_ms);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  broker::Broker& broker() { return *broker_; }
  void run_for(base::Duration duration) { loops_.run_for(duration); }
  base::MonoTime now() const { return loops_.now(); }

 private:
  void open_cell();
  base::Uuid new_id();

  io::SimWorld loops_;
  io::SimDisk disk_{1};
  base::Registry metrics_;
  broker::EncodingRegistry encodings_;
  std::vector<broker::Broker*> brokers_;
  storage::LocalMetaStore meta_;
  std::unique_ptr<broker::Broker> broker_;
  std::unique_ptr<broker::CatalogService> catalog_;
  uint64_t ids_ = 0;
};

// Bytes not consumed are kept and offered again; nothing is offered while reading is paused or once a side has closed.
class Link final : public io::Connection {
 public:
  explicit Link(std::unique_ptr<io::Handler> session);
  ~Link() override { hang_up(); }

  void give(base::View bytes);
  void collect(Bytes& into);                  // what the session has said, as a peer that reads everything
  void hang_up();                             // the client's end is closed
  bool is_closed() const { return closed_; }  // by the session

  io::OutQueue& out() override { return out_; }
  void flush_at_turn_end() override {}
  void pause_reading() override { paused_ = true; }
  void resume_reading() override { paused_ = false; }
  void close_after_flush() override { closed_ = true; }
  void close_now() override { closed_ = true; }
  const std::string& peer() const override { return peer_; }
  bool peer_is_loopback() const override { return true; }

 private:
  void offer();

  std::unique_ptr<io::Handler> session_;
  io::OutQueue out_;
  Bytes kept_;
  std::string peer_ = "127.0.0.1:4711";
  bool paused_ = false, closed_ = false;
};

}  // namespace polylog::golden
