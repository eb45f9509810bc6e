// For tests: a Cell on a simulated disk and loop, an Engine that keeps no objects, and batches that tell who they are.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "io/sim/sim_disk.h"
#include "io/sim/sim_loop.h"
#include "storage/cell.h"

namespace polylog::storage {

inline base::Uuid test_uuid(uint8_t n) {
  base::Uuid id;
  id.bytes.fill(n);
  return id;
}
inline base::PartitionKey test_key(uint8_t n, uint32_t index = 0) { return {test_uuid(n), index}; }

// `bytes` bytes that differ for each `number`.
inline std::string test_batch(uint64_t number, size_t bytes) {
  std::string text = "batch " + std::to_string(number) + " ";
  io::Random random(number);
  while (text.size() < bytes) text += static_cast<char>(random.below(256));
  text.resize(bytes);
  return text;
}

struct NoObjects final : ObjectWalk {
  Step next(base::Writer&, CheckpointObject&) override { return Step::kEnd; }
};

class IdleEngine final : public Engine {
 public:
  base::Result<> replay(const Mutation&, Lsn) override { return {}; }
  base::Result<> restore(const CheckpointObject&) override { return {}; }
  std::unique_ptr<ObjectWalk> walk_objects() override { return std::make_unique<NoObjects>(); }
  void on_commit(Lsn lsn) override {
    committed = lsn;
    ++commits;
  }
  void on_partition_commit(Partition&) override {}
  void on_cell_failed(const base::Error& error) override { failures.push_back(error); }
  void on_space_change(bool) override {}

  Lsn committed;
  int commits = 0;  // how often it was told
  std::vector<base::Error> failures;
};

struct CellKit {
  static constexpr uint64_t kFileBytes = base::limits::kWalFileBytesMin;

  explicit CellKit(uint64_t seed = 1) : world({.seed = seed}), disk(seed) {}
  ~CellKit() { close(); }

  Cell::Options options() {
    return {.loop = world.loop(0),
            .disk = disk,
            .directory = "/cell",
            .id = base::CellId(3),
            .nonce = test_uuid(0xEE),
            .wal_file_bytes = kFileBytes,
            .reserve_bytes = reserve_bytes,
            .tail_bytes_max = tail_bytes_max,
            .undurable_bytes_max = undurable_bytes_max,
            .checkpoint_mutation_bytes = checkpoint_mutation_bytes,
            .release_bytes_per_second = release_bytes_per_second,
            .keep_files = keep_files,
            .burst_bytes = burst_bytes,
            .open_files_max = open_files_max,
            .pack_bytes_per_second = pack_bytes_per_second,
            .compact_bytes_max = compact_bytes_max,
            .durability = durability};
  }
  base::Result<RecoveryReport> try_open() {
    close();
    engine = std::make_unique<IdleEngine>();
    cell = std::make_unique<Cell>(options(), *engine);
    return cell->open();
  }
  RecoveryReport open() {
    auto report = try_open();
    REQUIRE_MESSAGE(report.has_value(), (report ? "" : report.error().text));
    settle();
    return *report;
  }
  void close() {
    world.crash();
    cell.reset();
  }
  void crash() {
    close();
    disk.crash();
  }
  void settle() { world.run_for(std::chrono::milliseconds(200)); }
  void idle() { world.run_for(std::chrono::seconds(5)); }  // long enough for a witness

  base::Result<Cell::Appended> append(const base::PartitionKey& key, std::string_view text, uint32_t count = 1,
                                      std::optional<WriterStamp> writer = {}) {
    const Cell::BatchInfo info{.count = count, .encoding = 7, .max_ts = {5}, .writer = writer, .place = {}};
    auto appended = cell->append(cell->find_or_make(key, false), info, base::as_view(text));
    cell->end_turn();
    return appended;
  }
  // All bytes of a partition from its start, by batch; the error of the read if there is one.
  base::Result<std::vector<std::string>> contents(const base::PartitionKey& key) {
    Partition* partition = cell->find(key);
    std::vector<std::string> texts;
    if (partition == nullptr) return texts;
    for (Offset from = partition->start(); from < partition->committed();) {
      base::Result<std::vector<StoredBatch>> read = base::fail(base::ErrorCode::kTimeout, "no answer");
      const auto done = [&](base::Result<std::vector<StoredBatch>> loaded) { read = std::move(loaded); };
      if (partition->segment_at(from) != nullptr) {
        cell->read_segment(*partition, {.from = from, .end = partition->committed(), .bytes_max = SIZE_MAX}, done);
      } else {
        std::vector<StoredBatch> batches;
        partition->read(from, partition->committed(), SIZE_MAX, batches);
        cell->load(*partition, std::move(batches), done);
      }
      settle();
      if (!read) return std::unexpected(read.error());
      for (const StoredBatch& batch : *read) texts.emplace_back(base::as_text(batch.bytes.view()));
      from = read->back().ref.end_offset();
    }
    return texts;
  }
  std::string image(const base::PartitionKey& key) {  // what a checkpoint would hold of it
    base::Writer out;
    if (Partition* partition = cell->find(key)) partition->save(out);
    return std::string(base::as_text(out.view()));
  }
  base::Result<> checkpoint() {
    base::Result<> result = base::fail(base::ErrorCode::kTimeout, "no answer");
    cell->checkpoint([&](base::Result<> r) { result = std::move(r); });
    settle();
    return result;
  }

  io::SimWorld world;
  io::SimDisk disk;
  uint64_t reserve_bytes = 2 * kFileBytes;
  size_t tail_bytes_max = 64 * base::limits::kMiB;
  uint64_t keep_files = 4;
  uint64_t burst_bytes = 0;
  uint64_t pack_bytes_per_second = 256 * base::limits::kMiB;
  size_t compact_bytes_max = 1 * base::limits::kMiB;
  size_t open_files_max = 64;
  size_t undurable_bytes_max = 64 * base::limits::kMiB;
  uint64_t checkpoint_mutation_bytes = 32 * base::limits::kMiB;
  uint64_t release_bytes_per_second = 16 * base::limits::kMiB;
  Durability durability = Durability::kCommit;
  std::unique_ptr<IdleEngine> engine;
  std::unique_ptr<Cell> cell;
};

}  // namespace polylog::storage
