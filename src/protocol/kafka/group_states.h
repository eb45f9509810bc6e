// The words that clients know a group's state and type by, and the filters made of them. Case does not matter in
// filters.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "broker/groups/requests.h"

namespace polylog::kafka {

inline constexpr std::string_view kGroupType = "classic";  // the only one so far

std::string_view state_name(broker::GroupPhase phase);

// The states of a filter; words that name none are left out, so a filter may come out empty without having been so.
std::vector<broker::GroupPhase> phases_named(std::span<const std::string_view> states);
// Whether the filter lets our groups through; an empty one lets all.
bool is_type_wanted(std::span<const std::string_view> types);

}  // namespace polylog::kafka
