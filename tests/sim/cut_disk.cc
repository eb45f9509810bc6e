#include "tests/sim/cut_disk.h"

namespace polylog::sim {

using base::Result;

Result<> CutDisk::Power::check() const {
  if (changes_left == 0) return base::fail(base::ErrorCode::kIo, "the power is off");
  return {};
}

// The change that uses up the last one finds the dark already.
Result<> CutDisk::Power::change() {
  TRY(check());
  if (changes_left != UINT64_MAX) --changes_left;
  return check();
}

class CutFile final : public io::File {
 public:
  CutFile(std::unique_ptr<io::File> under, std::shared_ptr<CutDisk::Power> power)
      : under_(std::move(under)), power_(std::move(power)) {}
  Result<> read_at(base::MutView out, uint64_t offset) override {
    TRY(power_->check());
    return under_->read_at(out, offset);
  }
  Result<> write_at(std::span<const base::View> pieces, uint64_t offset) override {
    TRY(power_->change());
    return under_->write_at(pieces, offset);
  }
  Result<> sync_data() override {
    TRY(power_->change());
    return under_->sync_data();
  }
  Result<> write_out(uint64_t offset, uint64_t bytes) override {
    TRY(power_->check());
    return under_->write_out(offset, bytes);
  }
  Result<uint64_t> size() override {
    TRY(power_->check());
    return under_->size();
  }
  Result<> truncate(uint64_t size) override {
    TRY(power_->change());
    return under_->truncate(size);
  }
  Result<> fill_with_zeros(uint64_t size, io::ZeroPace pace) override {
    TRY(power_->change());
    return under_->fill_with_zeros(size, pace);
  }
  Result<> allocate(uint64_t size) override {
    TRY(power_->change());
    return under_->allocate(size);
  }

 private:
  std::unique_ptr<io::File> under_;
  std::shared_ptr<CutDisk::Power> power_;
};

Result<std::unique_ptr<io::File>> CutDisk::open(const std::string& path, io::OpenMode mode) {
  TRY(mode == io::OpenMode::kRead ? power_->check() : power_->change());
  TRY_ASSIGN(auto file, under_.open(path, mode));
  return std::make_unique<CutFile>(std::move(file), power_);
}

Result<std::vector<std::string>> CutDisk::list(const std::string& directory) {
  TRY(power_->check());
  return under_.list(directory);
}

Result<> CutDisk::make_directory(const std::string& path) {
  TRY(power_->check());
  return under_.make_directory(path);
}

Result<> CutDisk::rename(const std::string& from, const std::string& to) {
  TRY(power_->change());
  return under_.rename(from, to);
}

Result<> CutDisk::remove(const std::string& path) {
  TRY(power_->change());
  return under_.remove(path);
}

Result<> CutDisk::sync_directory(const std::string& path) {
  TRY(power_->change());
  return under_.sync_directory(path);
}

}  // namespace polylog::sim
