// Checks the bytes that partitions name: batches in WAL files and packs, and segments with their index and batches.
#pragma once

#include <set>

#include "storage/inspect/cell_check.h"
#include "storage/inspect/stored_cell.h"
#include "storage/partition.h"
#include "storage/segment.h"

namespace polylog::storage {

class BatchCheck {
 public:
  BatchCheck(const StoredCell& files, const CellCheckOptions& options, CellCounts& counts)
      : files_(files), options_(options), counts_(counts) {}
  void check(const Partition& partition);
  // By path: packs and segments that some partition named.
  const std::set<std::string>& named() const { return named_; }

 private:
  void check_batch(const Partition& partition, const BatchRef& ref);
  void check_segment(const base::PartitionKey& key, const SegmentRef& segment);
  void check_index_block(const SegmentReader::IndexBlock& block);
  void check_segment_batch(const BatchRef& ref);
  void check_totals();
  void damage(std::string file, std::optional<uint64_t> offset, std::string what, const base::PartitionKey& key,
              Offset from, Offset end);
  void damage_segment(std::optional<uint64_t> offset, std::string what, Offset from, Offset end);
  void damage_index(std::optional<uint64_t> offset, std::string what, Offset from, Offset end);

  const StoredCell& files_;
  const CellCheckOptions& options_;
  CellCounts& counts_;
  std::set<std::string> named_;
  std::vector<uint8_t> buffer_;

  struct Walk {  // of the segment that is being checked
    base::PartitionKey key;
    SegmentReader::Source source;
    std::string path;
    Offset next;
    uint32_t batches = 0;
    uint64_t bytes = 0;
    base::WallTime max_ts;
    bool is_whole = true, has_damaged_index = false;
  } walk_;
};

}  // namespace polylog::storage
