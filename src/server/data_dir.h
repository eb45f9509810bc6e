// DataDir: what is fixed when a data directory is created: its format, the cluster's identity, the number of cells.
//
//   polylog.id    text: `format = 1`, `cluster_id = <22 characters>`, `cells = N`
//   polylog.lock  locked while a process serves the directory
//   meta/         storage/local_meta_store.h
//   cell-NNN/     storage/wal_files.h, storage/checkpoint.h
// Blocking, at start-up only. docs/formats/data-directory.md is the prose twin.
#pragma once

#include <memory>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "io/disk.h"

namespace polylog::server {

class DataDir {
 public:
  // Creates it when it is missing or empty, with `cells_wanted` cells; otherwise reads what it is.
  // kInUse: another process serves it. kCorrupt: not ours, or of a newer format.
  static base::Result<DataDir> open(io::Disk& disk, const std::string& path, uint32_t cells_wanted);

  // For looking only: creates and changes nothing. kNotFound: there is none. kInUse, kCorrupt: as above.
  static base::Result<DataDir> open_to_inspect(io::Disk& disk, const std::string& path);
  // The same, and nobody can begin to serve it meanwhile.
  static base::Result<DataDir> open_to_repair(io::Disk& disk, const std::string& path);
  // Only keeps others away: null where nobody ever served it. kInUse, kNotFound: as above.
  static base::Result<std::unique_ptr<io::File>> lock(io::Disk& disk, const std::string& path);

  const std::string& path() const { return path_; }
  const std::string& cluster_id() const { return cluster_id_; }
  uint32_t cells() const { return cells_; }
  std::string meta_path() const { return path_ + "/meta"; }
  std::string cell_path(base::CellId cell) const;

 private:
  static base::Result<std::unique_ptr<io::File>> take_lock(io::Disk& disk, const std::string& path);
  base::Result<> read_id(io::Disk& disk);
  base::Result<> create(io::Disk& disk, uint32_t cells_wanted);
  base::Result<> parse(std::string_view text);

  std::string path_;
  std::string cluster_id_;
  uint32_t cells_ = 0;
  std::unique_ptr<io::File> lock_;
};

}  // namespace polylog::server
