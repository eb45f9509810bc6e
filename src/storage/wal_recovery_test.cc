#include "storage/wal_recovery.h"

#include <algorithm>

#include "storage/cell_test_kit.h"

namespace polylog::storage {
namespace {

using base::ErrorCode;
using base::limits::kBlockBytes;

const base::PartitionKey kA = test_key(1);

struct Place {
  std::string file;
  uint64_t slot_offset;
  uint64_t bytes;
};

// A cell with `batches` slots of one batch each; the places of those slots.
std::vector<Place> fill(CellKit& kit, int batches, size_t bytes) {
  std::vector<Place> places;
  for (int i = 0; i < batches; ++i) {
    REQUIRE(kit.append(kA, test_batch(static_cast<uint64_t>(i), bytes)));
    kit.settle();
    const WalPosition at = kit.cell->find(kA)->find(Offset(i))->at;
    places.push_back(
        {"/cell/" + WalFiles::name_of(at.file_seq), at.offset - kSlotHeaderBytes, kSlotHeaderBytes + bytes});
  }
  return places;
}

bool names(const std::string& text, const Place& place) {
  return text.find(place.file.substr(6)) != std::string::npos &&
         text.find(std::to_string(place.slot_offset)) != std::string::npos;
}

TEST_CASE("a_bad_last_slot_is_cut_and_reported_with_file_and_offset_wherever_it_was_hit") {
  for (size_t at = 0; at < kSlotHeaderBytes + 50; at += at < 100 ? 3 : 1) {
    CellKit kit;
    kit.open();
    const auto places = fill(kit, 3, 500);
    kit.close();
    REQUIRE(kit.disk.flip_bit(places[2].file, places[2].slot_offset + at, 5));
    const RecoveryReport report = kit.open();
    REQUIRE(report.cut);
    CHECK(report.cut->offset == places[2].slot_offset);
    CHECK("/cell/" + report.cut->file == places[2].file);
    CHECK(kit.contents(kA)->size() == 2);
    // The place is written again, in a new epoch, and the old slot never comes back.
    REQUIRE(kit.append(kA, "new"));
    kit.settle();
    kit.crash();
    CHECK(!kit.open().cut);
    CHECK(kit.contents(kA)->back() == "new");
    CHECK(kit.contents(kA)->size() == 3);
  }
}

TEST_CASE("a_clean_stop_reports_no_cut") {
  CellKit kit;
  for (int i = 0; i < 4; ++i) {
    CHECK(!kit.open().cut);
    fill(kit, i == 0 ? 5 : 0, 5000);
  }
}

TEST_CASE("damage_below_the_durable_mark_is_refused_with_file_and_offset") {
  for (const size_t victim : {0u, 1u, 2u}) {
    CellKit kit;
    kit.open();
    const auto places = fill(kit, 4, 5000);
    kit.close();
    REQUIRE(kit.disk.flip_bit(places[victim].file, places[victim].slot_offset + 3000, 1));
    const auto report = kit.try_open();
    REQUIRE(!report);
    CHECK(report.error().code == ErrorCode::kCorrupt);
    CHECK(names(report.error().text, places[victim]));
  }
}

TEST_CASE("after_a_second_of_silence_even_the_last_slot_is_proven") {
  CellKit kit;
  kit.open();
  const auto places = fill(kit, 3, 500);
  kit.idle();
  kit.close();
  REQUIRE(kit.disk.flip_bit(places[2].file, places[2].slot_offset + 300, 1));
  const auto report = kit.try_open();
  REQUIRE(!report);
  CHECK(names(report.error().text, places[2]));
}

TEST_CASE("silence_costs_one_witness_and_no_more") {
  CellKit kit;
  kit.open();
  fill(kit, 1, 500);
  kit.idle();
  const uint64_t written = kit.cell->wal().written_bytes();
  kit.world.run_for(std::chrono::minutes(5));
  CHECK(kit.cell->wal().written_bytes() == written);
}

TEST_CASE("leftovers_of_an_older_epoch_behind_a_cut_count_for_nothing") {
  CellKit kit;
  kit.open();
  const auto places = fill(kit, 6, 500);
  kit.close();
  // The last slots of a power loss: slot 3 never reached the disk, 4 and 5 did. As unsynced slots their durable_seq is low;
  // here it is not, so the damaged one and those behind it are first made a plain cut: all three are hit.
  for (const size_t i : {3u, 4u, 5u}) REQUIRE(kit.disk.flip_bit(places[i].file, places[i].slot_offset + 300, 0));
  CHECK(kit.open().cut);
  kit.close();
  for (const size_t i : {4u, 5u})
    REQUIRE(kit.disk.flip_bit(places[i].file, places[i].slot_offset + 300, 0));  // sound again
  CHECK(!kit.open().cut);
  CHECK(kit.contents(kA)->size() == 3);
}

TEST_CASE("another_cells_directory_is_not_opened") {
  CellKit kit;
  kit.open();
  fill(kit, 3, 500);
  REQUIRE(kit.checkpoint());
  kit.close();
  IdleEngine engine;
  auto options = kit.options();
  options.id = base::CellId(4);
  Cell other(options, engine);
  const auto report = other.open();
  REQUIRE(!report);
  CHECK(report.error().code == ErrorCode::kCorrupt);
}

TEST_CASE("a_log_that_ends_before_what_its_checkpoint_reflects_is_refused") {
  for (const uint64_t stamp : {0u, 1u}) {
    CellKit kit;
    REQUIRE(kit.disk.make_directory("/cell"));
    auto worker = kit.world.loop(0).make_worker("checkpoint");
    CheckpointWriter writer(kit.disk, *worker, "/cell",
                            {.cell = base::CellId(3), .replay_start = {.position = {1, 0}}});
    base::Writer payload;
    write_key(payload, kA);
    Partition(kA, false).save(payload);
    writer.add({.type = kPartitionObject, .stamp = Lsn(stamp), .payload = payload.view()});
    writer.finish([](const base::Result<>& result) { CHECK(result); });
    kit.settle();
    const auto report = kit.try_open();
    CHECK(report.has_value() == (stamp == 0));
    if (!report) CHECK(report.error().text.find(WalFiles::name_of(1) + " at offset 0") != std::string::npos);
  }
}

TEST_CASE("a_missing_wal_file_that_holds_live_batches_is_refused_by_name") {
  CellKit kit;
  kit.open();
  const auto places = fill(kit, 12, 100'000);
  REQUIRE(kit.checkpoint());
  REQUIRE(places.front().file != places.back().file);
  kit.close();
  REQUIRE(kit.disk.remove(places.front().file));
  const auto report = kit.try_open();
  REQUIRE(!report);
  CHECK(report.error().code == ErrorCode::kCorrupt);
  CHECK(report.error().text.find(places.front().file) != std::string::npos);
}

TEST_CASE("an_unknown_mutation_refuses_to_open") {
  class Refusing final : public Engine {
   public:
    base::Result<> replay(const Mutation&, Lsn) override { return base::fail(ErrorCode::kCorrupt, "unknown mutation"); }
    base::Result<> restore(const CheckpointObject&) override { return {}; }
    std::unique_ptr<ObjectWalk> walk_objects() override { return std::make_unique<NoObjects>(); }
    void on_commit(Lsn) override {}
    void on_partition_commit(Partition&) override {}
    void on_cell_failed(const base::Error&) override {}
    void on_space_change(bool) override {}
  };
  for (const auto type : {MutationType{4}, MutationType::kFirstOfEngine}) {
    CellKit kit;
    kit.open();
    kit.cell->log(type, base::as_view("from the future"));
    kit.cell->end_turn();
    kit.settle();
    kit.close();
    Refusing engine;
    Cell cell(kit.options(), engine);
    const auto report = cell.open();
    REQUIRE(!report);
    CHECK(report.error().code == ErrorCode::kCorrupt);
    CHECK(report.error().text.find("wal-") != std::string::npos);
  }
}

// One flip of one bit anywhere: the cell refuses and says where, or reports a cut, or the batch's own crc refuses; never a
// wrong byte, never a silent loss.
TEST_CASE("no_single_bit_flip_over_a_thousand_places_is_served_or_hidden") {
  io::Random random(2024);
  int refused = 0, cut = 0, unread = 0, harmless = 0;
  for (int round = 0; round < 1000; ++round) {
    CellKit kit(static_cast<uint64_t>(round));
    kit.open();
    std::vector<std::string> wanted;
    const auto put = [&](int batches) {
      for (int i = 0; i < batches; ++i) {
        wanted.push_back(test_batch(wanted.size(), 1 + random.below(i % 8 == 7 ? 150'000 : 9000)));
        REQUIRE(kit.append(kA, wanted.back()));
        if (random.chance(0.5)) kit.settle();
      }
      kit.settle();
    };
    put(10);
    if (round % 2 == 0) REQUIRE(kit.checkpoint());
    put(6);
    if (round % 3 == 0) kit.idle();
    std::vector<std::string> files;
    const std::vector<std::string> names = *kit.disk.list("/cell");
    for (const std::string& name : names)
      if (name.starts_with("checkpoint") || name == WalFiles::name_of(1)) files.push_back("/cell/" + name);
    const uint64_t used =
        kit.cell->wal().durable_end().file_seq == 1 ? kit.cell->wal().durable_end().offset : CellKit::kFileBytes;
    kit.close();
    const std::string& file = files[random.below(files.size())];
    const bool is_wal = file.ends_with(".plw");
    if (is_wal) {
      REQUIRE(kit.disk.flip_bit(file, random.below(used), static_cast<unsigned>(random.below(8))));
    } else {
      REQUIRE(kit.disk.flip_random_bit(file, random));
    }
    const auto report = kit.try_open();
    if (!report) {
      REQUIRE(report.error().code == ErrorCode::kCorrupt);
      CHECK(report.error().text.find(file.substr(6)) != std::string::npos);
      CHECK(report.error().text.find("offset ") != std::string::npos);
      ++refused;
      continue;
    }
    CHECK(is_wal);
    const auto texts = kit.contents(kA);
    if (!texts) {
      CHECK(texts.error().code == ErrorCode::kCorrupt);
      CHECK(texts.error().text.find(file.substr(6)) != std::string::npos);
      ++unread;
      continue;
    }
    REQUIRE(texts->size() <= wanted.size());
    for (size_t i = 0; i < texts->size(); ++i) REQUIRE((*texts)[i] == wanted[i]);
    if (texts->size() < wanted.size()) CHECK(report->cut);
    ++(report->cut ? cut : harmless);
  }
  MESSAGE("refused " << refused << " cut " << cut << " unread " << unread << " harmless " << harmless);
  CHECK(refused > 100);
  CHECK(cut > 0);
  CHECK(unread > 0);
}

}  // namespace
}  // namespace polylog::storage
