#include "protocol/kafka/group_states.h"

#include <algorithm>

namespace polylog::kafka {
namespace {

using broker::GroupPhase;

constexpr GroupPhase kPhases[] = {
    GroupPhase::kEmpty,     GroupPhase::kPreparingRebalance, GroupPhase::kCompletingRebalance,
    GroupPhase::kAssigning, GroupPhase::kReconciling,        GroupPhase::kStable,
    GroupPhase::kDead};

char lowered(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_same_word(std::string_view a, std::string_view b) { return std::ranges::equal(a, b, {}, lowered, lowered); }

}  // namespace

std::string_view state_name(GroupPhase phase) {
  switch (phase) {
    case GroupPhase::kEmpty: return "Empty";
    case GroupPhase::kPreparingRebalance: return "PreparingRebalance";
    case GroupPhase::kCompletingRebalance: return "CompletingRebalance";
    case GroupPhase::kAssigning: return "Assigning";
    case GroupPhase::kReconciling: return "Reconciling";
    case GroupPhase::kStable: return "Stable";
    case GroupPhase::kDead: return "Dead";
  }
  return "Unknown";
}

std::string_view type_name(broker::GroupKind kind) {
  return kind == broker::GroupKind::kManaged ? "consumer" : "classic";
}

std::vector<GroupPhase> phases_named(std::span<const std::string_view> states) {
  std::vector<GroupPhase> phases;
  for (const GroupPhase phase : kPhases) {
    if (std::ranges::any_of(states, [&](std::string_view word) { return is_same_word(word, state_name(phase)); })) {
      phases.push_back(phase);
    }
  }
  return phases;
}

bool is_type_wanted(std::span<const std::string_view> types, broker::GroupKind kind) {
  return types.empty() ||
         std::ranges::any_of(types, [&](std::string_view word) { return is_same_word(word, type_name(kind)); });
}

}  // namespace polylog::kafka
