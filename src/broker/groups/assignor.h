// How a managed group's partitions are divided among its members. Pure functions: equal input gives equal output.
// Every partition of a stream that anybody subscribes to goes to exactly one of its subscribers.
//
//   uniform   sizes differ by as little as subscriptions allow (by 1 at most if all subscribe to the same), and whoever
//             has a partition keeps it unless the balance needs it
//   range     stream by stream, a run of neighbouring partitions each, in the order of instance ids, then of member ids
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "broker/groups/requests.h"

namespace polylog::broker {

std::string_view name_of(Assignor assignor);
std::optional<Assignor> assignor_named(std::string_view name);

struct AssignorMember {
  std::string_view id;
  std::string_view instance_id;                   // empty: none
  const std::vector<base::Uuid>* streams;         // subscribed to; ascending, each once; never null, often shared
  const std::vector<base::PartitionKey>* before;  // what it was given last; never null
};
using StreamSizes = std::map<base::Uuid, uint32_t>;  // partitions of each stream

// What each member gets, ascending, in the order of `members` (which must be ascending by id). Streams that are not in
// `sizes` are taken as absent.
std::vector<std::vector<base::PartitionKey>> assign(Assignor assignor, const std::vector<AssignorMember>& members,
                                                    const StreamSizes& sizes);

}  // namespace polylog::broker
