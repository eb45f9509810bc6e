// check_cell: looks at every byte of a cell that its state names, and says what is damaged, where, and what is lost by it.
// Reads only; blocking; for a cell that nobody serves. Judges as recovery does (docs/formats/wal.md), but goes on behind
// damage to find all of it. What is behind the engine's mutations and objects, `engine` is asked. Not here: the catalog.
#pragma once

#include "io/disk.h"
#include "storage/checkpoint.h"
#include "storage/inspect/findings.h"
#include "storage/mutation.h"

namespace polylog::storage {

struct CellCheckOptions {
  io::Disk& disk;
  std::string directory;
  base::CellId cell;
  Report report;
  std::function<base::Result<>(const Mutation&, Lsn)> engine_mutation;
  std::function<base::Result<>(const CheckpointObject&)> engine_object;
  std::function<void(uint64_t bytes)> progress = [](uint64_t) {};  // so many more were checked
};

struct CellCounts {
  uint64_t slots = 0, mutations = 0, objects = 0, batches = 0, segments = 0, bytes = 0;
};

struct PartitionRange {
  base::PartitionKey key;
  Offset start, end;
};
struct CellContents {
  CellCounts counts;
  std::vector<PartitionRange> partitions;
};

// Errors: kIo, kNotFound: the directory or a file in it cannot be read at all.
base::Result<CellContents> check_cell(const CellCheckOptions& options);

}  // namespace polylog::storage
