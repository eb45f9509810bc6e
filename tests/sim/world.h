// World: a simulated machine (virtual time, a disk that loses what was not synced) and the node that runs on it: two
// cores, a cell on each, catalog, meta store and brokers, wired as src/server/node.cc wires them. Files are small, so that
// rolling, recycling, checkpoints, cold reads and a full disk all happen within seconds of virtual time.
//
// Contract: start() and crash() may alternate for ever; the disk lives through it all. Not simulated: sockets and wire
// formats. Everything follows from the seed.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/broker.h"
#include "broker/catalog/catalog_service.h"
#include "broker/cell_engine.h"
#include "io/sim/sim_disk.h"
#include "io/sim/sim_loop.h"
#include "storage/local_meta_store.h"
#include "tests/sim/bugs.h"
#include "tests/sim/cut_disk.h"
#include "tests/sim/records.h"

namespace polylog::sim {

inline constexpr size_t kCores = 2;
inline constexpr size_t kCells = 2;
inline constexpr uint64_t kWalFileBytes = 256 * 1024;
inline constexpr const char* kDataDirectory = "/data";

// One run of the broker, from start to crash.
class Node {
 public:
  Node(io::SimWorld& world, io::Disk& disk, io::Random& ids, Bug bug);
  ~Node();

  // Blocking. An error: the whole node refuses to start; a damaged cell alone only stays closed (cell_error).
  base::Result<> start();

  broker::Broker& broker(size_t core) { return *brokers_[core]; }
  broker::CellEngine& engine(size_t cell);
  const std::optional<base::Error>& cell_error(size_t cell) const { return cell_errors_[cell]; }
  bool cut(size_t cell) const { return cut_[cell]; }
  bool any_cell_failed();

  // All durable state by name, as a checkpoint would write it.
  std::map<std::string, std::string> saved_state();

 private:
  base::Result<> open_cell(size_t cell);
  base::Result<> open_catalog();
  base::Uuid new_id();

  io::SimWorld& world_;
  io::Disk& disk_;
  io::Random& ids_;
  const Bug bug_;
  broker::EncodingRegistry encodings_;
  std::vector<std::unique_ptr<base::Registry>> registries_;
  std::vector<base::CoreId> core_of_cell_;
  std::unique_ptr<storage::LocalMetaStore> meta_;
  std::unique_ptr<broker::CatalogService> catalog_;
  std::vector<broker::Broker*> broker_list_;
  std::vector<std::unique_ptr<broker::Broker>> brokers_;
  std::array<std::optional<base::Error>, kCells> cell_errors_;
  std::array<bool, kCells> cut_{};
};

class World {
 public:
  World(uint64_t seed, Bug bug);
  ~World();

  io::SimWorld& loops() { return loops_; }
  io::SimDisk& disk() { return disk_; }
  CutDisk& power() { return cut_disk_; }
  io::Random& random() { return random_; }
  Node* node() { return node_.get(); }
  Bug bug() const { return bug_; }

  base::Result<> start();
  void crash();  // power fails: what runs is gone, the disk keeps what it must and parts of the rest
  std::vector<std::string> files();  // that hold a cell's data

 private:
  const Bug bug_;
  io::SimWorld loops_;
  io::SimDisk disk_;
  CutDisk cut_disk_{disk_};
  io::Random random_;  // of the schedule and the clients
  io::Random ids_;
  std::unique_ptr<Node> node_;
};

}  // namespace polylog::sim
