#include "storage/wal_files.h"

#include <map>
#include <optional>
#include <set>

#include "storage/cell_test_kit.h"
#include "storage/noted_disk_test_kit.h"

namespace polylog::storage {
namespace {

using base::ErrorCode;
using base::limits::kKiB;

const base::PartitionKey kA = test_key(1), kB = test_key(2);

// Appends to `key` until the WAL has moved on by `files` files; how many batches that took.
int fill_files(CellKit& kit, const base::PartitionKey& key, uint64_t files) {
  const uint64_t until = kit.cell->wal().durable_end().file_seq + files;
  int batches = 0;
  while (kit.cell->wal().durable_end().file_seq < until) {
    const auto appended = kit.append(key, test_batch(static_cast<uint64_t>(batches), 100 * kKiB));
    REQUIRE_MESSAGE(appended.has_value(), (appended ? "" : appended.error().text));
    ++batches;
    kit.settle();
  }
  return batches;
}

std::set<std::string> wal_names(CellKit& kit) {
  std::set<std::string> found;
  const std::vector<std::string> names = *kit.disk.list("/cell");
  for (const std::string& name : names)
    if (name.starts_with("wal-")) found.insert(name);
  return found;
}

TEST_CASE("a_file_is_recycled_only_when_dead_below_a_durable_checkpoint_and_unread") {
  CellKit kit;
  kit.open();
  REQUIRE(kit.append(kB, test_batch(99, 600 * kKiB)));  // most of file 1: not worth moving
  fill_files(kit, kA, 3);
  const auto first = WalFiles::name_of(1), second = WalFiles::name_of(2);
  kit.cell->trim(*kit.cell->find(kA), kit.cell->find(kA)->committed());
  kit.cell->end_turn();
  kit.settle();
  CHECK(wal_names(kit).contains(second));  // dead, but no checkpoint says so
  REQUIRE(kit.checkpoint());
  fill_files(kit, kA, 3);
  CHECK(wal_names(kit).contains(first));  // live
  CHECK(!wal_names(kit).contains(second));
  CHECK(kit.contents(kB) == std::vector<std::string>{test_batch(99, 600 * kKiB)});
  kit.crash();
  kit.open();
  CHECK(kit.contents(kB) == std::vector<std::string>{test_batch(99, 600 * kKiB)});
}

TEST_CASE("a_file_somebody_reads_is_not_released") {
  io::SimWorld world({.seed = 1});
  io::SimDisk disk(1);
  REQUIRE(disk.make_directory("/w"));
  WalFiles files({.disk = disk, .loop = world.loop(0), .directory = "/w", .file_bytes = 64 * kKiB, .reserve_files = 1});
  REQUIRE(files.set_current(1));
  files.prepare_ahead();
  world.run_for(std::chrono::seconds(1));
  files.advance(1);
  files.advance(1);
  world.run_for(std::chrono::seconds(1));
  CHECK(files.dead_before(3) == std::vector<uint64_t>{1, 2});
  files.add_live(2, 10);
  CHECK(files.dead_before(3) == std::vector<uint64_t>{1});
  CHECK(files.dead_before(1).empty());
  files.add_live(2, -10);
  auto pin = files.file(1);
  files.release({1, 2});
  CHECK(files.file(1) == pin);
  CHECK(files.file(2) == nullptr);
  pin.reset();
  files.release({1, 2});
  CHECK(files.file(1) == nullptr);
}

TEST_CASE("how_fast_the_log_grows_is_told_by_its_last_file_and_sinks_in_silence") {
  io::SimWorld world({.seed = 1});
  io::SimDisk disk(1);
  REQUIRE(disk.make_directory("/w"));
  WalFiles files({.disk = disk, .loop = world.loop(0), .directory = "/w", .file_bytes = 64 * kKiB, .reserve_files = 2});
  REQUIRE(files.set_current(1));
  files.prepare_ahead();
  world.run_for(std::chrono::seconds(1));
  CHECK(files.filled_per_second() == 0);
  files.advance(1);
  world.run_for(std::chrono::milliseconds(500));
  files.advance(1);
  CHECK(files.filled_per_second() == 128 * kKiB);
  world.run_for(std::chrono::seconds(4));
  CHECK(files.filled_per_second() == 16 * kKiB);
}

TEST_CASE("log_files_are_zeroed_slowly_or_soon_or_not_at_all_by_how_fast_they_are_used") {
  io::SimWorld world({.seed = 1});
  NotedDisk disk("/w");
  const Noted& noted = disk.noted;
  WalFiles files({.disk = disk,
                  .loop = world.loop(0),
                  .directory = "/w",
                  .file_bytes = 4 * base::limits::kMiB,
                  .reserve_files = 4});
  REQUIRE(files.set_current(1));
  files.prepare_ahead();
  world.run_for(std::chrono::seconds(1));
  CHECK(noted.zeroed_soon == 5);  // the current one, and until four are ready
  CHECK(noted.zeroed_in_time == 1);
  files.advance(100);
  world.run_for(std::chrono::seconds(1));
  CHECK(noted.zeroed_in_time == 2);
  CHECK(noted.allocations == 0);
  files.advance(100);
  world.run_for(std::chrono::microseconds(100));
  files.advance(100);  // more than 256 MiB a second, and for the next milliseconds
  world.run_for(std::chrono::seconds(1));
  CHECK(noted.allocations > 0);
}

TEST_CASE("recycled_space_does_not_grow_without_bound_and_contents_stay_right") {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    CellKit kit(seed);
    kit.open();
    std::map<int64_t, std::string> sent;
    io::Random random(seed);
    for (int i = 0; i < 200; ++i) {
      const std::string text = test_batch(static_cast<uint64_t>(i), 1 + random.below(120'000));
      const auto appended = kit.append(kA, text);
      if (!appended) {
        REQUIRE(appended.error().code == ErrorCode::kOverloaded);
      } else {
        sent[appended->base_offset.value] = text;
      }
      Partition& partition = *kit.cell->find(kA);
      if (i % 5 == 0) kit.cell->trim(partition, Offset(std::max<int64_t>(0, partition.committed().value - 10)));
      if (i % 20 == 0) kit.cell->checkpoint([](base::Result<>) {});
      kit.cell->end_turn();
      if (random.chance(0.5)) kit.settle();
      if (i % 50 == 49) {
        kit.crash();
        kit.open();
        sent.erase(sent.lower_bound(kit.cell->find(kA)->appended().value), sent.end());
      }
    }
    kit.settle();
    const auto texts = kit.contents(kA);
    REQUIRE(texts);
    int64_t at = kit.cell->find(kA)->start().value;
    for (const std::string& text : *texts) REQUIRE(text == sent[at++]);
    CHECK(wal_names(kit).size() < 15);
  }
}

TEST_CASE("a_large_state_is_not_written_again_for_each_file_that_it_gives_back") {
  CellKit kit;
  kit.release_bytes_per_second = 1024;
  kit.open();
  for (int i = 0; i < 1000; ++i) REQUIRE(kit.append(kB, "x"));  // some 60 KB of state: a minute
  fill_files(kit, kA, 1);
  REQUIRE(kit.checkpoint());
  const auto let_a_file_die = [&] {
    fill_files(kit, kA, 1);
    kit.cell->trim(*kit.cell->find(kA), kit.cell->find(kA)->committed());
    kit.cell->release_soon();
    kit.cell->end_turn();
    kit.world.run_for(std::chrono::seconds(5));
    return kit.cell->checkpoint_bytes_written();
  };
  const uint64_t first = kit.cell->checkpoint_bytes_written(), second = let_a_file_die();
  CHECK(second > first);  // the first of them at once
  CHECK(let_a_file_die() == second);
  CHECK(let_a_file_die() == second);
  kit.world.run_for(std::chrono::seconds(120));
  CHECK(kit.cell->checkpoint_bytes_written() > second);
  CHECK(kit.cell->checkpoint_bytes_written() - second < 2 * (second - first));  // both with one
}

TEST_CASE("a_full_disk_refuses_data_takes_mutations_and_resumes_when_space_returns") {
  CellKit kit;
  kit.open();
  REQUIRE(kit.append(kA, "kept"));
  kit.idle();
  kit.disk.fill_after(0);
  bool refused = false;
  for (int i = 0; i < 200 && !refused; ++i) {
    const auto appended = kit.append(kA, test_batch(static_cast<uint64_t>(i), 100 * kKiB));
    kit.settle();
    if (appended) continue;
    refused = true;
    CHECK(appended.error().code == ErrorCode::kDiskFull);
  }
  REQUIRE(refused);
  CHECK(kit.cell->disk_full());
  CHECK(!kit.cell->failed());
  for (int i = 0; i < 100; ++i) {
    const Lsn lsn = kit.cell->trim(*kit.cell->find(kA), Offset(i / 20));
    kit.cell->end_turn();
    kit.settle();
    CHECK(kit.cell->committed_lsn() >= lsn);
  }
  kit.disk.faults.capacity_bytes = UINT64_MAX;
  kit.world.run_for(std::chrono::seconds(3));
  CHECK(!kit.cell->disk_full());
  CHECK(kit.append(kA, "after"));
  kit.settle();
  kit.crash();
  kit.open();
  CHECK(kit.contents(kA)->back() == "after");
}

TEST_CASE("data_never_takes_the_last_ready_file") {
  CellKit kit;
  kit.open();
  REQUIRE(kit.append(kA, "first"));
  kit.idle();
  base::Result<Cell::Appended> appended;
  for (int i = 0; i < 100; ++i) {  // faster than files can be made: the clock stands
    appended = kit.append(kA, test_batch(static_cast<uint64_t>(i), 100 * kKiB));
    if (!appended) break;
  }
  REQUIRE(!appended);
  CHECK(appended.error().code == ErrorCode::kOverloaded);
  const std::string payload(100 * kKiB, 'm');
  for (int i = 0; i < 6; ++i)  // more than what is left of the current file
    CHECK(kit.cell->log(MutationType::kFirstOfEngine, base::as_view(payload)) != Lsn(UINT64_MAX));
  CHECK(!kit.cell->failed());
  kit.cell->end_turn();
  kit.settle();
  CHECK(kit.cell->committed_lsn() == kit.cell->appended_lsn());
}

TEST_CASE("on_a_full_disk_deleting_gives_room_for_new_data") {
  CellKit kit;
  kit.open();
  kit.idle();
  kit.disk.fill_after(3 * CellKit::kFileBytes);
  base::Result<Cell::Appended> appended;
  for (int i = 0; i < 300; ++i) {
    appended = kit.append(kA, test_batch(static_cast<uint64_t>(i), 100 * kKiB));
    kit.settle();
    if (!appended && appended.error().code == ErrorCode::kDiskFull) break;
  }
  REQUIRE(!appended);
  kit.cell->drop(kA);
  kit.cell->end_turn();
  for (int i = 0; i < 20 && kit.cell->disk_full(); ++i) {
    kit.world.run_for(std::chrono::seconds(1));
    kit.cell->end_turn();
  }
  CHECK(!kit.cell->disk_full());
  CHECK(kit.append(kB, "after"));
}

TEST_CASE("a_cell_that_cannot_log_what_it_applies_stops") {
  CellKit kit;
  kit.reserve_bytes = 0;
  kit.open();
  kit.disk.fill_after(0);
  while (kit.append(kA, test_batch(1, 100 * kKiB))) kit.settle();  // all live: no file can be given back
  const std::string payload(100 * kKiB, 'm');
  Lsn lsn;
  for (int i = 0; i < 100 && lsn != Lsn(UINT64_MAX); ++i) {
    lsn = kit.cell->log(MutationType::kFirstOfEngine, base::as_view(payload));
    kit.cell->end_turn();
    kit.settle();
  }
  CHECK(lsn == Lsn(UINT64_MAX));
  CHECK(kit.cell->failed());
  CHECK(kit.engine->failures.size() == 1);
  CHECK(kit.engine->failures.front().code == ErrorCode::kDiskFull);
}

// What opens files fails with `error` while that is set.
class RefusingDisk final : public io::PassingDisk {
 public:
  using PassingDisk::PassingDisk;
  base::Result<std::unique_ptr<io::File>> open(const std::string& path, io::OpenMode mode) override {
    if (error) return base::fail(*error, "refused");
    return PassingDisk::open(path, mode);
  }

  std::optional<ErrorCode> error;
};

TEST_CASE("a_file_that_cannot_be_prepared_for_want_of_space_or_descriptors_is_tried_again_and_other_errors_are_final") {
  for (const ErrorCode code : {ErrorCode::kDiskFull, ErrorCode::kOverloaded, ErrorCode::kIo, ErrorCode::kNotFound}) {
    CAPTURE(base::name_of(code));
    io::SimWorld world({.seed = 1});
    io::SimDisk sim(1);
    REQUIRE(sim.make_directory("/w"));
    RefusingDisk disk(sim);
    WalFiles files(
        {.disk = disk, .loop = world.loop(0), .directory = "/w", .file_bytes = 64 * kKiB, .reserve_files = 1});
    std::vector<base::Error> failures;
    files.set_on_failed([&](const base::Error& error) { failures.push_back(error); });
    REQUIRE(files.set_current(1));
    disk.error = code;
    files.prepare_ahead();
    world.run_for(std::chrono::seconds(3));
    const bool may_pass = code == ErrorCode::kDiskFull || code == ErrorCode::kOverloaded;
    CHECK(files.only_reserve_left() == (code == ErrorCode::kDiskFull));
    CHECK(failures.size() == (may_pass ? 0 : 1));
    if (!may_pass) CHECK(failures.front().code == ErrorCode::kIo);
    disk.error.reset();
    world.run_for(std::chrono::seconds(2));
    CHECK(files.can_advance(false) == may_pass);
  }
}

TEST_CASE("a_failed_sync_of_a_file_that_is_being_prepared_stops_the_cell") {
  CellKit kit;
  REQUIRE(kit.try_open());
  kit.disk.faults.sync_error = 1;
  kit.settle();
  kit.disk.faults.sync_error = 0;
  kit.settle();
  CHECK(kit.cell->failed());
  CHECK(!kit.cell->disk_full());
  REQUIRE(kit.engine->failures.size() == 1);
  CHECK(kit.engine->failures.front().text.contains("cannot prepare a WAL file: "));
  CHECK(kit.append(kA, "x").error().code == ErrorCode::kIo);
}

TEST_CASE("a_checkpoint_does_not_end_the_loan_of_a_pack") {
  io::SimWorld world({.seed = 1});
  io::SimDisk disk(1);
  REQUIRE(disk.make_directory("/w"));
  WalFiles files({.disk = disk, .loop = world.loop(0), .directory = "/w", .file_bytes = 64 * kKiB, .reserve_files = 4});
  REQUIRE(files.set_current(1));
  files.prepare_ahead();
  world.run_for(std::chrono::seconds(5));
  const size_t before = files.count();
  for (const auto loan : {WalFiles::Loan::kUntilEnded, WalFiles::Loan::kUntilRelease}) {
    REQUIRE(files.lend_reserve(loan));
    CHECK(!files.lend_reserve(loan));
    world.run_for(std::chrono::seconds(5));
    CHECK(files.count() == before - 1);
    files.release({});
    world.run_for(std::chrono::seconds(5));
    CHECK(files.count() == before - (loan == WalFiles::Loan::kUntilEnded ? 1 : 0));
    files.end_loan();
    world.run_for(std::chrono::seconds(5));
    CHECK(files.count() == before);
  }
}

TEST_CASE("a_file_that_a_start_read_is_not_held_open_when_it_is_lent_nor_taken_for_its_successor") {
  io::SimWorld world({.seed = 1});
  io::SimDisk disk(1);
  REQUIRE(disk.make_directory("/w"));
  const auto options = [&] {
    return WalFiles::Options{.disk = disk,
                             .loop = world.loop(0),
                             .directory = "/w",
                             .file_bytes = 64 * kKiB,
                             .reserve_files = 3,
                             .open_files_max = 3};
  };
  {
    WalFiles files(options());
    REQUIRE(files.set_current(1));
    files.prepare_ahead();
    world.run_for(std::chrono::seconds(5));
  }
  WalFiles files(options());
  REQUIRE(files.open_existing());
  std::vector<uint8_t> bytes(100);
  const uint64_t last = files.sequence_numbers().back();
  REQUIRE(files.file(last)->read_at(bytes, 0));
  REQUIRE(files.open_past_files() == 1);
  REQUIRE(files.set_current(1));
  REQUIRE(files.lend_reserve(WalFiles::Loan::kUntilEnded));
  world.run_for(std::chrono::seconds(5));
  CHECK(files.open_past_files() == 0);
}

TEST_CASE("past_files_are_open_only_while_they_are_read") {
  io::SimWorld world({.seed = 1});
  io::SimDisk disk(1);
  REQUIRE(disk.make_directory("/w"));
  WalFiles files({.disk = disk,
                  .loop = world.loop(0),
                  .directory = "/w",
                  .file_bytes = 64 * kKiB,
                  .reserve_files = 1,
                  .open_files_max = 3});
  REQUIRE(files.set_current(1));
  files.prepare_ahead();
  for (int i = 0; i < 20; ++i) {
    world.run_for(std::chrono::seconds(2));
    files.advance(1);
    files.add_live(files.current(), 1);
  }
  CHECK(files.open_past_files() == 0);
  std::vector<uint8_t> bytes(100);
  for (const uint64_t seq : files.sequence_numbers()) {
    REQUIRE(files.file(seq)->read_at(bytes, 0));
    CHECK(files.open_past_files() <= 3);
  }
  CHECK(files.open_past_files() == 3);
  const View view = bytes;
  CHECK(files.file(1)->write_at({&view, 1}, 0).error().code == ErrorCode::kInvalid);
  CHECK(files.file(files.current())->write_at({&view, 1}, 0));
}

}  // namespace
}  // namespace polylog::storage
