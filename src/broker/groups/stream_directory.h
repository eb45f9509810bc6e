// StreamDirectory: what managed groups must know of the streams there are. Implemented by the cell that owns the groups,
// over its core's copy of the catalog; called on that core only. Never asked while state is rebuilt from the log.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "base/ids.h"

namespace polylog::broker {

class StreamDirectory {
 public:
  struct Entry {
    base::Uuid id;
    uint32_t partition_count = 0;
  };
  virtual ~StreamDirectory() = default;
  virtual std::optional<Entry> find_stream(std::string_view name) const = 0;
  virtual void each_stream(const std::function<void(std::string_view name, const Entry&)>& visit) const = 0;
};

}  // namespace polylog::broker
