// The broker's engine in a process of its own, without listeners: some cores, one cell each, the real disk, interval
// durability. For programs that measure what the engine itself costs. Its data is gone when it is destroyed.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "broker/broker.h"
#include "broker/catalog/catalog_service.h"
#include "broker/cell_engine.h"
#include "io/core.h"
#include "io/posix_disk.h"
#include "storage/local_meta_store.h"

namespace polylog::bench {

template <typename T>
T or_exit(base::Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "%s\n", result.error().text.c_str());
  std::exit(1);
}
inline void or_exit(const base::Result<>& result) {
  if (result) return;
  std::fprintf(stderr, "%s\n", result.error().text.c_str());
  std::exit(1);
}

class Engine {
 public:
  Engine(const std::string& directory, size_t cores)
      : scratch_(directory + "/bench-engine-" + std::to_string(getpid())), group_({.cores = cores}) {
    for (size_t i = 0; i < cores; ++i) core_of_cell_.emplace_back(static_cast<uint16_t>(i));
    for (size_t i = 0; i < cores; ++i) {
      brokers_.push_back(std::make_unique<broker::Broker>(broker::Broker::Options{.loop = group_.core(i),
                                                                                  .encodings = encodings_,
                                                                                  .metrics = metrics_[i],
                                                                                  .core_of_cell = core_of_cell_,
                                                                                  .all = all_}));
      all_.push_back(brokers_.back().get());
    }
    for (uint16_t i = 0; i < cores; ++i) add_cell(i);
    store_ = std::make_unique<storage::LocalMetaStore>(group_.core(0), disk_, scratch_.path + "/meta");
    or_exit(store_->open());
    catalog_ = std::make_unique<broker::CatalogService>(broker::CatalogService::Options{
        .store = *store_, .brokers = all_, .cell_count = static_cast<uint32_t>(cores), .new_id = base::Uuid::random});
    all_[0]->set_catalog_service(catalog_.get());
    or_exit(catalog_->load());
  }
  broker::Broker& broker(size_t core) { return *all_[core]; }
  void run() { group_.run(); }  // until stop()
  void stop() { group_.stop(); }

 private:
  static constexpr size_t kCoresMax = 2;
  struct Scratch {
    explicit Scratch(std::string directory) : path(std::move(directory)) { std::filesystem::create_directories(path); }
    ~Scratch() { std::filesystem::remove_all(path); }
    const std::string path;
  };
  void add_cell(uint16_t number) {
    auto cell = std::make_unique<broker::CellEngine>(
        *all_[number],
        broker::CellEngine::Options{.cell = {.loop = group_.core(number),
                                             .disk = disk_,
                                             .directory = scratch_.path + "/cell" + std::to_string(number),
                                             .id = base::CellId(number),
                                             .nonce = base::Uuid::random(),
                                             .wal_file_bytes = base::limits::kWalFileBytesDefault,
                                             .reserve_bytes = 512 * base::limits::kMiB,
                                             .durability = storage::Durability::kInterval},
                                    .groups = {},
                                    .new_id = base::Uuid::random});
    or_exit(cell->open());
    all_[number]->add_cell(base::CellId(number), std::move(cell));
  }

  Scratch scratch_;
  io::PosixDisk disk_;
  io::CoreGroup group_;
  broker::EncodingRegistry encodings_;
  base::Registry metrics_[kCoresMax];
  std::vector<base::CoreId> core_of_cell_;
  std::vector<broker::Broker*> all_;
  std::vector<std::unique_ptr<broker::Broker>> brokers_;
  std::unique_ptr<storage::LocalMetaStore> store_;
  std::unique_ptr<broker::CatalogService> catalog_;
};

}  // namespace polylog::bench
