// Client: somebody outside who talks to the broker through a Session. Lives through crashes: what it had asked for when the
// node went down has an unknown outcome. Acts in ticks of random length on its core; calm() ends its new work.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/session.h"
#include "tests/sim/model.h"
#include "tests/sim/world.h"

namespace polylog::sim {

struct Target {
  base::PartitionKey partition;
  base::CellId cell;
};

// What all clients of one run share.
struct Scene {
  Scene(World& w, Model& m, io::Random& r) : world(w), model(m), random(r) {}
  World& world;
  Model& model;
  io::Random& random;
  std::vector<Target> streams, queues;  // that exist for the whole run
  std::vector<Target> passing;          // that come and go
  std::vector<Target> keyed;            // partitions of the compacted stream
  bool calm = false;
  bool reads_may_fail = false;
  uint64_t requests = 0, answers = 0, overtakings = 0, tampered = 0;
  uint64_t refused = 0, cold_or_failed_reads = 0, redeliveries = 0, repeats = 0;

  base::CellId cell_of(const base::PartitionKey& partition) const;
};

class Client : public broker::Session {
 public:
  Client(Scene& scene, size_t core, uint64_t id) : scene_(scene), core_(core), id_(id) {}
  void node_up();                 // opens a session, begins to tick
  void node_down();               // the node is gone, and the session with it
  void close();                   // the session ends, the node goes on
  virtual bool busy() const = 0;  // waits for an answer that must come
  virtual std::string describe() const = 0;
  void on_action(broker::Action action) final;

 protected:
  virtual void tick() = 0;
  virtual void handle(uint64_t token, broker::ActionBody& body) = 0;
  virtual void on_up() {}
  virtual void on_down() = 0;
  virtual base::PartitionKey queue_of_delivery(uint64_t) const { return {}; }  // of the consumer with that token

  uint64_t submit(base::CellId cell, broker::CellRequest request);
  void submit_as(uint64_t token, base::CellId cell, broker::CellRequest request);
  uint64_t change_catalog(broker::CatalogRequest request);
  void reopen_session();  // as a client whose connection broke: nothing is answered any more
  broker::Broker& broker() { return scene_.world.node()->broker(core_); }
  bool up() const { return up_; }
  io::Random& random() { return scene_.random; }
  Model& model() { return scene_.model; }
  uint64_t new_token() { return next_token_++; }
  broker::ReplyTo reply_to(uint64_t token) const { return {session_, broker::Token{token}}; }

  Scene& scene_;
  const size_t core_;
  const uint64_t id_;
  int64_t tick_us_max_ = 2'000;

 private:
  void arm();
  bool tamper_request(uint64_t token, base::CellId cell, broker::CellRequest& request);
  bool tamper_action(broker::Action& action);
  void answer_self(uint64_t token, broker::ActionBody body);

  bool up_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();  // ends with this client: timers look at it
  broker::SessionId session_;
  uint64_t next_token_ = 1;
  uint64_t newest_answered_ = 0;
  std::optional<broker::Action> held_;  // by a planted bug
  std::optional<broker::CommitRequest> old_commit_;
};

}  // namespace polylog::sim
