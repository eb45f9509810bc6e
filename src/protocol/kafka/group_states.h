// The words that clients know a group's state and type by, and the filters made of them. Case does not matter in
// filters.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "broker/groups/requests.h"

namespace polylog::kafka {

std::string_view state_name(broker::GroupPhase phase);
std::string_view type_name(broker::GroupKind kind);

// The states of a filter; words that name none are left out, so a filter may come out empty without having been so.
std::vector<broker::GroupPhase> phases_named(std::span<const std::string_view> states);
// Whether the filter lets groups of this kind through; an empty one lets all.
bool is_type_wanted(std::span<const std::string_view> types, broker::GroupKind kind);

}  // namespace polylog::kafka
