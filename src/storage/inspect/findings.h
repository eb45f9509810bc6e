// What an inspection of stored files says: damage, or something worth a note, each with its place and with what is lost.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "storage/batch_ref.h"
#include "storage/inspect/repairs.h"

namespace polylog::storage {

struct Finding {
  enum class Kind : uint8_t { kDamage, kNote };
  struct Lost {  // the offsets [from, end) of a partition
    base::PartitionKey partition;
    Offset from, end;
  };
  Kind kind = Kind::kDamage;
  std::string file;  // or the directory, where it is about no file
  std::optional<uint64_t> offset;
  std::string what;
  std::optional<Lost> lost;
  std::optional<Repair> repair = {};  // none: nothing that is provably safe
};
using Report = std::function<void(const Finding&)>;

// An error of storage/ as a finding: its text begins "FILE at offset N: ", FILE being in `directory` or a whole path.
Finding to_finding(const base::Error& error, const std::string& directory);

}  // namespace polylog::storage
