// check_data: looks at a whole data directory that nobody serves: its identity, the meta store and the catalog in it, and
// each cell (storage/inspect/cell_check.h). Reads only. What it finds goes to `report`, with the stream's name where the
// catalog has one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "io/disk.h"
#include "server/data_dir.h"
#include "storage/inspect/findings.h"

namespace polylog::server {

struct DataCheckOptions {
  io::Disk& disk;
  std::string path;
  std::function<void(const storage::Finding& finding, const std::string& stream)> report;
  std::function<void(uint64_t bytes)> progress = [](uint64_t) {};
};

struct DataCounts {
  uint64_t cells = 0, streams = 0, partitions = 0, slots = 0, mutations = 0, objects = 0, batches = 0, segments = 0;
  uint64_t bytes = 0, damages = 0, notes = 0;
};

// Errors: the directory cannot be checked at all: kNotFound, kInUse, kIo.
base::Result<DataCounts> check_data(const DataCheckOptions& options);
// Of one that is open, or could not be opened.
base::Result<DataCounts> check_opened(const DataCheckOptions& options, const base::Result<DataDir>& dir);

}  // namespace polylog::server
