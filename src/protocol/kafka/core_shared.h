// CoreShared: what all sessions of one core share. Owned by them together, and by the listener that makes them; used by
// their core only.
#pragma once

#include <cstdint>

#include "broker/broker.h"
#include "protocol/kafka/config.h"
#include "protocol/kafka/fetch_sessions.h"
#include "protocol/kafka/unpacker.h"

namespace polylog::kafka {

class CoreShared {
 public:
  // `base` outlives this.
  CoreShared(broker::Broker& broker, const Config& base);

  broker::Broker& broker() { return broker_; }
  // With what was set while the broker runs. Ask again in every turn.
  const Config& config();
  const Config& config_at_start() const { return base_; }
  FetchSessions& fetch_sessions() { return fetch_sessions_; }
  Unpacker& unpacker() { return unpacker_; }

 private:
  broker::Broker& broker_;
  const Config& base_;
  FetchSessions fetch_sessions_;
  Unpacker unpacker_;
  Config config_;
  uint64_t settings_version_ = 0;  // that config_ has; 0: none, and base_ is all there is
};

}  // namespace polylog::kafka
