#include "storage/segment.h"

#include <doctest/doctest.h>

#include "base/crc32c.h"
#include "io/sim/sim_disk.h"
#include "storage/cell_test_kit.h"
#include "storage/noted_disk_test_kit.h"

namespace polylog::storage {
namespace {

constexpr base::CellId kCell{3};
constexpr uint8_t kTag = 7;

struct Kit {
  // `batches` of `bytes` each, two offsets a batch, with timestamps that rise by ten.
  explicit Kit(size_t batches, size_t bytes, uint64_t id = 5) {
    REQUIRE(disk.make_directory("/cell"));
    auto writer = SegmentWriter::create(disk, "/cell", kCell, id);
    REQUIRE(writer);
    for (size_t i = 0; i < batches; ++i) {
      texts.push_back(test_batch(i, bytes));
      BatchRef ref{.base_offset = Offset(static_cast<int64_t>(2 * i)),
                   .count = 2,
                   .bytes = static_cast<uint32_t>(bytes),
                   .max_ts = {static_cast<int64_t>(10 * i)},
                   .crc = base::crc32c(base::as_view(texts.back())),
                   .encoding = kTag};
      REQUIRE((*writer)->append(ref, base::as_view(texts.back())));
    }
    auto finished = (*writer)->finish(Offset(0), Offset(static_cast<int64_t>(2 * batches)));
    REQUIRE(finished);
    source = {finished->ref, std::move(finished->file)};
  }
  Offset end() const { return source.ref.end_offset; }

