// What DescribeConfigs tells of the broker, under the names that clients look for: ONE table. Values are those that
// act, whether or not they can be set; nothing here can be changed while the broker runs.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "protocol/kafka/config.h"
#include "protocol/kafka/topic_config.h"

namespace polylog::kafka {

struct BrokerConfigRow {
  std::string_view name;
  ConfigType type;
  std::string_view value;  // unless one of the next two says
  std::string (*value_of)(const Config&) = nullptr;
  std::string_view topic_config = {};  // the topic config that has this as its default
};

std::span<const BrokerConfigRow> broker_configs();  // ascending by name
const BrokerConfigRow* find_broker_config(std::string_view name);
// The broker's config behind a topic's; nullptr: it has none.
const BrokerConfigRow* broker_config_behind(std::string_view topic_config);
std::string value_of(const BrokerConfigRow& row, const Config& config);

}  // namespace polylog::kafka
