// For tests of what writes files: a SimDisk that notes how.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>

#include "io/sim/passing_disk.h"
#include "io/sim/sim_disk.h"

namespace polylog::storage {

using base::View;

struct Noted {
  uint64_t written = 0, sent_out = 0, unsent_max = 0;  // bytes, of the one file that is written
  uint64_t fails_to_send_at = UINT64_MAX;              // from so many bytes on
  uint64_t allocated = 0;                              // bytes, the last time
  uint64_t prefetched = 0;                             // bytes
  uint64_t allocations = 0, zeroed_soon = 0, zeroed_in_time = 0;
};

class NotedFile final : public io::PassingFile {
 public:
  NotedFile(std::unique_ptr<io::File> under, Noted& noted) : PassingFile(std::move(under)), noted_(noted) {}
  base::Result<> write_at(std::span<const View> pieces, uint64_t offset) override {
    for (const View piece : pieces) noted_.written += piece.size();
    noted_.unsent_max = std::max(noted_.unsent_max, noted_.written - noted_.sent_out);
    return PassingFile::write_at(pieces, offset);
  }
  base::Result<> write_out(uint64_t offset, uint64_t bytes) override {
    if (noted_.fails_to_send_at <= noted_.sent_out) return base::fail(base::ErrorCode::kIo, "lost on its way out");
    CHECK(offset == noted_.sent_out);
    noted_.sent_out += bytes;
    return {};
  }
  void prefetch(uint64_t, uint64_t bytes) override { noted_.prefetched += bytes; }
  base::Result<> fill_with_zeros(uint64_t size, io::ZeroPace pace) override {
    ++(pace == io::ZeroPace::kSoon ? noted_.zeroed_soon : noted_.zeroed_in_time);
    return PassingFile::fill_with_zeros(size, pace);
  }
  base::Result<> allocate(uint64_t size) override {
    noted_.allocated = size;
    ++noted_.allocations;
    return PassingFile::allocate(size);
  }

 private:
  Noted& noted_;
};

class NotedDisk final : public io::PassingDisk {
 public:
  explicit NotedDisk(const std::string& directory) : PassingDisk(sim_) { REQUIRE(sim_.make_directory(directory)); }
  base::Result<std::unique_ptr<io::File>> open(const std::string& path, io::OpenMode mode) override {
    TRY_ASSIGN(auto file, sim_.open(path, mode));
    if (mode == io::OpenMode::kRead) return file;
    return std::make_unique<NotedFile>(std::move(file), noted);
  }

  Noted noted;

 private:
  io::SimDisk sim_{1};
};

}  // namespace polylog::storage
