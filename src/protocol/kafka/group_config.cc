#include "protocol/kafka/group_config.h"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "broker/groups/config.h"

namespace polylog::kafka {
namespace {

constexpr GroupConfigRow kRows[] = {
    {"consumer.heartbeat.interval.ms", "group.consumer.heartbeat.interval.ms", broker::kManagedHeartbeatSetting,
     "How often members of the group are told to heartbeat."},
    {"consumer.session.timeout.ms", "group.consumer.session.timeout.ms", broker::kManagedSessionTimeoutSetting,
     "A member that is silent for so long is out of the group."},
};
static_assert(std::ranges::is_sorted(kRows, {}, &GroupConfigRow::name));
constexpr const GroupConfigRow &kHeartbeat = kRows[0], &kSession = kRows[1];

std::unexpected<ConfigRefusal> refuse(ErrorCode code, std::string why) {
  return std::unexpected(ConfigRefusal{code, std::move(why)});
}

const BrokerConfigRow& broker_row(const GroupConfigRow& row) {
  const BrokerConfigRow* found = find_broker_config(row.broker_config);
  CHECK(found != nullptr, std::string(row.broker_config) + " is a config of the broker");
  return *found;
}

std::expected<void, ConfigRefusal> apply(const ConfigChange& change, std::string_view group, Attributes& settings) {
  const GroupConfigRow* row = find_group_config(change.name);
  if (row == nullptr) {
    return refuse(ErrorCode::kInvalidConfig, fmt::format("Unknown group config name: {}", change.name));
  }
  auto value = value_after(change, broker_row(*row).type, {});
  if (!value) return std::unexpected(std::move(value.error()));
  const std::string key = broker::setting_of_group(row->engine_setting, group);
  if (!*value) {
    settings.erase(key);
  } else if (is_accepted(broker_row(*row), **value)) {
    settings[key] = std::move(**value);
  } else {
    return refuse(ErrorCode::kInvalidConfig,
                  fmt::format("Invalid value {} for configuration {}", **value, change.name));
  }
  return {};
}

int64_t acting(const GroupConfigRow& row, const broker::Settings& settings, std::string_view group,
               const Config& config) {
  const auto own = own_value(row, settings, group);
  return scaled(broker_row(row), own ? *own : value_of(broker_row(row), config).value_or(""));
}

bool is_sound(const broker::Settings& settings, std::string_view group, const Config& config) {
  return acting(kSession, settings, group, config) > acting(kHeartbeat, settings, group, config);
}

bool sets_something(const ConfigChanges& changes) {
  return !std::ranges::all_of(changes.changes,
                              [](const ConfigChange& change) { return change.operation == ConfigOperation::kDelete; });
}

// A group that a change of the broker's values left unsound may let its own values go, one at a time.
std::expected<void, ConfigRefusal> check(const broker::Settings& before, const broker::Settings& after,
                                         std::string_view group, const ConfigChanges& changes, const Config& config) {
  const bool must_be_sound = sets_something(changes) || is_sound(before, group, config);
  if (must_be_sound && !is_sound(after, group, config)) {
    return refuse(ErrorCode::kInvalidConfig, fmt::format("{} must be greater than {}", kSession.name, kHeartbeat.name));
  }
  if (groups_with_configs(after).size() > limits::kGroupsWithConfigsMax) {
    return refuse(ErrorCode::kPolicyViolation,
                  fmt::format("{} groups have configs of their own: no more can", limits::kGroupsWithConfigsMax));
  }
  return {};
}

}  // namespace

std::span<const GroupConfigRow> group_configs() { return kRows; }

const GroupConfigRow* find_group_config(std::string_view name) {
  const auto found = std::ranges::find(kRows, name, &GroupConfigRow::name);
  return found == std::end(kRows) ? nullptr : found;
}

std::optional<std::string> own_value(const GroupConfigRow& row, const broker::Settings& settings,
                                     std::string_view group) {
  const auto found = settings.values.find(broker::setting_of_group(row.engine_setting, group));
  return found == settings.values.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> groups_with_configs(const broker::Settings& settings) {
  std::set<std::string> groups;
  for (const GroupConfigRow& row : kRows) {
    const std::string prefix = broker::setting_of_group(row.engine_setting, {});
    for (auto it = settings.values.lower_bound(prefix); it != settings.values.end() && it->first.starts_with(prefix);
         ++it) {
      groups.insert(it->first.substr(prefix.size()));
    }
  }
  return {groups.begin(), groups.end()};
}

std::expected<Attributes, ConfigRefusal> group_settings_after(const broker::Settings& settings, std::string_view group,
                                                              const ConfigChanges& changes, const Config& config) {
  if (group.empty()) return refuse(ErrorCode::kInvalidRequest, "there are no configs for all groups: name one");
  if (group.size() > base::limits::kNameBytesMax) {
    return refuse(ErrorCode::kInvalidRequest,
                  fmt::format("a group with configs has a name of at most {} bytes", base::limits::kNameBytesMax));
  }
  broker::Settings after{.values = settings.values};
  if (changes.replace_all) {
    for (const GroupConfigRow& row : kRows) after.values.erase(broker::setting_of_group(row.engine_setting, group));
  }
  std::set<std::string_view> seen;
  for (const ConfigChange& change : changes.changes) {
    if (!seen.insert(change.name).second) {
      return refuse(ErrorCode::kInvalidRequest, fmt::format("{} is in the request more than once", change.name));
    }
    if (auto applied = apply(change, group, after.values); !applied) return std::unexpected(std::move(applied.error()));
  }
  if (auto checked = check(settings, after, group, changes, config); !checked) {
    return std::unexpected(std::move(checked.error()));
  }
  return std::move(after.values);
}

}  // namespace polylog::kafka
