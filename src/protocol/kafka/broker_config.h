// Configs of the broker under the names that clients look for: ONE table, which DescribeConfigs shows and which says what
// can be set while the broker runs. Values are those that act, whether or not they can be set. Not for: keeping what is
// set (broker_settings.h).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/kafka/config.h"
#include "protocol/kafka/config_resource.h"
#include "protocol/kafka/topic_config.h"

namespace polylog::kafka {

struct BrokerConfigRow {
  std::string_view name;
  ConfigType type;
  std::string_view value;  // unless one of the next three says
  bool is_unset = false;   // null until it is set
  std::string (*value_of)(const Config&) = nullptr;
  std::string_view topic_config = {};  // the topic config that has this as its default
  int64_t unit = 1;                    // how many units of the topic config, or of the engine, one of these is

  // --- what can be set while the broker runs: configs behind those of topics, and what has an `apply`
  Accepted accepted = {};  // unless it is a topic config's
  void (*apply)(Config&, int64_t value) = nullptr;
  std::string_view engine_setting = {};  // the engine reads it, by this name

  bool can_change() const { return !topic_config.empty() || apply != nullptr; }
};

std::span<const BrokerConfigRow> broker_configs();  // ascending by name
const BrokerConfigRow* find_broker_config(std::string_view name);
// The broker's configs behind a topic's; the first one that is set decides.
std::vector<const BrokerConfigRow*> broker_configs_behind(std::string_view topic_config);

bool is_accepted(const BrokerConfigRow& row, std::string_view value);
// The number in the topic config's or the engine's unit; 1 and 0 of true and false. Of an accepted value only.
int64_t scaled(const BrokerConfigRow& row, std::string_view value);

// What was set while the broker runs; nullptr: nothing.
const std::string* set_value(const BrokerConfigRow& row, const Config& config);
std::optional<std::string> value_of(const BrokerConfigRow& row, const Config& config);

// Where a value comes from, and what would hold if it went; the first one acts. `base` is what the broker started with.
struct ConfigSynonym {
  std::string_view name;
  std::string value;
  ConfigSource source;
};
std::vector<ConfigSynonym> synonyms_of(const BrokerConfigRow& row, const Config& config, const Config& base);
// Of the value that a topic has unless it has its own.
std::vector<ConfigSynonym> synonyms_behind(std::string_view topic_config, const Config& config, const Config& base);

}  // namespace polylog::kafka
