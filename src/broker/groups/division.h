// Division: one division of a managed group's streams, with all that it is made from, so that a large one may be computed on
// another thread while the group goes on. What changed in the group meanwhile is the group's business: managed_targets.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "broker/groups/managed_state.h"

namespace polylog::broker {

struct Division {
  struct Member {
    std::string id;
    std::optional<std::string> instance_id;
    size_t wish = 0;       // index in `wishes`
    PartitionList before;  // its target so far
  };

  // --- in
  int32_t base_epoch = 0;  // of the group when this began
  int32_t epoch = 0;       // of the targets
  Assignor assignor = Assignor::kUniform;
  std::shared_ptr<const StreamSizes> sizes;
  std::vector<std::vector<base::Uuid>> wishes;  // each once; of streams: ascending, each once
  std::vector<Member> members;                  // ascending by id

  // --- out
  std::vector<PartitionList> given;  // in the order of `members`

  bool is_small() const;  // so that it takes no more than a moment
  void run();             // once; reads and writes nothing but this
};

}  // namespace polylog::broker
