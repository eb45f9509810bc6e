#include "storage/inspect/repairs.h"

#include "base/crc32c.h"
#include "storage/inspect/inspect_test_kit.h"

namespace polylog::storage {
namespace {

using Files = std::map<std::string, std::vector<uint8_t>>;

Files files_of(io::SimDisk& disk) {
  Files files;
  for (const std::string& name : *disk.list("/cell")) {
    const auto file = disk.open("/cell/" + name, io::OpenMode::kRead);
    files[name].resize(*(*file)->size());
    REQUIRE((*file)->read_at(files[name], 0).has_value());
  }
  return files;
}

void put(io::SimDisk& disk, const Files& files) {
  REQUIRE(disk.make_directory("/cell").has_value());
  for (const auto& [name, bytes] : files) {
    const auto file = disk.open("/cell/" + name, io::OpenMode::kCreate);
    const View view = bytes;
    REQUIRE((*file)->write_at({&view, 1}, 0).has_value());
    REQUIRE((*file)->sync_data().has_value());
  }
}

// Checks and repairs until nothing is left to do; the last check, and how many repairs there were.
std::pair<Checked, int> repair(io::SimDisk& disk) {
  for (int repairs = 0;;) {
    Checked checked = check(disk);
    const int before = repairs;
    for (const auto* findings : {&checked.damages, &checked.notes})
      for (const Finding& finding : *findings) {
        if (!finding.repair) continue;
        REQUIRE(apply(disk, *finding.repair).has_value());
        ++repairs;
      }
    if (repairs == before) return {std::move(checked), repairs};
    REQUIRE(repairs < 50);
  }
}

void check_contents(CellKit& kit, const WrittenBatches& written) {
  kit.open();
  for (const auto& [key, batches] : written) {
    const auto read = kit.contents(key);
    REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().text));
    CHECK(*read == batches);
  }
}

// A cell with each kind of file, and nothing left to do in it.
WrittenBatches fill_and_close(CellKit& kit) {
  WrittenBatches written = fill(kit);
  kit.close();
  repair(kit.disk);
  return written;
}

std::string newest(const Files& files, std::string_view prefix) {
  std::string found;
  for (const auto& [name, bytes] : files)
    if (name.starts_with(prefix) && name.find(".new") == std::string::npos) found = name;
  return found;
}
std::string oldest(const Files& files, std::string_view prefix) {
  for (const auto& [name, bytes] : files)
    if (name.starts_with(prefix)) return name;
  return {};
}

// A cell with little in it: its whole log is still there.
struct SmallCell {
  explicit SmallCell(bool idles = true) {
    kit.open();
    for (uint64_t n = 0; n < 6; ++n) {
      if (n == 3) REQUIRE(kit.checkpoint().has_value());
      written.emplace_back(test_batch(n, 5000));
      REQUIRE(kit.append(test_key(1), written.back()).has_value());
      kit.settle();
    }
    if (idles) kit.idle();
    kit.close();
    files = files_of(kit.disk);
  }
  // Where slot `n` of the first log file begins; 0 is the opening slot.
  uint64_t slot_at(int n) const {
    const auto& bytes = files.at(WalFiles::name_of(1));
    SlotHeader header;
    uint32_t crc = 0;
    uint64_t at = 0;
    for (; n > 0; --n) {
      REQUIRE(decode_slot_header(View(bytes).subspan(at), header, crc));
      at += header.disk_bytes();
    }
    return at;
  }
  CellKit kit;
  std::vector<std::string> written;
  Files files;
};

}  // namespace

