#include "protocol/kafka/broker_settings.h"

#include <set>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "protocol/kafka/broker_config.h"

namespace polylog::kafka {
namespace {

constexpr std::string_view kAllPrefix = "kafka.brokers.", kThisPrefix = "kafka.broker.";

std::string_view prefix_of(BrokerScope scope) { return scope == BrokerScope::kAllBrokers ? kAllPrefix : kThisPrefix; }

Config::Values values_under(std::string_view prefix, const Attributes& settings) {
  Config::Values values;
  for (auto it = settings.lower_bound(std::string(prefix)); it != settings.end() && it->first.starts_with(prefix);
       ++it) {
    values.emplace(it->first.substr(prefix.size()), it->second);
  }
  return values;
}

std::unexpected<ConfigRefusal> refuse(ErrorCode code, std::string why) {
  return std::unexpected(ConfigRefusal{code, std::move(why)});
}

// The value for topics of the first config behind theirs that is set.
void set_topic_default(Config& config, std::string_view topic_config) {
  for (const BrokerConfigRow* row : broker_configs_behind(topic_config)) {
    const std::string* set = set_value(*row, config);
    if (set == nullptr) continue;
    config.topic_defaults[std::string(topic_config)] = row->unit == 1 ? *set : fmt::to_string(scaled(*row, *set));
    return;
  }
}

std::expected<void, ConfigRefusal> apply(const ConfigChange& change, std::string_view prefix, Attributes& settings,
                                         const Config& config) {
  const BrokerConfigRow* row = find_broker_config(change.name);
  if (row == nullptr) {
    return refuse(ErrorCode::kInvalidConfig, fmt::format("Unknown broker config name: {}", change.name));
  }
  if (!row->can_change()) {
    return refuse(ErrorCode::kInvalidRequest,
                  fmt::format("{} cannot change while the broker runs: set it where it is started", change.name));
  }
  const std::string key = std::string(prefix).append(change.name);
  const auto own = settings.find(key);
  auto value =
      value_after(change, row->type, own == settings.end() ? value_of(*row, config).value_or("") : own->second);
  if (!value) return std::unexpected(std::move(value.error()));
  if (!*value) {
    settings.erase(key);
  } else if (is_accepted(*row, **value)) {
    settings[key] = std::move(**value);
  } else {
    return refuse(ErrorCode::kInvalidConfig,
                  fmt::format("Invalid value {} for configuration {}", **value, change.name));
  }
  return {};
}

void set_for_engine(Attributes& settings, const Config& config) {
  for (const BrokerConfigRow& row : broker_configs()) {
    if (row.engine_setting.empty()) continue;
    const std::string key(row.engine_setting);
    if (const std::string* set = set_value(row, config)) {
      settings[key] = fmt::to_string(scaled(row, *set));
    } else {
      settings.erase(key);
    }
  }
}

}  // namespace

Config with_settings(const Config& base, const broker::Settings& settings) {
  Config config = base;
  config.set_for_all_brokers = values_under(kAllPrefix, settings.values);
  config.set_for_this_broker = values_under(kThisPrefix, settings.values);
  for (const BrokerConfigRow& row : broker_configs()) {
    const std::string* set = set_value(row, config);
    if (set == nullptr) continue;
    if (row.apply != nullptr) row.apply(config, scaled(row, *set));
    if (!row.topic_config.empty()) set_topic_default(config, row.topic_config);
  }
  return config;
}

std::expected<Attributes, ConfigRefusal> settings_after(const broker::Settings& settings, BrokerScope scope,
                                                        const ConfigChanges& changes, const Config& base) {
  Attributes values = settings.values;
  const std::string_view prefix = prefix_of(scope);
  if (changes.replace_all) std::erase_if(values, [&](const auto& value) { return value.first.starts_with(prefix); });
  const Config config = with_settings(base, settings);
  std::set<std::string_view> seen;
  for (const ConfigChange& change : changes.changes) {
    if (!seen.insert(change.name).second) {
      return refuse(ErrorCode::kInvalidRequest, fmt::format("{} is in the request more than once", change.name));
    }
    if (auto applied = apply(change, prefix, values, config); !applied) {
      return std::unexpected(std::move(applied.error()));
    }
  }
  set_for_engine(values, with_settings(base, {.values = values}));
  return values;
}

}  // namespace polylog::kafka
