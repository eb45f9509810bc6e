#include "broker/groups/config.h"

#include <charconv>

namespace polylog::broker {
namespace {

template <typename Number>
void take(const std::map<std::string, std::string>& settings, std::string_view name, Number& field) {
  const auto found = settings.find(std::string(name));
  if (found == settings.end()) return;
  const std::string& text = found->second;
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc() && end == text.data() + text.size()) field = value;
}

}  // namespace

GroupConfig with_settings(GroupConfig config, const std::map<std::string, std::string>& settings) {
  take(settings, kSessionTimeoutMinSetting, config.session_timeout_ms_min);
  take(settings, kSessionTimeoutMaxSetting, config.session_timeout_ms_max);
  take(settings, kInitialDelaySetting, config.initial_rebalance_delay_ms);
  take(settings, kMembersMaxSetting, config.members_max);
  take(settings, kCursorRetentionSetting, config.cursor_retention_ms);
  return config;
}

}  // namespace polylog::broker
