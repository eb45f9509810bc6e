// CutDisk: a Disk whose power fails in the middle of a job: between a write and its sync, between a sync and a rename.
//
// Contract: cut_after(n) lets n more calls that change something through; from then on every call fails, nothing changes,
// and dark() is true: whoever runs the world crashes it before the next event, so that nobody reacts to the errors.
#pragma once

#include <memory>

#include "io/disk.h"

namespace polylog::sim {

class CutDisk final : public io::Disk {
 public:
  explicit CutDisk(io::Disk& under) : power_(std::make_shared<Power>()), under_(under) {}

  void cut_after(uint64_t changes) { power_->changes_left = changes; }
  void restore() { *power_ = {}; }
  bool dark() const { return power_->changes_left == 0; }

  base::Result<std::unique_ptr<io::File>> open(const std::string& path, io::OpenMode mode) override;
  base::Result<std::vector<std::string>> list(const std::string& directory) override;
  base::Result<> make_directory(const std::string& path) override;
  base::Result<> rename(const std::string& from, const std::string& to) override;
  base::Result<> remove(const std::string& path) override;
  base::Result<> sync_directory(const std::string& path) override;
  base::Result<Space> space(const std::string& path) override { return under_.space(path); }
  base::Result<std::unique_ptr<io::File>> lock(const std::string& path) override { return under_.lock(path); }

 private:
  friend class CutFile;
  struct Power {
    uint64_t changes_left = UINT64_MAX;
    base::Result<> check() const;
    base::Result<> change();
  };
  std::shared_ptr<Power> power_;
  io::Disk& under_;
};

}  // namespace polylog::sim
