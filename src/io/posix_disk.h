// PosixDisk: Disk over libc calls. Stateless; one may be shared by all threads.
#pragma once

#include "io/disk.h"

namespace polylog::io {

class PosixDisk final : public Disk {
 public:
  base::Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  base::Result<uint64_t> file_bytes(const std::string& path) override;
  base::Result<std::vector<std::string>> list(const std::string& directory) override;
  base::Result<> make_directory(const std::string& path) override;
  base::Result<> rename(const std::string& from, const std::string& to) override;
  base::Result<> remove(const std::string& path) override;
  base::Result<> sync_directory(const std::string& path) override;
  base::Result<Space> space(const std::string& path) override;
  base::Result<std::unique_ptr<File>> lock(const std::string& path) override;
};

}  // namespace polylog::io
