// WalSource: the files of one cell's WAL as recovery reads them. The live WAL is one (storage/wal_files.h), a directory that
// is only looked at is another (storage/inspect/stored_cell.h).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "io/disk.h"

namespace polylog::storage {

class WalSource {
 public:
  virtual ~WalSource() = default;
  virtual std::vector<uint64_t> sequence_numbers() const = 0;           // ascending
  virtual std::shared_ptr<io::File> file(uint64_t file_seq) const = 0;  // null if unknown
  virtual uint64_t file_bytes() const = 0;                              // of each
};

}  // namespace polylog::storage
