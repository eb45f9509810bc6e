// Options of the group engine. Units come last in each name; defaults suit an ordinary server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/time.h"

namespace polylog::broker {

// Of one managed group, where it differs from what holds for all.
struct ManagedTimes {
  std::optional<int32_t> session_timeout_ms, heartbeat_interval_ms;
};

struct GroupConfig {
  int32_t session_timeout_ms_min = 6'000;
  int32_t session_timeout_ms_max = 1'800'000;
  int32_t initial_rebalance_delay_ms = 3'000;  // an empty group waits this long for more members; 0 = not at all
  size_t members_max = 10'000;                 // also bounds the ids handed out and not used yet
  int64_t cursor_retention_ms = 7LL * 24 * 3600 * 1000;
  int64_t expiry_check_interval_ms = 600'000;
  int32_t managed_session_timeout_ms = 45'000;    // a silent member of a managed group is out
  int32_t managed_heartbeat_interval_ms = 5'000;  // what its members are told to keep
  size_t metadata_bytes_max = 4'096;              // of one committed cursor
  size_t mutation_bytes_max = base::limits::kSlotPartBytesMax - 4 * base::limits::kKiB;  // bounds a group's roster
  size_t memory_bytes_max = SIZE_MAX;                 // of all groups of a cell: then nothing new is taken in
  std::map<std::string, ManagedTimes> times_of = {};  // by group

  base::Duration managed_session_timeout(const std::string& group) const;
  int32_t managed_session_timeout_ms_of(const std::string& group) const;
  int32_t managed_heartbeat_interval_ms_of(const std::string& group) const;  // at most half of the session timeout
};

// What can be set while the broker runs (catalog/records.h: Settings): a decimal value each. Whoever sets one has checked
// it; what is no number changes nothing.
inline constexpr std::string_view kSessionTimeoutMinSetting = "groups.session_timeout_ms_min";
inline constexpr std::string_view kSessionTimeoutMaxSetting = "groups.session_timeout_ms_max";
inline constexpr std::string_view kInitialDelaySetting = "groups.initial_rebalance_delay_ms";
inline constexpr std::string_view kMembersMaxSetting = "groups.members_max";
inline constexpr std::string_view kManagedSessionTimeoutSetting = "groups.managed_session_timeout_ms";
inline constexpr std::string_view kManagedHeartbeatSetting = "groups.managed_heartbeat_interval_ms";
inline constexpr std::string_view kCursorRetentionSetting = "groups.cursor_retention_ms";
// The name of the setting for one group: of the two that are of managed groups.
std::string setting_of_group(std::string_view setting, std::string_view group);
GroupConfig with_settings(GroupConfig config, const std::map<std::string, std::string>& settings);

}  // namespace polylog::broker
