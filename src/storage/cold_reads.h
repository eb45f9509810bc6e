// ColdReads: brings batches that are no longer in RAM back from WAL files, off the core. Neighbours in one file are gathered
// by one read. What comes back is copied and its crc checked: a recycled file is overwritten one day, so nothing is ever
// sent by reference to it; the file is pinned while the read runs.
// Owned by the cell's core.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "io/loop.h"
#include "storage/partition.h"
#include "storage/wal_files.h"

namespace polylog::storage {

class ColdReads {
 public:
  ColdReads(io::Loop& loop, const WalFiles& files) : files_(files), worker_(loop.make_worker("cold-read")) {}

  using Done = std::function<void(base::Result<std::vector<StoredBatch>>)>;
  // Fills in the missing bytes of `batches` (all of `partition`). kCorrupt names file and offset.
  void load(const Partition& partition, std::vector<StoredBatch> batches, Done done);

 private:
  const WalFiles& files_;
  std::unique_ptr<io::Worker> worker_;
};

}  // namespace polylog::storage
