// For tests: a whole engine (brokers, cells, catalog) of one or more cores on io/sim, and a session that keeps its Actions.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "broker/broker.h"
#include "broker/catalog/catalog_service.h"
#include "broker/cell_engine.h"
#include "io/sim/sim_disk.h"
#include "io/sim/sim_loop.h"
#include "storage/local_meta_store.h"

namespace polylog::broker {

struct RecordingSession final : Session {
  void on_action(Action action) override { actions.push_back(std::move(action)); }
  void on_pressure() override { ++pressure_changes; }
  template <typename T>
  std::vector<T> all(Token token) const {
    std::vector<T> found;
    for (const Action& action : actions)
      if (const T* body = std::get_if<T>(&action.body); body != nullptr && action.to.token == token)
        found.push_back(*body);
    return found;
  }
  std::vector<Action> actions;
  int pressure_changes = 0;
  SessionId id;
};

struct EngineKit {
  explicit EngineKit(size_t cores = 1, uint64_t seed = 1, size_t ingress_bytes_max = 64 * base::limits::kMiB)
      : world({.seed = seed, .cores = cores}), disk(seed), ingress_bytes(ingress_bytes_max) {
    open();
  }
  ~EngineKit() { close(); }

  void open() {
    std::vector<base::CoreId> core_of_cell;
    for (uint16_t i = 0; i < world.core_count(); ++i) core_of_cell.emplace_back(i);
    for (size_t i = 0; i < world.core_count(); ++i)
      brokers.push_back(std::make_unique<Broker>(Broker::Options{.loop = world.loop(i),
                                                                 .encodings = encodings,
                                                                 .metrics = metrics,
                                                                 .core_of_cell = core_of_cell,
                                                                 .all = all,
                                                                 .ingress_bytes_max = ingress_bytes}));
    for (auto& broker : brokers) all.push_back(broker.get());
    store = std::make_unique<storage::LocalMetaStore>(world.loop(0), disk, "/meta");
    REQUIRE(store->open());
    for (uint16_t i = 0; i < world.core_count(); ++i) {
      auto engine = std::make_unique<CellEngine>(
          *brokers[i], CellEngine::Options{.cell = {.loop = world.loop(i),
                                                    .disk = disk,
                                                    .directory = "/cell" + std::to_string(i),
                                                    .id = base::CellId(i),
                                                    .wal_file_bytes = base::limits::kWalFileBytesMin,
                                                    .reserve_bytes = 2 * base::limits::kMiB,
                                                    .tail_bytes_max = tail_bytes_max,
                                                    .pack_bytes_per_second = pack_bytes_per_second},
                                           .groups = {},
                                           .new_id = [this] { return new_id(); },
                                           .retention = retention,
                                           .compaction = compaction,
                                           .saved_ranges_max = saved_ranges_max});
      opened.push_back(engine->open().has_value());
      brokers[i]->add_cell(base::CellId(i), std::move(engine));
    }
    service = std::make_unique<CatalogService>(CatalogService::Options{.store = *store,
                                                                       .brokers = all,
                                                                       .cell_count = world.core_count(),
                                                                       .partitions_max = partitions_max,
                                                                       .new_id = [this] { return new_id(); }});
    brokers[0]->set_catalog_service(service.get());
    const auto tombs = service->load();
    REQUIRE(tombs);
    for (const CatalogService::Tomb& tomb : *tombs)
      for (Broker* broker : all) broker->bury(tomb.stream, tomb.partitions);
    session = std::make_unique<RecordingSession>();
    session->id = brokers[0]->add_session(*session);
  }
  void close() {
    world.crash();
    service.reset();
    brokers.clear();
    all.clear();
    opened.clear();
    store.reset();
    session.reset();
  }
  void crash() {
    close();
    disk.crash();
    open();
  }
  base::Uuid new_id() {
    base::Uuid id;
    const uint64_t word = world.random().next();
    std::memcpy(id.bytes.data(), &word, 8);
    return id;
  }
  void settle() { world.run_for(std::chrono::milliseconds(300)); }
  Token send_catalog(CatalogRequest request) {
    const Token token{next_token++};
    brokers[0]->change_catalog({session->id, token}, std::move(request));
    return token;
  }
  CatalogDone change(CatalogRequest request) {
    const Token token = send_catalog(std::move(request));
    settle();
    const auto done = session->all<CatalogDone>(token);
    REQUIRE(done.size() == 1);
    return done.front();
  }
  CatalogDone create(const std::string& name, uint32_t partitions = 1, StreamKind kind = StreamKind::kStream) {
    return change(CreateStream{.wanted = {.name = name, .kind = kind}, .partition_count = partitions});
  }
  Token send(const base::PartitionKey& key, CellRequest request) {
    const Token token{next_token++};
    const auto record = brokers[0]->catalog().find(key.stream);
    const base::CellId cell = record ? record->partitions[key.index] : base::CellId(0);
    brokers[0]->submit(cell, {session->id, token}, std::move(request));
    return token;
  }
  template <typename T>
  T ask(const base::PartitionKey& key, CellRequest request) {
    const Token token = send(key, std::move(request));
    settle();
    const auto done = session->all<T>(token);
    REQUIRE(done.size() == 1);
    return done.front();
  }
  AppendRequest batch(const base::PartitionKey& key, std::string_view text, uint32_t count = 1) {
    return {.partition = key, .owned = base::Slice::copy_of(base::as_view(text)), .count = count};
  }

  io::SimWorld world;
  io::SimDisk disk;
  const size_t ingress_bytes;
  EncodingRegistry encodings;
  std::function<RetentionPolicy(const StreamRecord&)> retention;  // from the next open() on
  CompactionSchedule::Options compaction;                         // likewise
  size_t saved_ranges_max = kSavedRangesMax;                      // likewise
  uint64_t pack_bytes_per_second = 256 * base::limits::kMiB;      // likewise
  base::Registry metrics;
  std::vector<Broker*> all;
  std::vector<std::unique_ptr<Broker>> brokers;
  std::vector<bool> opened;
  std::unique_ptr<storage::LocalMetaStore> store;
  std::unique_ptr<CatalogService> service;
  std::unique_ptr<RecordingSession> session;
  size_t tail_bytes_max = 64 * base::limits::kMiB;  // from the next open() on
  size_t partitions_max = SIZE_MAX;                 // likewise
  uint64_t next_token = 1;
};

}  // namespace polylog::broker
