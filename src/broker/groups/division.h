// Division: one division of a managed group's streams, with all that it is made from, so that a large one may be computed on
// another thread while the group goes on. What changed in the group meanwhile is the group's business: managed_targets.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "broker/groups/managed_state.h"

namespace polylog::broker {

using StreamIds = std::vector<std::pair<std::string, base::Uuid>>;  // ascending by name

struct Division {
  struct Member {
    std::string id;
    std::optional<std::string> instance_id;
    StreamNames names = {};                        // that it subscribes to
    std::optional<size_t> pattern = std::nullopt;  // likewise; index in `patterns`
    PartitionList before = {};                     // its target so far
  };

  // --- in
  int32_t base_epoch = 0;  // of the group when this began
  int32_t epoch = 0;       // of the targets
  Assignor assignor = Assignor::kUniform;
  std::shared_ptr<const StreamSizes> sizes;
  std::shared_ptr<const StreamIds> ids;           // of the members' names
  std::vector<std::vector<base::Uuid>> patterns;  // the streams that each stands for
  std::vector<Member> members;                    // ascending by id

  // --- out
  std::vector<PartitionList> given;  // in the order of `members`

  bool is_small();  // so that it takes no more than a moment, as does the answer
  void run();       // once; reads and writes nothing but this

 private:
  void tell_wishes_apart();
  std::vector<base::Uuid> streams_of(const Member& member) const;

  std::vector<size_t> wish_of_;     // by member
  std::vector<size_t> who_wishes_;  // by wish: one of its members
};

}  // namespace polylog::broker
