// Node: one running broker process: cores, cells, catalog, listeners, wired together. Everything is constructed before any
// loop runs and destroyed after all have stopped; in between each part is touched by its own core only.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "broker/broker.h"
#include "broker/catalog/catalog_service.h"
#include "broker/encoding.h"
#include "io/core.h"
#include "io/listener.h"
#include "io/posix_disk.h"
#include "protocol/amqp/connection.h"
#include "protocol/kafka/config.h"
#include "protocol/kafka/core_shared.h"
#include "server/admin/admin.h"
#include "server/config.h"
#include "server/data_dir.h"
#include "server/node_metrics.h"
#include "storage/cell.h"
#include "storage/local_meta_store.h"

namespace polylog::server {

class Node {
 public:
  // Opens the data directory, recovers, listens. An error's text is one line that says what to do.
  static base::Result<std::unique_ptr<Node>> start(const Config& config);
  ~Node();

  std::string ready_line() const;  // "polylog ready kafka=127.0.0.1:9092 ..."
  void run();                      // on the calling thread, until stop() has drained
  void stop();                     // from any thread: no new connections, checkpoints, then run() returns

 private:
  explicit Node(const Config& config);
  base::Result<> open();
  base::Result<> open_cells();
  base::Result<> open_catalog();
  base::Result<> listen_all();
  storage::Cell::Options cell_options(base::CellId id, const io::Disk::Space& space);
  io::HandlerFactory factory_for(Protocol protocol, broker::Broker& broker);
  base::Duration slow_operation() const;
  void fill_admin();
  void drain_core(size_t core);
  void cell_drained();

  const Config config_;
  io::PosixDisk disk_;
  std::unique_ptr<DataDir> dir_;
  broker::EncodingRegistry encodings_;
  kafka::Config kafka_;
  amqp::Config amqp_;
  AdminState admin_;
  std::unique_ptr<io::CoreGroup> cores_;
  std::vector<std::unique_ptr<base::Registry>> registries_;
  std::vector<base::Registry*> registry_list_;
  std::unique_ptr<NodeMetrics> metrics_;
  std::vector<base::CoreId> core_of_cell_;
  std::unique_ptr<storage::LocalMetaStore> meta_;
  std::unique_ptr<broker::CatalogService> catalog_;
  std::vector<std::unique_ptr<broker::Broker>> brokers_;
  std::vector<broker::Broker*> broker_list_;
  std::vector<std::shared_ptr<kafka::CoreShared>> kafka_cores_;        // by core
  std::vector<ProtocolAddress> bound_;                                 // as configured, with real ports
  std::vector<std::vector<std::unique_ptr<io::Listener>>> listeners_;  // by core
  std::atomic<size_t> cells_to_drain_{0};
  std::atomic<bool> draining_{false};
};

}  // namespace polylog::server