  io::SimDisk disk{1};
  std::vector<std::string> texts;
  SegmentReader::Source source;
  SegmentReader reader;
};

TEST_CASE("each_byte_is_read_ahead_once_in_every_pass") {
  using base::limits::kMiB;
  Kit kit(1024, 32 * base::limits::kKiB);
  Noted noted;
  auto file = kit.disk.open("/cell/" + to_file_name({ExtentKind::kSegment, 5}), io::OpenMode::kRead);
  REQUIRE(file);
  kit.source.file = std::make_shared<NotedFile>(std::move(*file), noted);
  for (int pass = 1; pass <= 3; ++pass) {
    for (Offset at; at < kit.end();) {
      const auto read = kit.reader.read(
          kit.source, {.from = at, .end = kit.end(), .bytes_max = kMiB, .span_encoding = uint8_t{kTag}});
      REQUIRE(read);
      at = read->back().ref.end_offset();
    }
    CHECK(noted.prefetched / pass >= 32 * kMiB);
    CHECK(noted.prefetched / pass <= 38 * kMiB);
  }
}

TEST_CASE("batches_are_read_from_any_offset_within_limits") {
  Kit kit(3000, 50);  // three index blocks
  CHECK(kit.source.ref.fence_count == 3);
  for (const int64_t from : {0, 1, 2046, 2047, 2048, 2049, 4095, 4096, 5999}) {
    const auto read = kit.reader.read(kit.source, {.from = Offset(from), .end = kit.end(), .bytes_max = 120});
    REQUIRE(read);
    REQUIRE(read->size() == (from == 5999 ? 1 : 2));
    for (size_t i = 0; i < read->size(); ++i) {
      const size_t n = static_cast<size_t>(from) / 2 + i;
      CHECK((*read)[i].ref.base_offset == Offset(static_cast<int64_t>(2 * n)));
      CHECK(base::as_text((*read)[i].bytes.view()) == kit.texts[n]);
    }
  }
  const auto all = kit.reader.read(kit.source, {.from = Offset(0), .end = kit.end(), .bytes_max = SIZE_MAX});
  REQUIRE(all);
  CHECK(all->size() == 3000);
  const auto below = kit.reader.read(kit.source, {.from = Offset(0), .end = Offset(9), .bytes_max = SIZE_MAX});
  REQUIRE(below);
  CHECK(below->size() == 4);
  CHECK(kit.reader.list(kit.source)->size() == 3000);
}

TEST_CASE("a_batch_longer_than_what_is_asked_for_comes_alone") {
  Kit kit(10, 5000);
  CHECK(kit.reader.read(kit.source, {.from = Offset(6), .end = kit.end(), .bytes_max = 1})->size() == 1);
}

TEST_CASE("many_bytes_of_the_readers_encoding_come_as_spans_and_others_as_bytes") {
  Kit kit(100, 5000);
  const SegmentReader::Wish wish{.from = Offset(0), .end = kit.end(), .bytes_max = 100'000, .span_encoding = kTag};
  auto read = kit.reader.read(kit.source, wish);
  REQUIRE(read);
  REQUIRE(read->size() == 20);
  for (size_t i = 0; i < read->size(); ++i) {
    const io::FileSpan& span = (*read)[i].span;
    REQUIRE(span.bytes == 5000);
    CHECK((*read)[i].bytes.empty());
    std::string text(span.bytes, 0);
    REQUIRE(span.file->read_at({reinterpret_cast<uint8_t*>(text.data()), text.size()}, span.offset));
    CHECK(text == kit.texts[i]);
  }
  auto other = wish;
  other.span_encoding = kTag + 1;
  CHECK(!kit.reader.read(kit.source, other)->front().bytes.empty());
  other = wish;
  other.bytes_max = 10'000;  // little: a copy is cheaper
  CHECK(!kit.reader.read(kit.source, other)->front().bytes.empty());
}

TEST_CASE("the_first_batch_that_is_young_enough_is_found") {
  Kit kit(3000, 50);
  CHECK((*kit.reader.find_by_time(kit.source, Offset(0), {0}))->base_offset == Offset(0));
  CHECK((*kit.reader.find_by_time(kit.source, Offset(0), {20'471}))->base_offset == Offset(4096));
  CHECK((*kit.reader.find_by_time(kit.source, Offset(0), kit.source.ref.max_ts))->base_offset == Offset(5998));
  CHECK(!kit.reader.find_by_time(kit.source, Offset(0), {29'991})->has_value());
  CHECK((*kit.reader.find_by_time(kit.source, Offset(4098), {0}))->base_offset ==
        Offset(4098));  // what is before is gone
}

TEST_CASE("no_flipped_bit_is_ever_served") {
  const std::string path = "/cell/" + to_file_name({ExtentKind::kSegment, 5});
  io::Random random(4);
  for (int round = 0; round < 300; ++round) {
    Kit kit(40, 2000);
    const uint64_t size = kit.source.ref.fences_at + kit.source.ref.fence_count * kSegmentFenceBytes;
    const uint64_t at = random.below(size);
    REQUIRE(kit.disk.flip_bit(path, at, static_cast<unsigned>(random.below(8))));
    const bool spans = random.below(2) == 0;
    const auto read =
        kit.reader.read(kit.source, {.from = Offset(0),
                                     .end = kit.end(),
                                     .bytes_max = SIZE_MAX,
                                     .span_encoding = spans ? std::optional<uint8_t>(kTag) : std::nullopt});
    if (at < kExtentHeadBytes) {
      CHECK(read.has_value());
      CHECK(check_extent_head(*kit.source.file, kCell, {ExtentKind::kSegment, 5}).error().code ==
            base::ErrorCode::kCorrupt);
    } else {
      REQUIRE(!read);
      CHECK(read.error().code == base::ErrorCode::kCorrupt);
      CHECK(read.error().text.find("segment-0000000000000005.plx at offset") == 0);
    }
  }
}

TEST_CASE("a_damaged_batch_does_not_take_the_others_of_its_block_along") {
  Kit kit(40, 2000);
  const std::string path = "/cell/" + to_file_name({ExtentKind::kSegment, 5});
  REQUIRE(kit.disk.flip_bit(path, kExtentHeadBytes + 2100, 1));  // the second batch
  const auto read_from = [&](int64_t offset) {
    return kit.reader.read(kit.source,
                           {.from = Offset(offset), .end = kit.end(), .bytes_max = SIZE_MAX, .span_encoding = kTag});
  };
  CHECK(!read_from(2));
  const auto rest = read_from(4);
  REQUIRE(rest.has_value());
  REQUIRE(rest->size() == 38);
  for (size_t i = 0; i < rest->size(); ++i) CHECK(base::as_text((*rest)[i].bytes.view()) == kit.texts[i + 2]);
}

TEST_CASE("a_file_that_is_not_published_leaves_nothing") {
  io::SimDisk disk(1);
  REQUIRE(disk.make_directory("/cell"));
  {
    auto writer = SegmentWriter::create(disk, "/cell", kCell, 1);
    REQUIRE(writer);
    REQUIRE((*writer)->append({.count = 1, .bytes = 3}, base::as_view("abc")));
  }
  CHECK(disk.list("/cell")->empty());
}

TEST_CASE("names_of_extents_are_parsed_as_they_are_written_and_nothing_else_is") {
  for (const ExtentKind kind : {ExtentKind::kPack, ExtentKind::kSegment}) {
    const auto name = parse_extent_name(to_file_name({kind, 0xABC}));
    REQUIRE(name);
    CHECK((name->kind == kind && name->id == 0xABC));
  }
  for (const char* wrong : {"pack-1.plx", "pack-000000000000000g.plx", "wal-0000000000000001.plw", "segment-.plx", "",
                            "pack-0000000000000001.plx.new"})
    CHECK(!parse_extent_name(wrong));
}

}  // namespace
}  // namespace polylog::storage
