// Target: what a run creates at the server, and the connections that use it. One for each protocol.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "load/ledger.h"
#include "load/link.h"

namespace polylog::load {

inline constexpr uint64_t kCallTimeNs = 10 * kSecondNs;  // for connecting, and for each answer outside of the load

class Target {
 public:
  virtual ~Target() = default;

  // Creates the topic or the queues. kExists: something has that name; it is not touched.
  virtual base::Result<> create() = 0;
  virtual base::Result<> remove() = 0;
  // How much may be under way at full speed.
  virtual Windows windows() const = 0;
  // Producers and consumers, as the ledger's plan says. The ledger outlives them.
  virtual base::Result<std::vector<std::unique_ptr<Link>>> links(Ledger& ledger) = 0;
};

}  // namespace polylog::load
