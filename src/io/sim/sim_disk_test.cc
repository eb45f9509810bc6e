#include "io/sim/sim_disk.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace polylog::io {
namespace {

using base::ErrorCode;

std::unique_ptr<File> create(SimDisk& disk, const std::string& path) {
  REQUIRE(disk.make_directory("/d"));
  auto file = disk.open(path, OpenMode::kCreate);
  REQUIRE(file);
  return std::move(*file);
}

base::Result<> write(File& file, std::string_view text, uint64_t offset = 0) {
  const base::View piece = base::as_view(text);
  return file.write_at({&piece, 1}, offset);
}

std::string contents(SimDisk& disk, const std::string& path) {
  auto file = disk.open(path, OpenMode::kRead);
  if (!file) return "(none)";
  std::string text(*(*file)->size(), 0);
  REQUIRE((*file)->read_at({reinterpret_cast<uint8_t*>(text.data()), text.size()}, 0));
  return text;
}

TEST_CASE("synced_bytes_under_a_synced_name_survive_every_crash") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SimDisk disk(seed);
    auto file = create(disk, "/d/f");
    const std::string text(10'000, 's');
    REQUIRE(write(*file, text));
    REQUIRE(file->sync_data());
    REQUIRE(disk.sync_directory("/d"));
    REQUIRE(write(*file, std::string(5000, 'u'), 10'000));
    disk.crash();
    CHECK(contents(disk, "/d/f").substr(0, 10'000) == text);
  }
}

TEST_CASE("unsynced_bytes_are_lost_kept_and_torn_over_seeds") {
  int lost = 0, kept = 0, torn = 0, reordered = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SimDisk disk(seed);
    auto file = create(disk, "/d/f");
    REQUIRE(write(*file, std::string(16'384, '0')));
    REQUIRE(file->sync_data());
    REQUIRE(disk.sync_directory("/d"));
    REQUIRE(write(*file, std::string(8192, '1')));
    REQUIRE(write(*file, std::string(8192, '2'), 8192));
    disk.crash();
    const std::string text = contents(disk, "/d/f");
    const auto ones = std::ranges::count(text, '1'), twos = std::ranges::count(text, '2');
    if (ones == 0 && twos == 0)
      ++lost;
    else if (ones == 8192 && twos == 8192)
      ++kept;
    else if (ones % 8192 != 0 || twos % 8192 != 0)
      ++torn;
    if (ones == 0 && twos == 8192) ++reordered;
    CHECK(ones % 512 == 0);
    CHECK(twos % 512 == 0);
  }
  CHECK(lost > 0);
  CHECK(kept > 0);
  CHECK(torn > 0);
  CHECK(reordered > 0);
}

TEST_CASE("a_sector_never_holds_a_later_write_without_the_earlier_one") {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SimDisk disk(seed);
    auto file = create(disk, "/d/f");
    REQUIRE(disk.sync_directory("/d"));
    REQUIRE(write(*file, "first"));
    REQUIRE(write(*file, "second", 5));
    disk.crash();
    const std::string text = contents(disk, "/d/f");
    if (text.size() == 11 && text.substr(5) == "second") CHECK(text == "firstsecond");
  }
}

TEST_CASE("names_not_synced_may_be_undone_and_synced_ones_are_not") {
  int undone = 0, kept = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SimDisk disk(seed);
    auto file = create(disk, "/d/new");
    REQUIRE(write(*file, "new"));
    REQUIRE(file->sync_data());
    REQUIRE(write(*create(disk, "/d/current"), "old"));
    REQUIRE((*disk.open("/d/current", OpenMode::kReadWrite))->sync_data());
    REQUIRE(disk.sync_directory("/d"));
    REQUIRE(disk.rename("/d/new", "/d/current"));
    disk.crash();
    const std::string text = contents(disk, "/d/current");
    CHECK((text == "old" || text == "new"));
    CHECK((text == "new") == (contents(disk, "/d/new") == "(none)"));
    ++(text == "old" ? undone : kept);
    REQUIRE(disk.remove("/d/current"));
    REQUIRE(disk.sync_directory("/d"));
    disk.crash();
    CHECK(contents(disk, "/d/current") == "(none)");
  }
  CHECK(undone > 0);
  CHECK(kept > 0);
}

TEST_CASE("a_full_disk_refuses_growth_and_allows_overwriting") {
  SimDisk disk(1);
  auto file = create(disk, "/d/f");
  REQUIRE(write(*file, std::string(1000, 'a')));
  disk.fill_after(100);
  CHECK(disk.space("/d")->free_bytes == 100);
  CHECK(write(*file, std::string(200, 'b'), 1000).error().code == ErrorCode::kDiskFull);
  CHECK(write(*file, std::string(1000, 'c')));
  CHECK(disk.counts().disk_full == 1);
}

TEST_CASE("after_a_failed_sync_the_next_one_succeeds_and_makes_nothing_durable") {
  int lost = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimDisk disk(seed);
    auto file = create(disk, "/d/f");
    REQUIRE(disk.sync_directory("/d"));
    REQUIRE(write(*file, "doomed"));
    disk.faults.sync_error = 1;
    CHECK(file->sync_data().error().code == ErrorCode::kIo);
    disk.faults.sync_error = 0;
    CHECK(file->sync_data());
    CHECK(contents(disk, "/d/f") == "doomed");
    disk.crash();
    lost += contents(disk, "/d/f") != "doomed";
  }
  CHECK(lost > 0);
}

TEST_CASE("injected_faults_fail_calls_and_are_counted") {
  SimDisk disk(1);
  auto file = create(disk, "/d/f");
  REQUIRE(write(*file, "abc"));
  uint8_t byte;
  disk.faults = {.read_error = 1};
  CHECK(!file->read_at({&byte, 1}, 0));
  disk.faults = {.short_read = 1};
  CHECK(!file->read_at({&byte, 1}, 0));
  disk.faults = {.write_error = 1};
  CHECK(!write(*file, "x"));
  disk.faults = {};
  CHECK(disk.flip_bit("/d/f", 0, 1));
  CHECK(contents(disk, "/d/f")[2] == 'c');
  CHECK(disk.counts().read_errors + disk.counts().short_reads + disk.counts().write_errors == 3);
  CHECK(disk.counts().bits_flipped == 1);
}

TEST_CASE("what_a_failed_sync_left_never_comes_up_over_what_was_written_and_synced_later") {
  int surfaced = 0;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    SimDisk disk(seed);
    auto file = create(disk, "/d/f");
    REQUIRE(disk.sync_directory("/d"));
    disk.faults.sync_error = 1;
    REQUIRE(file->allocate(4));
    REQUIRE(write(*file, "0000000000"));  // ten bytes
    REQUIRE(!file->sync_data());
    disk.faults.sync_error = 0;
    REQUIRE(write(*file, "kept"));
    REQUIRE(file->sync_data());
    disk.crash();
    const std::string left = contents(disk, "/d/f");
    REQUIRE(left.starts_with("kept"));
    surfaced += left.size() > 4;
  }
  CHECK(surfaced > 0);  // where nothing was written since, it may
}

TEST_CASE("an_ignored_sync_loses_what_it_promised") {
  int lost = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SimDisk disk(seed);
    auto file = create(disk, "/d/f");
    REQUIRE(disk.sync_directory("/d"));
    disk.faults.sync_ignored = true;
    REQUIRE(write(*file, "promised"));
    REQUIRE(file->sync_data());
    disk.crash();
    lost += contents(disk, "/d/f") != "promised";
  }
  CHECK(lost > 0);
}

TEST_CASE("a_crash_ends_open_files_and_locks") {
  SimDisk disk(1);
  auto file = create(disk, "/d/f");
  auto lock = disk.lock("/d/lock");
  REQUIRE(lock);
  CHECK(disk.lock("/d/lock").error().code == ErrorCode::kInUse);
  disk.crash();
  CHECK(file->size().error().code == ErrorCode::kIo);
  CHECK(disk.lock("/d/lock"));
}

TEST_CASE("directories_list_their_files_and_directories") {
  SimDisk disk(1);
  REQUIRE(disk.make_directory("/d/cells/0"));
  create(disk, "/d/b");
  create(disk, "/d/a");
  CHECK(*disk.list("/d") == std::vector<std::string>{"a", "b", "cells"});
  CHECK(disk.list("/none").error().code == ErrorCode::kNotFound);
  CHECK(disk.open("/none/f", OpenMode::kCreate).error().code == ErrorCode::kNotFound);
}

}  // namespace
}  // namespace polylog::io
