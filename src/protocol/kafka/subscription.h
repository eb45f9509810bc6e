// The one part of a group member's metadata that the broker reads: the topics that it subscribes to. The rest belongs
// to the members alone.
//
//   int16 version | topics: int32 count, then for each int16 size and its name | user data, owned partitions, ...
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

}  // namespace polylog::kafka
