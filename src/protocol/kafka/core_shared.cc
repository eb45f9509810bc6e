#include "protocol/kafka/core_shared.h"

#include "protocol/kafka/broker_settings.h"

namespace polylog::kafka {

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
