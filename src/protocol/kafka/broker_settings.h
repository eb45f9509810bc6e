// Broker configs that clients set while the broker runs. They are kept in the broker's settings (broker/catalog/records.h),
// so that they are durable and every core has them: "kafka.brokers.<config>" for all brokers, "kafka.broker.<config>" for
// this one, which goes before it. What the engine reads itself is there under the engine's name as well.
#pragma once

#include <cstdint>
#include <expected>

#include "broker/catalog/records.h"
#include "protocol/kafka/config.h"
#include "protocol/kafka/config_changes.h"

namespace polylog::kafka {

enum class BrokerScope : uint8_t { kAllBrokers, kThisBroker };

// `base` with everything that was set.
Config with_settings(const Config& base, const broker::Settings& settings);

// All settings with the changes made, all of them or none. `base` is what the broker started with.
std::expected<Attributes, ConfigRefusal> settings_after(const broker::Settings& settings, BrokerScope scope,
                                                        const ConfigChanges& changes, const Config& base);

}  // namespace polylog::kafka
