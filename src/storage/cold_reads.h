// ColdReads: brings batches that are no longer in RAM back from disk, off the core: from WAL files and packs one by one
// (storage/batch_load.h), from segments through their index (storage/segment.h). What comes from a WAL file is copied: it is
// overwritten one day. What comes from a segment may be a span of the file, to be sent as it is.
// Owned by the cell's core.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "io/loop.h"
#include "storage/batch_load.h"
#include "storage/segment.h"

namespace polylog::storage {

class ColdReads {
 public:
  explicit ColdReads(io::Loop& loop);

  using Done = std::function<void(base::Result<std::vector<StoredBatch>>)>;
  // Fills in the missing bytes of the batches that were added. kCorrupt names file and offset.
  void load(std::shared_ptr<BatchLoad> load, Done done);
  void read(SegmentReader::Source source, SegmentReader::Wish wish, Done done);
  using Found = std::function<void(base::Result<std::optional<BatchRef>>)>;
  // In the first of these segments that has a batch from `from` on with max_ts >= ts.
  void find_by_time(std::vector<SegmentReader::Source> sources, Offset from, base::WallTime ts, Found done);

 private:
  std::shared_ptr<SegmentReader> segments_;  // used on the worker only
  std::unique_ptr<io::Worker> worker_;
};

}  // namespace polylog::storage
