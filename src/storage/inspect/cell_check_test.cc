#include "storage/inspect/cell_check.h"

#include "storage/inspect/dump.h"
#include "storage/inspect/inspect_test_kit.h"

namespace polylog::storage {
namespace {

bool has_file(io::SimDisk& disk, std::string_view prefix) {
  const auto names = disk.list("/cell");
  return std::ranges::any_of(*names, [&](const std::string& name) { return name.starts_with(prefix); });
}

}  // namespace

TEST_CASE("a_sound_cell_is_clean_and_everything_in_it_was_looked_at") {
  CellKit kit;
  fill(kit);
  kit.close();
  REQUIRE(has_file(kit.disk, "segment-"));
  REQUIRE(has_file(kit.disk, "pack-"));
  REQUIRE(has_file(kit.disk, "checkpoint-"));
  const Checked checked = check(kit.disk);
  CHECK_MESSAGE(checked.damages.empty(), text_of(checked));
  CHECK(checked.contents.counts.batches == 121);
  CHECK(checked.contents.counts.segments > 0);
  REQUIRE(checked.contents.partitions.size() == 2);
  CHECK(checked.contents.partitions[0].end == Offset(120));
}

TEST_CASE("after_a_crash_a_torn_tail_is_a_note") {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CellKit kit(seed);
    kit.open();
    for (uint64_t n = 0; n < 20; ++n) REQUIRE(kit.append(test_key(1), test_batch(n, 30'000)).has_value());
    kit.crash();
    const Checked checked = check(kit.disk);
    CHECK_MESSAGE(checked.damages.empty(), text_of(checked));
  }
}

TEST_CASE("each_flipped_bit_that_a_start_or_a_reader_would_meet_is_found") {
  CellKit kit(7);
  const auto written = fill(kit);
  kit.close();
  const auto names = *kit.disk.list("/cell");
  int found = 0;
  for (uint64_t flip = 0; flip < 300; ++flip) {
    CAPTURE(flip);
    const std::string path = "/cell/" + names[flip % names.size()];
    io::Random random(flip);
    const auto file = kit.disk.open(path, io::OpenMode::kRead);
    const uint64_t size = *(*file)->size();
    const uint64_t offset = random.below(size);
    const auto bit = static_cast<unsigned>(random.below(8));
    REQUIRE(kit.disk.flip_bit(path, offset, bit));
    const Checked checked = check(kit.disk);
    if (!checked.damages.empty()) {
      ++found;
    } else if (checked.notes.empty()) {  // then nobody will miss anything: all batches verify
      CHECK(checked.contents.counts.batches == 121);
      CHECK(checked.contents.partitions[1].end == Offset(121));
    }
    // All bytes of a checkpoint and of a segment are covered by some crc; so are those of its packs' batches.
    const bool is_covered = path.contains("checkpoint-") || path.contains("segment-");
    if (is_covered) {
      CHECK_MESSAGE(!checked.damages.empty(), path << " offset " << offset);
      CHECK(std::ranges::any_of(checked.damages, [&](const Finding& f) { return f.file == path; }));
    }
    REQUIRE(kit.disk.flip_bit(path, offset, bit));
  }
  CHECK(found > 50);
  CHECK(check(kit.disk).damages.empty());
}

TEST_CASE("what_is_lost_behind_a_gap_in_the_log_is_named_and_what_follows_is_still_checked") {
  CellKit kit;
  kit.open();
  for (uint64_t n = 0; n < 10; ++n) {
    REQUIRE(kit.append(test_key(1), test_batch(n, 5000)).has_value());
    kit.settle();
  }
  kit.idle();
  kit.close();
  // The third batch: its slot does not verify, and the ones behind it say that it was durable.
  const auto file = kit.disk.open("/cell/wal-0000000000000001.plw", io::OpenMode::kRead);
  std::vector<uint8_t> bytes(*(*file)->size());
  REQUIRE((*file)->read_at(bytes, 0).has_value());
  const auto at = base::as_text(bytes).find("batch 2 ");
  REQUIRE(at != std::string_view::npos);
  REQUIRE(kit.disk.flip_bit("/cell/wal-0000000000000001.plw", at + 100, 3));
  const Checked checked = check(kit.disk);
  REQUIRE(checked.damages.size() == 2);
  CHECK(checked.damages[0].file == "/cell/wal-0000000000000001.plw");
  CHECK(checked.damages[0].what.contains("is damaged"));
  REQUIRE(checked.damages[1].lost);
  CHECK(checked.damages[1].lost->from == Offset(2));
  CHECK(checked.damages[1].lost->end == Offset(3));
  CHECK(checked.contents.partitions[0].end == Offset(10));
}

TEST_CASE("a_missing_segment_names_the_offsets_that_are_lost") {
  CellKit kit;
  fill(kit);
  kit.close();
  for (const std::string& name : *kit.disk.list("/cell"))
    if (name.starts_with("segment-")) REQUIRE(kit.disk.remove("/cell/" + name).has_value());
  const Checked checked = check(kit.disk);
  REQUIRE(!checked.damages.empty());
  REQUIRE(checked.damages[0].lost);
  CHECK(checked.damages[0].lost->partition == test_key(1));
  CHECK(checked.damages[0].lost->from == Offset(0));
}

TEST_CASE("each_file_of_a_cell_can_be_dumped_damaged_or_not") {
  CellKit kit;
  fill(kit);
  kit.close();
  for (const std::string& name : *kit.disk.list("/cell")) {
    CAPTURE(name);
    for (const bool damaged : {false, true}) {
      if (damaged) REQUIRE(kit.disk.flip_bit("/cell/" + name, 20, 1));
      size_t lines = 0, damages = 0;
      const auto dumped =
          dump_file({.disk = kit.disk,
                     .path = "/cell/" + name,
                     .line =
                         [&](const DumpLine& line) {
                           ++lines;
                           damages += line.kind == "damage";
                           return true;
                         },
                     .describe_engine_mutation = [](const Mutation&) { return std::string(); },
                     .describe_engine_object = [](const CheckpointObject&) { return std::string(); },
                     .describe_value = [](const std::string&, const std::string&) { return std::string(); }});
      CHECK_MESSAGE(dumped.has_value(), (dumped ? "" : dumped.error().text));
      if (!name.starts_with("wal-")) CHECK(damages == (damaged ? 1 : 0));  // ready files are empty
      if (!name.starts_with("wal-")) CHECK(lines > 0);
    }
  }
}

}  // namespace polylog::storage
