#include "broker/groups/requests.h"

namespace polylog::broker {

const char* name_of(GroupError error) {
  switch (error) {
    case GroupError::kNone: return "none";
    case GroupError::kInvalidGroupId: return "invalid_group_id";
    case GroupError::kUnknownMember: return "unknown_member";
    case GroupError::kIllegalGeneration: return "illegal_generation";
    case GroupError::kRebalanceInProgress: return "rebalance_in_progress";
    case GroupError::kMemberIdRequired: return "member_id_required";
    case GroupError::kFencedInstance: return "fenced_instance";
    case GroupError::kInconsistentProtocol: return "inconsistent_protocol";
    case GroupError::kInvalidSessionTimeout: return "invalid_session_timeout";
    case GroupError::kGroupFull: return "group_full";
    case GroupError::kGroupTooLarge: return "group_too_large";
    case GroupError::kNotEmpty: return "not_empty";
    case GroupError::kGroupNotFound: return "group_not_found";
    case GroupError::kSubscribed: return "subscribed";
    case GroupError::kMetadataTooLarge: return "metadata_too_large";
  }
  return "?";
}

const char* name_of(GroupPhase phase) {
  switch (phase) {
    case GroupPhase::kEmpty: return "empty";
    case GroupPhase::kPreparingRebalance: return "preparing_rebalance";
    case GroupPhase::kCompletingRebalance: return "completing_rebalance";
    case GroupPhase::kStable: return "stable";
    case GroupPhase::kDead: return "dead";
  }
  return "?";
}

}  // namespace polylog::broker
