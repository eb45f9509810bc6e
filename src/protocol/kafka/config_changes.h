// Changes of a topic's configs, as AlterConfigs and IncrementalAlterConfigs ask for them, applied to a topic's
// attributes. Pure: the caller brings the outcome to the catalog, and applies the same changes again if the topic
// changed meanwhile.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "broker/catalog/records.h"
#include "protocol/kafka/config.h"
#include "protocol/kafka/error_codes.h"
#include "protocol/kafka/topic_config.h"

namespace polylog::kafka {

// As IncrementalAlterConfigs numbers them.
enum class ConfigOperation : int8_t {
  kSet = 0,
  kDelete = 1,    // back to the default
  kAppend = 2,    // to a list, what is not in it yet
  kSubtract = 3,  // from a list, what is in it
};

struct ConfigChange {
  std::string name;
  ConfigOperation operation = ConfigOperation::kSet;
  std::optional<std::string> value;
};

struct ConfigChanges {
  bool replace_all = false;  // what is not named goes back to its default
  std::vector<ConfigChange> changes;
};

struct ConfigRefusal {
  ErrorCode code;
  std::string why;
};

// What one change makes of a value; nullopt: back to the default. `current` is what a list is added to.
std::expected<std::optional<std::string>, ConfigRefusal> value_after(const ConfigChange& change, ConfigType type,
                                                                     std::string_view current);

using Attributes = std::map<std::string, std::string>;
// The topic's attributes with the changes made, all of them or none. Attributes of other protocols stay as they are.
std::expected<Attributes, ConfigRefusal> attributes_after(const broker::StreamRecord& topic,
                                                          const ConfigChanges& changes, const Config& config);

}  // namespace polylog::kafka
