// What the broker reads and writes of the bytes that members of classic groups exchange: the topics that a member
// subscribes to, the partitions that it says it owns, and, where the broker divides the partitions, an assignment. The
// rest belongs to the members alone.
//
//   metadata     int16 version | topics: int32 count, then for each int16 size and its name | user data: int32 size, bytes
//                | from version 1: owned: int32 count, then for each a topic: int16 size and its name,
//                int32 count and int32 partitions | ...
//   assignment   int16 version | topics as in "owned" | user data
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "broker/groups/requests.h"
#include "protocol/kafka/gen/join_group.h"

namespace polylog::kafka {

inline constexpr std::string_view kConsumerProtocolType = "consumer";

// The topics in one member's metadata, if it can be read. Every version begins alike, and what follows the topics may
// be missing: some clients write less than their version promises.
broker::Subscriptions subscription_of(base::View metadata);

// The topics in all of the member's protocols together, sorted. nullopt: the protocol type is not the consumers', or
// one of its protocols cannot be read, and so nobody but the members knows.
broker::Subscriptions subscriptions_of(const JoinGroupRequest& request);

// The partitions in any of the member's protocols; nothing, where none can be read. Members of eager protocols own none
// when they join.
std::vector<broker::CursorKey> owned_of(const JoinGroupRequest& request);

// Version 0, which every client reads.
std::vector<uint8_t> assignment_of(const std::vector<broker::CursorKey>& partitions);

}  // namespace polylog::kafka
