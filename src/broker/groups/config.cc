#include "broker/groups/config.h"

#include <algorithm>
#include <charconv>

namespace polylog::broker {
namespace {

using Settings = std::map<std::string, std::string>;

constexpr char kOfGroup = '@';  // in no setting's name

template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

template <typename Number>
void take(const Settings& settings, std::string_view name, Number& field) {
  const auto found = settings.find(std::string(name));
  if (found != settings.end()) field = number_in<Number>(found->second).value_or(field);
}

void take_each(const Settings& settings, std::string_view name, std::optional<int32_t> ManagedTimes::* time,
               GroupConfig& config) {
  const std::string prefix = setting_of_group(name, {});
  for (auto it = settings.lower_bound(prefix); it != settings.end() && it->first.starts_with(prefix); ++it) {
    config.times_of[it->first.substr(prefix.size())].*time = number_in<int32_t>(it->second);
  }
}

const ManagedTimes* times_of(const GroupConfig& config, const std::string& group) {
  const auto found = config.times_of.find(group);
  return found == config.times_of.end() ? nullptr : &found->second;
}

}  // namespace

int32_t GroupConfig::managed_session_timeout_ms_of(const std::string& group) const {
  const ManagedTimes* own = polylog::broker::times_of(*this, group);
  return own == nullptr ? managed_session_timeout_ms : own->session_timeout_ms.value_or(managed_session_timeout_ms);
}

base::Duration GroupConfig::managed_session_timeout(const std::string& group) const {
  return std::chrono::milliseconds(managed_session_timeout_ms_of(group));
}

// The two are set by different people at different times: one beat that is lost must not put a member out.
int32_t GroupConfig::managed_heartbeat_interval_ms_of(const std::string& group) const {
  const ManagedTimes* own = polylog::broker::times_of(*this, group);
  const int32_t wanted = own == nullptr ? managed_heartbeat_interval_ms
                                        : own->heartbeat_interval_ms.value_or(managed_heartbeat_interval_ms);
  return std::min(wanted, managed_session_timeout_ms_of(group) / 2);
}

std::string setting_of_group(std::string_view setting, std::string_view group) {
  return std::string(setting).append(1, kOfGroup).append(group);
}

GroupConfig with_settings(GroupConfig config, const std::map<std::string, std::string>& settings) {
  take(settings, kSessionTimeoutMinSetting, config.session_timeout_ms_min);
  take(settings, kSessionTimeoutMaxSetting, config.session_timeout_ms_max);
  take(settings, kInitialDelaySetting, config.initial_rebalance_delay_ms);
  take(settings, kMembersMaxSetting, config.members_max);
  take(settings, kManagedSessionTimeoutSetting, config.managed_session_timeout_ms);
  take(settings, kManagedHeartbeatSetting, config.managed_heartbeat_interval_ms);
  take(settings, kCursorRetentionSetting, config.cursor_retention_ms);
  take_each(settings, kManagedSessionTimeoutSetting, &ManagedTimes::session_timeout_ms, config);
  take_each(settings, kManagedHeartbeatSetting, &ManagedTimes::heartbeat_interval_ms, config);
  return config;
}

}  // namespace polylog::broker
