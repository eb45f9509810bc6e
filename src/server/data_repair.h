// repair_data: checks a data directory that nobody serves, and does to it what the findings prove to be safe
// (storage/inspect/repairs.h); then checks again, because one repair may show what lies behind, until nothing is left to
// do. Changes the directory in place; to have a copy changed, copy it first (io/copy_directory.h). Blocking.
#pragma once

#include <vector>

#include "server/data_check.h"

namespace polylog::server {

struct FoundDamage {
  storage::Finding finding;
  std::string stream;
};

struct DataRepairOptions {
  io::Disk& disk;
  std::string path;
  // Before anything is changed: what was found. An error ends it, and is the result.
  std::function<base::Result<>(const std::vector<FoundDamage>&)> confirm;
  std::function<void(const storage::Finding&)> repaired;
  std::function<void(const storage::Finding& finding, const std::string& stream)> remains;
  std::function<void(uint64_t bytes)> progress = [](uint64_t) {};
};

// The counts of the last check. Errors: as check_data(), confirm()'s, and kIo, kDiskFull: a repair failed.
base::Result<DataCounts> repair_data(const DataRepairOptions& options);

}  // namespace polylog::server
