#include "protocol/kafka/group_states.h"

#include <doctest/doctest.h>

#include "protocol/kafka/errors.h"

namespace polylog::kafka {
namespace {

using broker::GroupError;
using broker::GroupPhase;
using Words = std::vector<std::string_view>;

TEST_CASE("kafka group states: filters find states whatever the case") {
  CHECK(phases_named(Words{"stable", "EMPTY"}) == std::vector{GroupPhase::kEmpty, GroupPhase::kStable});
  CHECK(phases_named(Words{"assigning", "Reconciling"}) ==
        std::vector{GroupPhase::kAssigning, GroupPhase::kReconciling});
  CHECK(phases_named(Words{"PreparingRebalance"}) == std::vector{GroupPhase::kPreparingRebalance});
}

TEST_CASE("kafka group states: words that name no state of ours find nothing") {
  CHECK(phases_named(Words{"Assign", "stabl", "stablee", ""}).empty());
  CHECK(phases_named({}).empty());
}

TEST_CASE("kafka group types: ours are classic and consumer") {
  using enum broker::GroupKind;
  CHECK(is_type_wanted({}, kMemberLed));
  CHECK(is_type_wanted(Words{"share", "Classic"}, kMemberLed));
  CHECK_FALSE(is_type_wanted(Words{"consumer", "share"}, kMemberLed));
  CHECK(is_type_wanted(Words{"CONSUMER"}, kManaged));
  CHECK_FALSE(is_type_wanted(Words{"classic", "share"}, kManaged));
}

TEST_CASE("kafka group errors: each has the code that clients act on") {
  CHECK(to_wire(GroupError::kNone) == ErrorCode::kNone);
  CHECK(to_wire(GroupError::kIllegalGeneration) == ErrorCode{22});
  CHECK(to_wire(GroupError::kInconsistentProtocol) == ErrorCode{23});
  CHECK(to_wire(GroupError::kInvalidGroupId) == ErrorCode{24});
  CHECK(to_wire(GroupError::kUnknownMember) == ErrorCode{25});
  CHECK(to_wire(GroupError::kInvalidSessionTimeout) == ErrorCode{26});
  CHECK(to_wire(GroupError::kRebalanceInProgress) == ErrorCode{27});
  CHECK(to_wire(GroupError::kMetadataTooLarge) == ErrorCode{12});
  CHECK(to_wire(GroupError::kNotEmpty) == ErrorCode{68});
  CHECK(to_wire(GroupError::kGroupNotFound) == ErrorCode{69});
  CHECK(to_wire(GroupError::kMemberIdRequired) == ErrorCode{79});
  CHECK(to_wire(GroupError::kGroupFull) == ErrorCode{81});
  CHECK(to_wire(GroupError::kFencedInstance) == ErrorCode{82});
  CHECK(to_wire(GroupError::kSubscribed) == ErrorCode{86});
  CHECK(to_wire(GroupError::kWrongKind) == ErrorCode{69});
  CHECK(to_wire(GroupError::kFencedEpoch) == ErrorCode{110});
  CHECK(to_wire(GroupError::kUnreleasedInstance) == ErrorCode{111});
  CHECK(to_wire(GroupError::kStaleEpoch) == ErrorCode{113});
  CHECK(to_wire(GroupError::kBadPattern) == ErrorCode{128});
  CHECK(to_wire(GroupError::kUnsupported) == ErrorCode{35});
}

TEST_CASE("kafka group errors: a commit to a group that is gone is told in words of its version") {
  CHECK(for_version(ErrorCode::kGroupIdNotFound, ApiKey::kOffsetCommit, 8) == ErrorCode::kIllegalGeneration);
  CHECK(for_version(ErrorCode::kGroupIdNotFound, ApiKey::kOffsetCommit, 9) == ErrorCode::kGroupIdNotFound);
}

}  // namespace
}  // namespace polylog::kafka
