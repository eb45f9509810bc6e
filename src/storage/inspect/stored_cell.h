// StoredCell: the files of a cell that nobody serves, opened for reading only, while they are read. Creates, changes and removes nothing.
// Blocking. Errors: kIo where the directory cannot be read; what is odd about a file is reported, and the file left out.
#pragma once

#include <map>

#include "storage/extent_file.h"
#include "storage/inspect/findings.h"
#include "storage/open_files.h"
#include "storage/wal.h"
#include "storage/wal_source.h"

namespace polylog::storage {

class StoredCell final : public WalSource {
 public:
  StoredCell(io::Disk& disk, std::string directory, base::CellId cell)
      : disk_(disk),
        directory_(std::move(directory)),
        cell_(cell),
        open_files_(std::make_shared<OpenFiles>(disk, base::limits::kOpenFilesMin)) {}
  base::Result<> open(const Report& report);

  std::vector<uint64_t> sequence_numbers() const override;
  std::shared_ptr<io::File> file(uint64_t file_seq) const override;
  uint64_t file_bytes() const override { return file_bytes_; }

  const std::string& directory() const { return directory_; }
  base::CellId cell() const { return cell_; }
  const std::vector<std::string>& names() const { return names_; }  // all there are
  std::shared_ptr<io::File> segment(uint64_t id) const;
  // Of a piece of a batch: a WAL file or a pack. Null: it is missing.
  std::shared_ptr<io::File> file_of(const WalPosition& at) const;
  std::string name_of(const WalPosition& at) const;

  // A header that verifies, of a slot that is meant for that place. Its body is not looked at.
  struct FoundHeader {
    SlotHeader header;
    uint32_t crc = 0;
  };
  std::optional<FoundHeader> header_at(WalPosition at) const;
  bool body_verifies(const SlotHeader& header) const;

  // The first sound slot at or behind `from`, later than the one that is due in `due`: where replay can go on.
  std::optional<WalEnd> slot_after(WalPosition from, const WalEnd& due) const;

 private:
  base::Result<> find_log_file_size();
  base::Result<> open_wal_file(const std::string& name, const Report& report);
  base::Result<> open_extent(const std::string& file_name, const ExtentName& name, const Report& report);
  std::optional<Repair> new_head(io::File& file, const std::string& path, const ExtentName& name) const;
  std::optional<WalEnd> slot_at(WalPosition at, const WalEnd& due) const;

  io::Disk& disk_;
  const std::string directory_;
  const base::CellId cell_;
  const std::shared_ptr<OpenFiles> open_files_;
  std::vector<std::string> names_;
  std::map<uint64_t, std::shared_ptr<io::File>> wal_, packs_, segments_;
  uint64_t file_bytes_ = 0;
};

}  // namespace polylog::storage
