// The admin listener: what orchestrators and Prometheus ask over HTTP.
//
//   GET /          what there is
//   GET /healthz   200 while the process answers
//   GET /readyz    200 when clients may connect, else 503 with the reasons
//   GET /metrics   all cores' metrics, Prometheus text
//
// Not for: changing anything; it has no login.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "io/loop.h"
#include "io/net.h"

namespace polylog::server {

// Outlives the sessions. All but `ready` is filled before the listener opens, then constant.
struct AdminState {
  std::atomic<bool> ready{false};
  // One line for each thing that is wrong (a failed cell), empty when nothing is. Called on the admin listener's core.
  std::function<std::string()> trouble = {};
  // Brings gauges up to date that are not kept so, before each /metrics; may be empty. Called on the admin listener's core.
  std::function<void()> refresh_metrics = {};
  std::vector<base::Registry*> registries = {};
};

std::unique_ptr<io::Handler> make_admin_session(io::Loop& loop, const AdminState& state);

}  // namespace polylog::server
