// Configs of single groups, under the names that clients know: ONE table, from which DescribeConfigs, AlterConfigs and the
// docs derive. What is set is kept in the broker's settings (broker/catalog/records.h) as the engine reads it, so that it is
// durable, acts at once, and belongs to a name, whether or not there is such a group. Without a value of its own a group has
// the broker's (broker_config.h). Not for: classic groups, whose members bring their own times.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "broker/catalog/records.h"
#include "protocol/kafka/broker_config.h"
#include "protocol/kafka/config_changes.h"

namespace polylog::kafka {

namespace limits {
inline constexpr size_t kGroupsWithConfigsMax =
    1'000;  // each change of a setting is told to all cores with all settings
}  // namespace limits

struct GroupConfigRow {
  std::string_view name;
  std::string_view broker_config;   // what a group without a value has; its range holds here too
  std::string_view engine_setting;  // likewise of the engine
  std::string_view documentation;
};

std::span<const GroupConfigRow> group_configs();  // ascending by name
const GroupConfigRow* find_group_config(std::string_view name);

std::optional<std::string> own_value(const GroupConfigRow& row, const broker::Settings& settings,
                                     std::string_view group);
std::vector<std::string> groups_with_configs(const broker::Settings& settings);  // ascending

// All settings with the changes made, all of them or none. `config` is that of the broker now.
std::expected<Attributes, ConfigRefusal> group_settings_after(const broker::Settings& settings, std::string_view group,
                                                              const ConfigChanges& changes, const Config& config);

}  // namespace polylog::kafka
