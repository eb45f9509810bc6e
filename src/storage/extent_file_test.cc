#include "storage/extent_file.h"

#include <doctest/doctest.h>

#include "base/limits.h"
#include "io/sim/sim_disk.h"

namespace polylog::storage {
namespace {

using base::limits::kKiB;
using base::limits::kMiB;

// What was done to the one file that is written.
struct Noted {
  uint64_t written = 0, sent_out = 0, unsent_max = 0, allocated = 0, allocations = 0;
};

class NotedFile final : public io::File {
 public:
  NotedFile(std::unique_ptr<io::File> under, Noted& noted) : under_(std::move(under)), noted_(noted) {}
  base::Result<> read_at(base::MutView out, uint64_t offset) override { return under_->read_at(out, offset); }
  base::Result<> write_at(std::span<const View> pieces, uint64_t offset) override {
    for (const View piece : pieces) noted_.written += piece.size();
    noted_.unsent_max = std::max(noted_.unsent_max, noted_.written - noted_.sent_out);
    return under_->write_at(pieces, offset);
  }
  void write_out(uint64_t offset, uint64_t bytes) override {
    CHECK(offset == noted_.sent_out);
    noted_.sent_out += bytes;
  }
  base::Result<> sync_data() override { return under_->sync_data(); }
  base::Result<uint64_t> size() override { return under_->size(); }
  base::Result<> truncate(uint64_t size) override { return under_->truncate(size); }
  base::Result<> fill_with_zeros(uint64_t size, io::ZeroPace pace) override {
    return under_->fill_with_zeros(size, pace);
  }
  base::Result<> allocate(uint64_t size) override {
    noted_.allocated = size;
    ++noted_.allocations;
    return under_->allocate(size);
  }

 private:
  std::unique_ptr<io::File> under_;
  Noted& noted_;
};

class NotedDisk final : public io::Disk {
 public:
  NotedDisk() : under_(1) { REQUIRE(under_.make_directory("/cell")); }
  base::Result<std::unique_ptr<io::File>> open(const std::string& path, io::OpenMode mode) override {
    TRY_ASSIGN(auto file, under_.open(path, mode));
    if (mode == io::OpenMode::kRead) return file;
    return std::make_unique<NotedFile>(std::move(file), noted);
  }
  base::Result<std::vector<std::string>> list(const std::string& directory) override { return under_.list(directory); }
  base::Result<> make_directory(const std::string& path) override { return under_.make_directory(path); }
  base::Result<> rename(const std::string& from, const std::string& to) override { return under_.rename(from, to); }
  base::Result<> remove(const std::string& path) override { return under_.remove(path); }
  base::Result<> sync_directory(const std::string& path) override { return under_.sync_directory(path); }
  base::Result<Space> space(const std::string& path) override { return under_.space(path); }
  base::Result<std::unique_ptr<io::File>> lock(const std::string& path) override { return under_.lock(path); }

  Noted noted;

 private:
  io::SimDisk under_;
};

TEST_CASE("an_extent_file_is_sent_out_as_it_is_written_in_space_asked_for_ahead") {
  NotedDisk disk;
  auto writer = ExtentWriter::create(disk, "/cell", base::CellId(1), {ExtentKind::kPack, 7});
  REQUIRE(writer.has_value());
  const std::vector<uint8_t> large(3 * kMiB + 5, 1), small(100 * kKiB, 2);
  REQUIRE((*writer)->append(large));
  for (int i = 0; i < 200; ++i) REQUIRE((*writer)->append(small));
  const uint64_t size = (*writer)->size();
  auto file = (*writer)->publish();
  REQUIRE(file.has_value());
  CHECK(disk.noted.sent_out == size);
  CHECK(disk.noted.unsent_max == 256 * kKiB);
  CHECK(disk.noted.allocated > size);
  CHECK(disk.noted.allocations < 10);
  CHECK(*(*file)->size() == size);
}

}  // namespace
}  // namespace polylog::storage
