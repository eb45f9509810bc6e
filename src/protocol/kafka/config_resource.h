// What configs belong to, as DescribeConfigs, AlterConfigs and IncrementalAlterConfigs number it.
#pragma once

#include <cstdint>

namespace polylog::kafka {

enum class ConfigResource : int8_t {
  kTopic = 2,
  kBroker = 4,  // by node id; an empty name: all brokers
  kGroup = 32,
};

enum class ConfigSource : int8_t {
  kTopic = 1,
  kThisBroker = 2,  // set while it ran
  kAllBrokers = 3,  // likewise
  kStaticBroker = 4,
  kDefault = 5,
  kGroup = 8,
};

}  // namespace polylog::kafka
