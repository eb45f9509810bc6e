#include "tests/sim/world.h"

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "broker/mutations.h"
#include "tests/sim/keyed.h"

namespace polylog::sim {
namespace {

std::string directory_of_cell(size_t cell) { return std::string(kDataDirectory) + "/cell-" + std::to_string(cell); }

}  // namespace

// ---- Node

Node::Node(io::SimWorld& world, io::Disk& disk, io::Random& ids, Bug bug)
    : world_(world), disk_(disk), ids_(ids), bug_(bug) {}

// Everything that lives on the loops' workers goes while the loops are there.
Node::~Node() {
  brokers_.clear();
  catalog_.reset();
  meta_.reset();
}

base::Uuid Node::new_id() {
  base::Uuid id;
  for (uint8_t& byte : id.bytes) byte = static_cast<uint8_t>(ids_.next());
  return id;
}

base::Result<> Node::start() {
  encodings_.add(kEncodingTag, std::make_unique<SimEncoding>(bug_ == Bug::kMisplace));
  encodings_.add(kKeyedEncodingTag, std::make_unique<KeyedEncoding>(bug_ == Bug::kDropLatest));
  for (size_t i = 0; i < kCores; ++i) registries_.push_back(std::make_unique<base::Registry>());
  for (size_t i = 0; i < kCells; ++i) core_of_cell_.emplace_back(static_cast<uint16_t>(i % kCores));
  broker_list_.resize(kCores);
  for (size_t i = 0; i < kCores; ++i) {
    brokers_.push_back(std::make_unique<broker::Broker>(broker::Broker::Options{.loop = world_.loop(i),
                                                                                .encodings = encodings_,
                                                                                .metrics = *registries_[i],
                                                                                .core_of_cell = core_of_cell_,
                                                                                .all = broker_list_,
                                                                                .made_per_turn = 2}));
    broker_list_[i] = brokers_.back().get();
  }
  for (size_t i = 0; i < kCells; ++i) TRY(open_cell(i));
  return open_catalog();
}

base::Result<> Node::open_cell(size_t cell) {
  const base::CellId id(static_cast<uint16_t>(cell));
  broker::Broker& home = *broker_list_[core_of_cell_[cell].value];
  const bool early = bug_ == Bug::kAckBeforeCommit || bug_ == Bug::kDirtyRead;
  broker::CellEngine::Options options{
      .cell = {.loop = world_.loop(core_of_cell_[cell].value),
               .disk = disk_,
               .directory = directory_of_cell(cell),
               .id = id,
               .nonce = new_id(),
               .wal_file_bytes = kWalFileBytes,
               .reserve_bytes = 2 * kWalFileBytes,
               .tail_bytes_max = 48 * 1024,
               .memory_only_bytes_max = 256 * 1024,
               .undurable_bytes_max = 512 * 1024,
               .checkpoint_wal_bytes = 3 * kWalFileBytes,
               .checkpoint_mutation_bytes = 128 * 1024,
               .durability = early ? storage::Durability::kInterval : storage::Durability::kCommit},
      .groups = {},
      .new_id = [this] { return new_id(); },
      .compaction = {.policy = [](const broker::StreamRecord& record) -> std::optional<broker::CompactionPolicy> {
                       if (record.name != kKeyedStream) return std::nullopt;
                       return broker::CompactionPolicy{.dirty_ratio_min = 0.2,
                                                       .delete_retention_ms = 2'000,
                                                       .active_age_ms_max = 20,
                                                       .active_bytes_max = 64 * 1024};
                     },
                     .interval = std::chrono::milliseconds(50)},
      .saved_ranges_max = 3};
  options.cell.compact_bytes_max = 24 * 8 * 4;  // a few keys: most passes come to an end before the dirty part does
  options.groups.session_timeout_ms_min = 500;
  options.groups.initial_rebalance_delay_ms = 50;
  options.groups.managed_session_timeout_ms = 1'000;
  options.groups.expiry_check_interval_ms = 5'000;
  options.groups.mutation_bytes_max = storage::Wal::part_bytes_for(kWalFileBytes) - 4 * base::limits::kKiB;
  auto engine = std::make_unique<broker::CellEngine>(home, std::move(options));
  const auto report = engine->open();
  if (report) {
    cut_[cell] = report->cut.has_value();
    home.tell_all_epoch(id, engine->cell().epoch());
  } else if (report.error().code == base::ErrorCode::kCorrupt) {
    cell_errors_[cell] = report.error();
  } else {
    return std::unexpected(report.error());
  }
  if (report && bug_ == Bug::kForgetWriters)
    engine->cell().for_each_partition([](storage::Partition& p) { p.writers().expire({INT64_MAX}); });
  home.add_cell(id, std::move(engine));
  return {};
}

base::Result<> Node::open_catalog() {
  meta_ = std::make_unique<storage::LocalMetaStore>(world_.loop(0), disk_, std::string(kDataDirectory) + "/meta");
  TRY(meta_->open());
  catalog_ = std::make_unique<broker::CatalogService>(broker::CatalogService::Options{
      .store = *meta_, .brokers = broker_list_, .cell_count = kCells, .new_id = [this] { return new_id(); }});
  broker_list_[0]->set_catalog_service(catalog_.get());
  TRY_ASSIGN(const auto tombs, catalog_->load());
  for (broker::Broker* broker : broker_list_)
    for (const broker::CatalogService::Tomb& tomb : tombs) broker->bury(tomb.stream, tomb.partitions);
  return {};
}

broker::CellEngine& Node::engine(size_t cell) {
  return *broker_list_[core_of_cell_[cell].value]->cell(base::CellId(static_cast<uint16_t>(cell)));
}

bool Node::any_cell_failed() {
  for (size_t i = 0; i < kCells; ++i)
    if (engine(i).failed()) return true;
  return false;
}

namespace {

// Under the type and the key; a group's name is somewhere in its bytes. Further parts are added to the first.
void save_objects(storage::Engine& engine, const std::string& prefix, std::map<std::string, std::string>& state) {
  constexpr size_t kKeyBytes = 20;
  const auto walk = engine.walk_objects();
  base::Writer out;
  storage::CheckpointObject object;
  for (auto step = walk->next(out, object); step != storage::ObjectWalk::Step::kEnd; step = walk->next(out, object)) {
    const std::string bytes(base::as_text(out.view()));
    out.clear();
    if (step == storage::ObjectWalk::Step::kNothing) continue;
    const bool is_part = object.type == broker::kSubscriptionPartObject;
    const std::string name = object.type == broker::kGroupObject ? bytes : bytes.substr(0, kKeyBytes);
    const auto type = is_part ? broker::kSubscriptionObject : object.type;
    state[prefix + "object " + std::to_string(type) + " " + name] += bytes;
  }
}

}  // namespace

std::map<std::string, std::string> Node::saved_state() {
  std::map<std::string, std::string> state;
  for (size_t i = 0; i < kCells; ++i) {
    const std::string prefix = "cell " + std::to_string(i) + " ";
    engine(i).cell().for_each_partition([&](storage::Partition& partition) {
      if (partition.memory_only()) return;
      base::Writer out;
      partition.save(out);
      state[prefix + "partition " + partition.key().stream.to_string() + "/" + std::to_string(partition.key().index)] =
          std::string(base::as_text(out.view()));
    });
    save_objects(engine(i), prefix, state);
  }
  return state;
}

// ---- World

World::World(uint64_t seed, Bug bug)
    : bug_(bug), loops_({.seed = seed, .cores = kCores}), disk_(seed * 3 + 1), random_(seed * 3 + 2), ids_(seed * 3) {
  disk_.faults.sync_ignored = bug == Bug::kSyncIgnored;
}

World::~World() {
  loops_.crash();
  node_.reset();
}

base::Result<> World::start() {
  CHECK(!node_, "start() follows crash()");
  node_ = std::make_unique<Node>(loops_, cut_disk_, ids_, bug_);
  auto result = node_->start();
  if (!result) crash();
  return result;
}

void World::crash() {
  loops_.crash();
  node_.reset();
  loops_.crash();  // what the node's end left behind
  cut_disk_.restore();
  disk_.crash();
}

std::vector<std::string> World::files() {
  std::vector<std::string> paths;
  for (size_t cell = 0; cell < kCells; ++cell) {
    const std::string directory = directory_of_cell(cell);
    if (const auto names = disk_.list(directory))
      for (const std::string& name : *names)
        if (name.ends_with(".plw") || name.ends_with(".plc") || name.ends_with(".plx"))
          paths.push_back(directory + "/" + name);
  }
  return paths;
}

}  // namespace polylog::sim
