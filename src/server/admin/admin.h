// The admin listener: what orchestrators, Prometheus, `polylog`'s own commands and people with curl ask over HTTP.
//
//   GET /, /healthz, /readyz, /metrics    plain text
//   /v1/...                               JSON: streams and their records, queues, groups, the node. docs/admin-api.yaml
//
// It has no login: whoever reaches it may do everything. It works through the broker's requests as any session does, and
// lives on the core whose broker it is given.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "broker/broker.h"
#include "io/disk.h"
#include "io/net.h"
#include "protocol/kafka/core_shared.h"
#include "server/config.h"

namespace polylog::server {

// More are closed as soon as they come: what may do everything on one core must not take that core's share of connections.
inline constexpr size_t kAdminConnectionsMax = 256;

// Outlives the sessions. All but `ready` is filled before the listener opens, then constant. Functions are called on the
// admin listener's core.
struct AdminState {
  std::atomic<bool> ready{false};
  // One line for each thing that is wrong (a failed cell), empty when nothing is.
  std::function<std::string()> trouble = {};
  // Brings gauges up to date that are not kept so, before each /metrics; may be empty.
  std::function<void()> refresh_metrics = {};
  std::vector<base::Registry*> registries = {};

  Config config = {};
  kafka::CoreShared* kafka = nullptr;             // of that core: its config() is what streams' settings default to
  std::map<std::string, std::string> found = {};  // what "auto" settings came to, by key
  std::vector<ProtocolAddress> listeners = {};
  std::string cluster_id = {};
  std::vector<base::CoreId> core_of_cell = {};
  base::WallTime started = {};
  std::function<base::Result<io::Disk::Space>()> disk_space = {};
  std::function<std::map<std::string, int64_t>()> connections = {};  // open now, by protocol
};

std::unique_ptr<io::Handler> make_admin_session(broker::Broker& broker, const AdminState& state);

}  // namespace polylog::server