TEST_CASE("the_one_flipped_bit_is_found_and_two_are_none") {
  std::vector<uint8_t> bytes(3000);
  io::Random random(3);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random.below(256));
  const uint32_t before = 0x12345678, crc = base::crc32c(bytes, before);
  for (const size_t bit : {size_t{0}, size_t{7}, size_t{8}, size_t{12'345}, bytes.size() * 8 - 1}) {
    flip_bit(bytes, bit);
    CHECK(find_flipped_bit(bytes, crc, before) == bit);
    flip_bit(bytes, bit);
  }
  CHECK(find_flipped_bit(bytes, crc, before) == std::nullopt);
  flip_bit(bytes, 5);
  flip_bit(bytes, 9000);
  CHECK(find_flipped_bit(bytes, crc, before) == std::nullopt);
}

TEST_CASE("after_a_flipped_bit_and_a_repair_all_is_as_it_was_or_what_is_lost_is_still_named") {
  CellKit origin(7);
  const WrittenBatches written = fill_and_close(origin);
  const Files files = files_of(origin.disk);
  std::vector<std::string> names;
  for (const auto& [name, bytes] : files) names.push_back(name);
  std::map<std::string, int> made_good;  // by kind of file
  for (uint64_t flip = 0; flip < 60; ++flip) {
    CAPTURE(flip);
    CellKit kit(flip + 1);
    kit.keep_files = 1;
    put(kit.disk, files);
    io::Random random(flip);
    const std::string& name = names[random.below(names.size())];
    // Half of them where heads and indexes are.
    const uint64_t size = files.at(name).size(), near = std::min<uint64_t>(size, 160);
    const uint64_t offset = flip % 2 == 0   ? random.below(size)
                            : flip % 4 == 1 ? random.below(near)
                                            : size - 1 - random.below(near);
    REQUIRE(kit.disk.flip_bit("/cell/" + name, offset, static_cast<unsigned>(random.below(8))));
    const Checked before = check(kit.disk);
    const auto [after, repairs] = repair(kit.disk);
    CHECK(after.damages.size() <= before.damages.size());
    if (!before.damages.empty() && after.damages.empty()) ++made_good[name.substr(0, name.find('-'))];
    if (after.damages.empty()) {
      check_contents(kit, written);
    } else {
      CHECK(after.contents.partitions[0].end == before.contents.partitions[0].end);
    }
  }
  CHECK(made_good["segment"] > 1);
  CHECK(made_good["checkpoint"] > 0);
}

TEST_CASE("the_head_of_a_pack_or_segment_becomes_what_it_was_but_not_that_of_another_file") {
  CellKit kit;
  fill_and_close(kit);
  const Files files = files_of(kit.disk);
  for (const std::string_view kind : {"pack-", "segment-"}) {
    CAPTURE(kind);
    REQUIRE(kit.disk.flip_bit("/cell/" + newest(files, kind), 17, 2));
    CHECK(check(kit.disk).damages.size() == 1);
    CHECK(repair(kit.disk).first.damages.empty());
    CHECK(files_of(kit.disk) == files);
  }
  // Somebody gave one the name of another.
  const std::string name = newest(files, "segment-");
  std::vector<uint8_t> head = extent_head(base::CellId(3), {ExtentKind::kSegment, 0x77});
  put(kit.disk, {{name, head}});
  CHECK(repair(kit.disk).first.damages.size() == 1);
  CHECK(files_of(kit.disk).at(name)[16] == 0x77);
}

TEST_CASE("a_segments_index_becomes_byte_for_byte_what_it_was") {
  CellKit kit;
  fill_and_close(kit);
  const Files files = files_of(kit.disk);
  const std::string name = newest(files, "segment-");
  const uint64_t size = files.at(name).size();
  for (const uint64_t from_end : {uint64_t{1}, uint64_t{30}, uint64_t{41}, uint64_t{60}, uint64_t{90}}) {
    CAPTURE(from_end);
    REQUIRE(kit.disk.flip_bit("/cell/" + name, size - from_end, 2));
    CHECK(!check(kit.disk).damages.empty());
    const auto [after, repairs] = repair(kit.disk);
    CHECK_MESSAGE(after.damages.empty(), text_of(after));
    CHECK(repairs == 1);
    CHECK(files_of(kit.disk) == files);
  }
}

TEST_CASE("two_wrong_bits_in_an_index_block_are_not_guessed_and_nor_is_a_batch") {
  CellKit kit;
  fill_and_close(kit);
  Files files = files_of(kit.disk);
  const std::string name = newest(files, "segment-");
  REQUIRE(kit.disk.flip_bit("/cell/" + name, files.at(name).size() - 45, 0));
  REQUIRE(kit.disk.flip_bit("/cell/" + name, files.at(name).size() - 90, 5));
  REQUIRE(kit.disk.flip_bit("/cell/" + oldest(files, "segment-"), 5000, 5));
  files = files_of(kit.disk);
  const auto [after, repairs] = repair(kit.disk);
  CHECK(repairs == 0);
  CHECK(!after.damages.empty());
  CHECK(files_of(kit.disk) == files);
}

TEST_CASE("the_head_and_the_checksums_of_a_checkpoint_become_what_they_were") {
  CellKit kit;
  fill_and_close(kit);
  const Files files = files_of(kit.disk);
  const std::string name = newest(files, "checkpoint-");
  const uint64_t size = files.at(name).size();
  // Replay start, leader time, its crc; the first block's crc; the end's crc and count.
  for (const uint64_t offset :
       {uint64_t{12}, uint64_t{20}, uint64_t{50}, uint64_t{57}, uint64_t{64}, size - 10, size - 3}) {
    CAPTURE(offset);
    REQUIRE(kit.disk.flip_bit("/cell/" + name, offset, 1));
    CHECK(!check(kit.disk).damages.empty());
    const auto [after, repairs] = repair(kit.disk);
    CHECK_MESSAGE(after.damages.empty(), text_of(after));
    CHECK(files_of(kit.disk) == files);
  }
}

TEST_CASE("two_wrong_bits_in_the_head_of_a_checkpoint_are_not_guessed") {
  CellKit kit;
  fill_and_close(kit);
  const std::string name = newest(files_of(kit.disk), "checkpoint-");
  for (const uint64_t second : {51, 57}) {  // the time, which nothing else says, and once more, or the crc
    CAPTURE(second);
    REQUIRE(kit.disk.flip_bit("/cell/" + name, 50, 1));
    REQUIRE(kit.disk.flip_bit("/cell/" + name, second, 4));
    const auto [after, repairs] = repair(kit.disk);
    CHECK(repairs == 0);
    CHECK(!after.damages.empty());
    REQUIRE(kit.disk.flip_bit("/cell/" + name, 50, 1));
    REQUIRE(kit.disk.flip_bit("/cell/" + name, second, 4));
  }
}

TEST_CASE("an_object_in_a_checkpoint_is_not_guessed_once_the_log_before_it_is_gone") {
  CellKit kit;
  fill_and_close(kit);
  const std::string name = newest(files_of(kit.disk), "checkpoint-");
  REQUIRE(kit.disk.flip_bit("/cell/" + name, 90, 1));
  const Files files = files_of(kit.disk);
  REQUIRE(!files.contains(WalFiles::name_of(1)));
  const auto [after, repairs] = repair(kit.disk);
  CHECK(repairs == 0);
  CHECK(!after.damages.empty());
  CHECK(files_of(kit.disk) == files);
}

TEST_CASE("a_damaged_checkpoint_is_not_needed_while_the_whole_log_is_there") {
  SmallCell small;
  const std::string name = newest(small.files, "checkpoint-");
  REQUIRE(small.kit.disk.flip_bit("/cell/" + name, 90, 1));
  const auto [after, repairs] = repair(small.kit.disk);
  CHECK_MESSAGE(after.damages.empty(), text_of(after));
  CHECK(repairs == 1);
  CHECK(!files_of(small.kit.disk).contains(name));
  check_contents(small.kit, {{test_key(1), small.written}});
}

TEST_CASE("a_damaged_checkpoint_stays_when_the_log_is_torn_or_ends_before_it") {
  for (const bool is_short : {false, true}) {
    CAPTURE(is_short);
    SmallCell small(false);
    const std::string log = "/cell/" + WalFiles::name_of(1);
    REQUIRE(small.kit.disk.flip_bit("/cell/" + newest(small.files, "checkpoint-"), 90, 1));
    if (is_short) {  // as if the slots from the checkpoint on had never been written
      const auto file = small.kit.disk.open(log, io::OpenMode::kReadWrite);
      const std::vector<uint8_t> zeros(CellKit::kFileBytes - small.slot_at(3));
      const View view = zeros;
      REQUIRE((*file)->write_at({&view, 1}, small.slot_at(3)).has_value());
    } else {  // the last slot: torn, or damaged, who knows
      REQUIRE(small.kit.disk.flip_bit(log, small.slot_at(6) + 200, 1));
    }
    const auto [after, repairs] = repair(small.kit.disk);
    CHECK(!after.damages.empty());
    CHECK(files_of(small.kit.disk).contains(newest(small.files, "checkpoint-")));
  }
}

TEST_CASE("the_header_of_a_slot_becomes_what_it_was_and_its_body_is_not_guessed") {
  SmallCell small;
  const std::string log = "/cell/" + WalFiles::name_of(1);
  const uint64_t slot = small.slot_at(5);
  for (const uint64_t in_header : {0, 6, 16, 24, 33, 60, 74, 82, 93, 97, 110, 125}) {
    CAPTURE(in_header);
    REQUIRE(small.kit.disk.flip_bit(log, slot + in_header, 3));
    CHECK(!check(small.kit.disk).damages.empty());
    const auto [after, repairs] = repair(small.kit.disk);
    CHECK_MESSAGE(after.damages.empty(), text_of(after));
    CHECK(files_of(small.kit.disk) == small.files);
  }
  REQUIRE(small.kit.disk.flip_bit(log, slot + 200, 3));
  const auto [after, repairs] = repair(small.kit.disk);
  CHECK(repairs == 0);
  CHECK(!after.damages.empty());
}

TEST_CASE("a_torn_tail_is_cut_as_a_start_would_cut_it") {
  SmallCell small(false);
  REQUIRE(small.kit.disk.flip_bit("/cell/" + WalFiles::name_of(1), small.slot_at(6) + 300, 1));
  REQUIRE(check(small.kit.disk).notes.size() == 1);
  const auto [after, repairs] = repair(small.kit.disk);
  CHECK(after.damages.empty());
  CHECK(after.notes.empty());
  CHECK(repairs == 1);
  small.written.pop_back();
  check_contents(small.kit, {{test_key(1), small.written}});
}

TEST_CASE("a_slot_that_can_be_proven_is_mended_though_the_next_start_would_cut_it") {
  SmallCell small(false);
  small.kit.open();
  for (const char* text :
       {"one", "two"}) {  // the second is written while the first is on its way: neither knows it synced
    small.written.emplace_back(text);
    REQUIRE(small.kit.append(test_key(1), text).has_value());
  }
  small.kit.settle();
  small.kit.close();
  small.files = files_of(small.kit.disk);
  const uint64_t slot = small.slot_at(8);  // an opening slot, six of the first run, another opening slot
  REQUIRE(small.slot_at(9) > slot);
  REQUIRE(small.kit.disk.flip_bit("/cell/" + WalFiles::name_of(1), slot + 33, 3));
  CHECK(!check(small.kit.disk).damages.empty());
  const auto [after, repairs] = repair(small.kit.disk);
  CHECK_MESSAGE(after.damages.empty(), text_of(after));
  CHECK(files_of(small.kit.disk) == small.files);
}

TEST_CASE("a_log_file_of_a_wrong_size_may_name_anything_and_the_size_of_most_is_right") {
  for (const uint64_t seq : {0, 99}) {
    CAPTURE(seq);
    SmallCell small;
    put(small.kit.disk, {{"segment-00000000000000aa.plx", {1, 2, 3}}, {WalFiles::name_of(seq), {1, 2, 3}}});
    REQUIRE(!check(small.kit.disk).damages.empty());
    const auto damages = check(small.kit.disk).damages;
    CHECK(std::ranges::any_of(damages, [&](const Finding& f) { return f.file == "/cell/" + WalFiles::name_of(seq); }));
    repair(small.kit.disk);
    CHECK(files_of(small.kit.disk).contains("segment-00000000000000aa.plx"));
  }
}

TEST_CASE("what_nothing_names_is_removed_but_only_while_the_state_is_sound") {
  for (const bool sound : {true, false}) {
    CAPTURE(sound);
    SmallCell small;
    put(small.kit.disk, {{"segment-00000000000000aa.plx", {1, 2, 3}},
                         {"pack-00000000000000ab.plx.new", {1}},
                         {"checkpoint-0000000000000001.plc", {1}},
                         {"notes.txt", {1}}});
    if (!sound) REQUIRE(small.kit.disk.flip_bit("/cell/" + WalFiles::name_of(1), small.slot_at(5) + 200, 3));
    repair(small.kit.disk);
    const Files left = files_of(small.kit.disk);
    CHECK(left.contains("segment-00000000000000aa.plx") == !sound);
    CHECK(left.contains("pack-00000000000000ab.plx.new") == !sound);
    CHECK(left.contains("checkpoint-0000000000000001.plc") == !sound);
    CHECK(left.contains("notes.txt"));
    if (sound) check_contents(small.kit, {{test_key(1), small.written}});
  }
}

TEST_CASE("a_repair_may_be_repeated") {
  SmallCell small;
  const Repair repair{.what = "", .removes = {"/cell/nothing-here"}};
  CHECK(apply(small.kit.disk, repair).has_value());
  CHECK(apply(small.kit.disk, {.what = "", .writes = {{"/cell/nothing-here", 0, {1}}}}).error().code ==
        base::ErrorCode::kNotFound);
}

}  // namespace polylog::storage
