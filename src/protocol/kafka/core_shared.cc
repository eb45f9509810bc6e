#include "protocol/kafka/core_shared.h"

#include "protocol/kafka/broker_settings.h"

namespace polylog::kafka {

CoreShared::CoreShared(broker::Broker& broker, const Config& base)
    : broker_(broker),
      base_(base),
      fetch_sessions_(broker.loop().core(), broker.loop().wall_now(),
                      broker.metrics().gauge("polylog_kafka_fetch_sessions", "Sessions of incremental fetches"),
                      base.fetch_sessions_max),
      unpacker_(broker) {}

const Config& CoreShared::config() {
  const broker::Settings& settings = broker_.catalog().settings();
  if (settings.version == 0) return base_;
  if (settings.version != settings_version_) {
    config_ = with_settings(base_, settings);
    settings_version_ = settings.version;
  }
  return config_;
}

}  // namespace polylog::kafka
