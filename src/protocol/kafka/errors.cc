#include "protocol/kafka/errors.h"

namespace polylog::kafka {

ErrorRow wire_error(base::ErrorCode error) {
  switch (error) {
    case base::ErrorCode::kMalformed: return {ErrorCode::kInvalidRequest, false};
    case base::ErrorCode::kTooLarge: return {ErrorCode::kMessageTooLarge};
    case base::ErrorCode::kNotFound: return {ErrorCode::kUnknownTopicOrPartition};
    case base::ErrorCode::kExists: return {ErrorCode::kTopicAlreadyExists};
    case base::ErrorCode::kInvalid: return {ErrorCode::kInvalidRequest};
    case base::ErrorCode::kInUse: return {ErrorCode::kInvalidRequest};
    case base::ErrorCode::kLocked: return {ErrorCode::kTopicAuthorizationFailed};  // another connection's own stream
    case base::ErrorCode::kNotAllowed: return {ErrorCode::kTopicAuthorizationFailed};
    case base::ErrorCode::kUnsupported: return {ErrorCode::kUnsupportedVersion};
    case base::ErrorCode::kOutOfRange: return {ErrorCode::kOffsetOutOfRange};
    case base::ErrorCode::kOutOfOrder: return {ErrorCode::kOutOfOrderSequenceNumber};
    case base::ErrorCode::kDuplicate: return {ErrorCode::kDuplicateSequenceNumber};
    case base::ErrorCode::kFenced: return {ErrorCode::kInvalidProducerEpoch};
    case base::ErrorCode::kConflict: return {ErrorCode::kUnknownServerError};
    case base::ErrorCode::kLimit: return {ErrorCode::kPolicyViolation};
    case base::ErrorCode::kDiskFull: return {ErrorCode::kKafkaStorageError};
    case base::ErrorCode::kIo: return {ErrorCode::kKafkaStorageError};
    case base::ErrorCode::kCorrupt: return {ErrorCode::kKafkaStorageError};
    // Nothing was appended, and trying again helps: the one retriable code that says both.
    case base::ErrorCode::kOverloaded: return {ErrorCode::kNotEnoughReplicas};
    case base::ErrorCode::kStopping: return {ErrorCode::kNotLeaderOrFollower};
    case base::ErrorCode::kTimeout: return {ErrorCode::kRequestTimedOut};
  }
  return {ErrorCode::kUnknownServerError};
}

ErrorCode to_wire(broker::GroupError error) {
  using broker::GroupError;
  switch (error) {
    case GroupError::kNone: return ErrorCode::kNone;
    case GroupError::kInvalidGroupId: return ErrorCode::kInvalidGroupId;
    case GroupError::kUnknownMember: return ErrorCode::kUnknownMemberId;
    case GroupError::kIllegalGeneration: return ErrorCode::kIllegalGeneration;
    case GroupError::kRebalanceInProgress: return ErrorCode::kRebalanceInProgress;
    case GroupError::kMemberIdRequired: return ErrorCode::kMemberIdRequired;
    case GroupError::kFencedInstance: return ErrorCode::kFencedInstanceId;
    case GroupError::kInconsistentProtocol: return ErrorCode::kInconsistentGroupProtocol;
    case GroupError::kInvalidSessionTimeout: return ErrorCode::kInvalidSessionTimeout;
    case GroupError::kGroupFull: return ErrorCode::kGroupMaxSizeReached;
    case GroupError::kNoMemory: return ErrorCode::kGroupMaxSizeReached;
    case GroupError::kUnavailable: return ErrorCode::kCoordinatorNotAvailable;
    case GroupError::kGroupTooLarge: return ErrorCode::kGroupMaxSizeReached;
    case GroupError::kNotEmpty: return ErrorCode::kNonEmptyGroup;
    case GroupError::kGroupNotFound: return ErrorCode::kGroupIdNotFound;
    case GroupError::kSubscribed: return ErrorCode::kGroupSubscribedToTopic;
    case GroupError::kWrongKind: return ErrorCode::kGroupIdNotFound;
    case GroupError::kFencedEpoch: return ErrorCode::kFencedMemberEpoch;
    case GroupError::kStaleEpoch: return ErrorCode::kStaleMemberEpoch;
    case GroupError::kUnreleasedInstance: return ErrorCode::kUnreleasedInstanceId;
    case GroupError::kBadPattern: return ErrorCode::kInvalidRegularExpression;
    case GroupError::kUnsupported: return ErrorCode::kUnsupportedVersion;
    case GroupError::kMetadataTooLarge: return ErrorCode::kOffsetMetadataTooLarge;
  }
  return ErrorCode::kUnknownServerError;
}

ErrorCode for_version(ErrorCode code, ApiKey key, int16_t version) {
  switch (key) {
    case ApiKey::kFetch:
      if (code == ErrorCode::kKafkaStorageError && version <= 5) return ErrorCode::kNotLeaderOrFollower;
      return code;
    case ApiKey::kProduce:
      if (code == ErrorCode::kKafkaStorageError && version <= 3) return ErrorCode::kNotLeaderOrFollower;
      return code;
    case ApiKey::kOffsetCommit:
      if (code == ErrorCode::kGroupIdNotFound && version < 9) return ErrorCode::kIllegalGeneration;
      if (code == ErrorCode::kGroupMaxSizeReached) return ErrorCode::kInvalidCommitOffsetSize;  // to be kept at all
      return code;
    default: return code;
  }
}

}  // namespace polylog::kafka
