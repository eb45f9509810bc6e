// PassingFile, PassingDisk: hand every call on to another. For tests whose disk does one thing differently: they override
// that and no more. They hold no state, inject no fault and count nothing.
#pragma once

#include "io/disk.h"

namespace polylog::io {

class PassingFile : public File {
 public:
  explicit PassingFile(std::unique_ptr<File> under) : under_(std::move(under)) {}
  base::Result<> read_at(base::MutView out, uint64_t offset) override { return under_->read_at(out, offset); }
  base::Result<> write_at(std::span<const base::View> pieces, uint64_t offset) override {
    return under_->write_at(pieces, offset);
  }
  base::Result<> sync_data() override { return under_->sync_data(); }
  base::Result<> write_out(uint64_t offset, uint64_t bytes) override { return under_->write_out(offset, bytes); }
  base::Result<uint64_t> size() override { return under_->size(); }
  base::Result<> truncate(uint64_t size) override { return under_->truncate(size); }
  base::Result<> fill_with_zeros(uint64_t size, ZeroPace pace) override { return under_->fill_with_zeros(size, pace); }
  base::Result<> allocate(uint64_t size) override { return under_->allocate(size); }
  void prefetch(uint64_t offset, uint64_t bytes) override { under_->prefetch(offset, bytes); }

 private:
  std::unique_ptr<File> under_;
};

class PassingDisk : public Disk {
 public:
  explicit PassingDisk(Disk& under) : under_(under) {}
  base::Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    return under_.open(path, mode);
  }
  base::Result<std::vector<std::string>> list(const std::string& directory) override { return under_.list(directory); }
  base::Result<> make_directory(const std::string& path) override { return under_.make_directory(path); }
  base::Result<> rename(const std::string& from, const std::string& to) override { return under_.rename(from, to); }
  base::Result<> remove(const std::string& path) override { return under_.remove(path); }
  base::Result<> sync_directory(const std::string& path) override { return under_.sync_directory(path); }
  base::Result<Space> space(const std::string& path) override { return under_.space(path); }
  base::Result<std::unique_ptr<File>> lock(const std::string& path) override { return under_.lock(path); }

 private:
  Disk& under_;
};

}  // namespace polylog::io
