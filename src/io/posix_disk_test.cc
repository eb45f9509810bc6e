#include "io/posix_disk.h"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>

namespace polylog::io {
namespace {

using base::ErrorCode;

struct TemporaryDirectory {
  TemporaryDirectory() {
    char name[] = "/tmp/polylog-disk-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path = name;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
  std::string path;
};

TEST_CASE("what_is_written_in_many_pieces_is_read_back") {
  const TemporaryDirectory directory;
  PosixDisk disk;
  auto file = *disk.open(directory.path + "/a", OpenMode::kCreate);
  std::string expected;
  std::vector<std::string> texts;
  for (int i = 0; i < 3000; ++i) {
    texts.push_back(std::string(static_cast<size_t>(i % 50), static_cast<char>('a' + i % 26)));
  }
  std::vector<base::View> pieces;
  for (const std::string& text : texts) {
    pieces.push_back(base::as_view(text));
    expected += text;
  }
  REQUIRE(file->write_at(pieces, 100));
  REQUIRE(file->sync_data());
  CHECK(*file->size() == 100 + expected.size());
  std::string got(expected.size(), 0);
  REQUIRE(file->read_at({reinterpret_cast<uint8_t*>(got.data()), got.size()}, 100));
  CHECK(got == expected);
  const auto past = file->read_at({reinterpret_cast<uint8_t*>(got.data()), got.size()}, 101);
  REQUIRE(!past);
  CHECK(past.error().code == ErrorCode::kIo);
  REQUIRE(file->truncate(10));
  CHECK(*file->size() == 10);
}

TEST_CASE("a_lack_of_descriptors_is_told_apart_from_an_error_of_the_disk") {
  const TemporaryDirectory directory;
  PosixDisk disk;
  rlimit files{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &files) == 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = files.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto opened = disk.open(directory.path + "/a", OpenMode::kCreate);
  const auto synced = disk.sync_directory(directory.path);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &files) == 0);
  CHECK(opened.error().code == ErrorCode::kOverloaded);
  CHECK(synced.error().code == ErrorCode::kOverloaded);
  CHECK(disk.open(directory.path + "/a", OpenMode::kCreate));
}

TEST_CASE("names_are_listed_renamed_and_removed") {
  const TemporaryDirectory directory;
  PosixDisk disk;
  const std::string sub = directory.path + "/x/y";
  REQUIRE(disk.make_directory(sub));
  REQUIRE(disk.make_directory(sub));
  REQUIRE(disk.open(sub + "/b", OpenMode::kCreate));
  REQUIRE(disk.open(sub + "/a", OpenMode::kCreate));
  CHECK(*disk.list(sub) == std::vector<std::string>{"a", "b"});
  REQUIRE(disk.rename(sub + "/a", sub + "/c"));
  REQUIRE(disk.remove(sub + "/b"));
  REQUIRE(disk.sync_directory(sub));
  CHECK(*disk.list(sub) == std::vector<std::string>{"c"});
  CHECK(disk.open(sub + "/a", OpenMode::kReadWrite).error().code == ErrorCode::kNotFound);
  CHECK(disk.remove(sub + "/a").error().code == ErrorCode::kNotFound);
  CHECK(disk.space(sub)->total_bytes > 0);
}

TEST_CASE("a_lock_is_held_for_the_life_of_its_file") {
  const TemporaryDirectory directory;
  PosixDisk disk;
  auto lock = disk.lock(directory.path + "/lock");
  REQUIRE(lock);
  CHECK(disk.lock(directory.path + "/lock").error().code == ErrorCode::kInUse);
  lock->reset();
  CHECK(disk.lock(directory.path + "/lock"));
}

TEST_CASE("a_full_device_is_reported_as_disk_full") {
  PosixDisk disk;
  auto file = disk.open("/dev/full", OpenMode::kReadWrite);
  REQUIRE(file);
  const base::View piece = base::as_view("x");
  CHECK((*file)->write_at({&piece, 1}, 0).error().code == ErrorCode::kDiskFull);
}

}  // namespace
}  // namespace polylog::io
