#include "storage/extent_file.h"

#include <doctest/doctest.h>

#include "base/limits.h"
#include "storage/noted_disk_test_kit.h"

namespace polylog::storage {
namespace {

using base::limits::kKiB;
using base::limits::kMiB;

TEST_CASE("an_extent_file_is_sent_out_as_it_is_written_in_space_asked_for_ahead") {
  NotedDisk disk("/cell");
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

TEST_CASE("an_extent_file_that_loses_bytes_on_their_way_out_is_never_published") {
  NotedDisk disk("/cell");
  disk.noted.fails_to_send_at = kMiB;
  auto writer = ExtentWriter::create(disk, "/cell", base::CellId(1), {ExtentKind::kPack, 7});
  REQUIRE(writer.has_value());
  const std::vector<uint8_t> bytes(2 * kMiB, 1);
  const auto appended = (*writer)->append(bytes);
  REQUIRE(!appended);
  CHECK(appended.error().code == base::ErrorCode::kIo);
  writer->reset();
  CHECK(disk.list("/cell")->empty());
}

}  // namespace
}  // namespace polylog::storage
