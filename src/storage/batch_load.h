// BatchLoad: one job that brings the bytes of batches from WAL files and packs into memory, for whoever reads on a worker.
// Neighbours in one file are gathered by one read. Every batch's crc is checked; the files are pinned while the job lives.
// Made on the cell's core, run on a worker, taken apart on the core again.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "storage/batch_ref.h"

namespace polylog::storage {

class BatchLoad {
 public:
  // Where a batch's pieces lie; null: no such file (an error when it is run).
  using FileOf = std::function<std::shared_ptr<io::File>(uint64_t file_seq)>;

  // `pieces` of a batch whose bytes are at hand are not needed.
  void add(StoredBatch batch, std::vector<Piece> pieces, const FileOf& file_of);
  // kCorrupt names file and offset.
  base::Result<> run();
  std::vector<StoredBatch>& batches() { return batches_; }
  void unpin() { files_.clear(); }

 private:
  struct Wanted {
    size_t index;
    std::vector<Piece> pieces;
  };
  base::Result<base::Slice> read_run(const Piece& first, uint64_t end_offset);
  base::Result<> read_in_pieces(const Wanted& want);
  base::Result<> keep(const Wanted& want, base::Slice bytes);

  std::vector<StoredBatch> batches_;
  std::vector<Wanted> wanted_;
  std::map<uint64_t, std::shared_ptr<io::File>> files_;
};

}  // namespace polylog::storage
