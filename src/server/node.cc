#include "server/node.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#include "base/log.h"
#include "broker/cell_engine.h"
#include "protocol/amqp/mapping.h"
#include "protocol/amqp/queue_lookup.h"
#include "protocol/kafka/core_shared.h"
#include "protocol/kafka/mapping.h"
#include "protocol/kafka/session.h"
#include "protocol/kafka/topic_config.h"

namespace polylog::server {
namespace {

// A larger tail is no faster: memory touched for the first time costs more than a read from the disk's cache.
constexpr uint64_t kTailBytesMax = 256 * base::limits::kMiB;
constexpr uint64_t kShareOfOpenFiles = 4;     // of the descriptors that the process may have, for old data
constexpr uint64_t kDiskShareOfReserve = 16;  // on a small disk the reserve is at most this part of it
constexpr uint64_t kDiskShareOfBursts = 8;    // as is what waits of a burst

// Connections get the rest. The limit was raised to what the system allows.
size_t open_files_max() {
  rlimit files{};
  const uint64_t allowed = getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : 0;
  return std::clamp<uint64_t>(allowed / kShareOfOpenFiles, base::limits::kOpenFilesMin, base::limits::kOpenFilesMax);
}

uint64_t wal_file_bytes_for(const Config& config, const io::Disk::Space& space) {
  using namespace base::limits;
  uint64_t bytes = config.storage.wal_file_bytes;
  if (bytes == 0) bytes = space.total_bytes / kWalFilesPerDisk;
  return std::clamp<uint64_t>(bytes, kWalFileBytesMin, kWalFileBytesDefault) / kBlockBytes * kBlockBytes;
}

broker::GroupConfig group_config_of(const Config& config) {
  broker::GroupConfig groups;
  groups.initial_rebalance_delay_ms = static_cast<int32_t>(config.kafka.initial_rebalance_delay_ms);
  groups.cursor_retention_ms = static_cast<int64_t>(config.kafka.offsets_retention_ms);
  groups.managed_session_timeout_ms = static_cast<int32_t>(config.kafka.consumer_session_timeout_ms);
  groups.managed_heartbeat_interval_ms = static_cast<int32_t>(config.kafka.consumer_heartbeat_interval_ms);
  return groups;
}

// Who made the stream decides what it keeps by default; what was set for it as a topic goes before that.
broker::RetentionPolicy retention_of(const broker::StreamRecord& record, const kafka::Config& config) {
  if (const auto amqp = amqp::retention_of(record)) return kafka::retention_of(record, {.limits = *amqp});
  return kafka::retention_of(record, kafka::default_retention(config));
}

std::optional<broker::CompactionPolicy> compaction_of(const broker::StreamRecord& record, const kafka::Config& config) {
  const bool is_amqp = amqp::retention_of(record).has_value();
  return kafka::compaction_of(record, config, is_amqp, retention_of(record, config));
}

size_t connections_max_of(Protocol protocol) {
  return protocol == Protocol::kAdmin ? kAdminConnectionsMax : base::limits::kConnectionsPerCoreMax;
}

base::Gauge& failed_gauge(base::Registry& registry, base::CellId cell) {
  return registry.gauge("polylog_cell_failed", "1 when a cell refuses writes after a disk error or found damage",
                        fmt::format("cell=\"{}\"", cell.value));
}

}  // namespace

Node::Node(const Config& config) : config_(config) {}

// Everything that lives on cores goes before the cores do.
Node::~Node() {
  listeners_.clear();
  if (metrics_) metrics_->stop();
  brokers_.clear();
  catalog_.reset();
  meta_.reset();
  cores_.reset();
}

base::Result<std::unique_ptr<Node>> Node::start(const Config& config) {
  std::unique_ptr<Node> node(new Node(config));
  TRY(node->open());
  return node;
}

base::Result<> Node::open() {
  const MemoryShares shares = shares_of(memory_bytes_max_of(config_, machine_memory_bytes()));
  cores_ = std::make_unique<io::CoreGroup>(
      io::CoreGroup::Options{.cores = config_.cores, .input_bytes_max = shares.ingress_bytes / 2});
  const uint32_t cells_wanted =
      config_.storage.cells != 0 ? config_.storage.cells : static_cast<uint32_t>(cores_->size());
  TRY_ASSIGN(DataDir dir, DataDir::open(disk_, config_.data_dir, cells_wanted));
  dir_ = std::make_unique<DataDir>(std::move(dir));
  encodings_.add(kafka::kEncodingTag, std::make_unique<kafka::RecordBatchEncoding>(config_.amqp.message_bytes_max));
  encodings_.add(amqp::kEncodingTag, std::make_unique<amqp::AmqpEncoding>());
  for (size_t i = 0; i < cores_->size(); ++i) registries_.push_back(std::make_unique<base::Registry>());
  for (const auto& registry : registries_) registry_list_.push_back(registry.get());
  for (uint32_t cell = 0; cell < dir_->cells(); ++cell)
    core_of_cell_.emplace_back(static_cast<uint16_t>(cell % cores_->size()));
  broker_list_.resize(cores_->size());
  const size_t egress_bytes = shares.egress_bytes / cores_->size();
  const size_t ingress_bytes = shares.ingress_bytes / 2 / cores_->size();
  for (size_t i = 0; i < cores_->size(); ++i) {
    brokers_.push_back(std::make_unique<broker::Broker>(broker::Broker::Options{.loop = cores_->core(i),
                                                                                .encodings = encodings_,
                                                                                .metrics = *registries_[i],
                                                                                .core_of_cell = core_of_cell_,
                                                                                .all = broker_list_,
                                                                                .egress_bytes_max = egress_bytes,
                                                                                .ingress_bytes_max = ingress_bytes,
                                                                                .slow_operation = slow_operation()}));
    broker_list_[i] = brokers_.back().get();
    kafka_cores_.push_back(std::make_shared<kafka::CoreShared>(*broker_list_[i], kafka_));
  }
  TRY(open_cells());
  TRY(open_catalog());
  metrics_ = std::make_unique<NodeMetrics>(NodeMetrics::Options{.cores = *cores_,
                                                                .brokers = broker_list_,
                                                                .registries = registry_list_,
                                                                .disk = disk_,
                                                                .data_dir = config_.data_dir,
                                                                .shares = shares});
  return listen_all();
}

base::Duration Node::slow_operation() const {
  return config_.log.slow_operation_ms == 0 ? base::Duration::max()
                                            : std::chrono::milliseconds(config_.log.slow_operation_ms);
}

storage::Cell::Options Node::cell_options(base::CellId id, const io::Disk::Space& space) {
  const MemoryShares shares = shares_of(memory_bytes_max_of(config_, machine_memory_bytes()));
  const uint64_t reserve = std::min(config_.storage.reserve_bytes, space.total_bytes / kDiskShareOfReserve);
  return {.loop = cores_->core(core_of_cell_[id.value].value),
          .disk = disk_,
          .directory = dir_->cell_path(id),
          .id = id,
          .nonce = base::Uuid::random(),
          .wal_file_bytes = wal_file_bytes_for(config_, space),
          .reserve_bytes = reserve / dir_->cells(),
          .tail_bytes_max = std::min<uint64_t>(shares.tail_bytes, kTailBytesMax) / dir_->cells(),
          .memory_only_bytes_max = shares.state_bytes / dir_->cells(),
          .undurable_bytes_max = shares.ingress_bytes / 2 / dir_->cells(),
          .checkpoint_wal_bytes = config_.storage.checkpoint_wal_bytes,
          .keep_files = config_.storage.wal_keep_files,
          .burst_bytes = std::min(config_.storage.burst_bytes, space.total_bytes / kDiskShareOfBursts / dir_->cells()),
          .open_files_max = open_files_max() / dir_->cells(),
          .pack_bytes_per_second = config_.storage.pack_bytes_per_second,
          .compact_bytes_max = compact_memory_bytes_of(config_, shares) / dir_->cells() / broker::kCompactionsAtATime,
          .durability =
              config_.durability == Durability::kCommit ? storage::Durability::kCommit : storage::Durability::kInterval,
          .durability_interval = std::chrono::milliseconds(config_.durability_interval_ms)};
}

base::Result<> Node::open_cells() {
  TRY_ASSIGN(const io::Disk::Space space, disk_.space(config_.data_dir));
  broker::GroupConfig groups = group_config_of(config_);
  groups.memory_bytes_max = shares_of(memory_bytes_max_of(config_, machine_memory_bytes())).state_bytes / dir_->cells();
  for (uint32_t i = 0; i < dir_->cells(); ++i) {
    const base::CellId id(static_cast<uint16_t>(i));
    broker::Broker& home = *broker_list_[core_of_cell_[i].value];
    kafka::CoreShared& shared = *kafka_cores_[core_of_cell_[i].value];
    broker::CellEngine::Options options{
        .cell = cell_options(id, space),
        .groups = groups,
        .new_id = base::Uuid::random,
        .retention = [&shared](const broker::StreamRecord& record) { return retention_of(record, shared.config()); },
        .compaction = {.policy = [&shared](const broker::StreamRecord& record) {
          return compaction_of(record, shared.config());
        }}};
    auto engine = std::make_unique<broker::CellEngine>(home, std::move(options));
    const auto report = engine->open();
    if (report) {
      base::log_info("storage", "replayed the log behind the checkpoint",
                     {{"cell", i}, {"bytes", report->bytes}, {"slots", report->slots}});
      if (report->cut)
        base::log_warn("storage",
                       fmt::format("cell {}: cut a torn write, never acknowledged, at {} offset {}", i,
                                   report->cut->file, report->cut->offset),
                       {{"cell", i}});
      home.tell_all_epoch(id, engine->cell().epoch());
    } else if (report.error().code == base::ErrorCode::kCorrupt) {  // the other cells go on
      base::log_error("storage", fmt::format("cell {} stays closed: {}", i, report.error().text), {{"cell", i}});
    } else {
      return std::unexpected(report.error());
    }
    home.add_cell(id, std::move(engine));
  }
  return {};
}

base::Result<> Node::open_catalog() {
  meta_ = std::make_unique<storage::LocalMetaStore>(cores_->core(0), disk_, dir_->meta_path());
  TRY(meta_->open());
  catalog_ = std::make_unique<broker::CatalogService>(broker::CatalogService::Options{
      .store = *meta_,
      .brokers = broker_list_,
      .cell_count = dir_->cells(),
      .partitions_max = partitions_max_of(memory_bytes_max_of(config_, machine_memory_bytes())),
      .new_id = base::Uuid::random});
  broker_list_[0]->set_catalog_service(catalog_.get());
  TRY_ASSIGN(const auto tombs, catalog_->load());
  for (broker::Broker* broker : broker_list_)
    for (const broker::CatalogService::Tomb& tomb : tombs) broker->bury(tomb.stream, tomb.partitions);
  return {};
}

io::HandlerFactory Node::factory_for(Protocol protocol, broker::Broker& broker) {
  switch (protocol) {
    case Protocol::kKafka:
      return [shared = kafka_cores_[broker.loop().core().value]] { return kafka::make_session(shared); };
    case Protocol::kAmqp: return [this, &broker] { return amqp::make_session(broker, amqp_); };
    case Protocol::kAdmin: return [this, &broker] { return make_admin_session(broker, admin_); };
  }
  return {};
}

void Node::fill_admin() {
  admin_.config = config_;
  admin_.kafka = kafka_cores_[0].get();
  admin_.listeners = bound_;
  admin_.cluster_id = dir_->cluster_id();
  admin_.core_of_cell = core_of_cell_;
  admin_.started = cores_->core(0).wall_now();
  admin_.disk_space = [this] { return metrics_->disk_space(); };
  admin_.connections = [this] {
    std::map<std::string, int64_t> open;
    for (size_t core = 0; core < cores_->size(); ++core) {
      for (size_t i = 0; i < kProtocolNames.size(); ++i)
        open[std::string(kProtocolNames[i])] += metrics_->traffic(static_cast<Protocol>(i), core)->open.value();
    }
    return open;
  };
  std::string listen;
  for (const ProtocolAddress& address : bound_) listen += (listen.empty() ? "" : ",") + to_text(address);
  admin_.found = {{"listen", listen},
                  {"cores", std::to_string(cores_->size())},
                  {"storage.cells", std::to_string(dir_->cells())},
                  {"memory_bytes_max", std::to_string(memory_bytes_max_of(config_, machine_memory_bytes()))}};
}

base::Result<> Node::listen_all() {
  admin_.registries = registry_list_;
  admin_.refresh_metrics = [this] { metrics_->scraped(); };
  admin_.trouble = [this] {
    std::string trouble;
    for (uint32_t i = 0; i < dir_->cells(); ++i) {
      const base::CellId id(static_cast<uint16_t>(i));
      if (failed_gauge(*registries_[core_of_cell_[i].value], id).value() != 0)
        trouble += fmt::format("cell {} refuses writes: see the log\n", i);
    }
    return trouble;
  };
  listeners_.resize(cores_->size());
  bound_ = config_.listen;
  for (ProtocolAddress& address : bound_) {
    const size_t cores = address.protocol == Protocol::kAdmin ? 1 : cores_->size();
    for (size_t core = 0; core < cores; ++core) {
      TRY_ASSIGN(auto listener,
                 io::listen(cores_->core(core), address.endpoint, factory_for(address.protocol, *broker_list_[core]),
                            metrics_->traffic(address.protocol, core), connections_max_of(address.protocol)));
      address.endpoint.port = listener->port();  // the other cores share what core 0 got
      listeners_[core].push_back(std::move(listener));
    }
  }
  kafka_.cluster_id = dir_->cluster_id();
  kafka_.log_dir = config_.data_dir;
  kafka_.node_id = static_cast<int32_t>(config_.kafka.broker_id);
  kafka_.auto_create_topics = config_.kafka.auto_create_topics;
  kafka_.num_partitions = static_cast<int32_t>(config_.kafka.num_partitions);
  kafka_.groups = group_config_of(config_);
  kafka_.retention_elsewhere = amqp::retention_of;
  kafka_.message_bytes_max = static_cast<int32_t>(config_.kafka.message_max_bytes);
  const auto advertise = [this](const std::vector<ProtocolAddress>& addresses) {
    for (const ProtocolAddress& address : addresses)
      if (address.protocol == Protocol::kKafka) kafka_.advertised = address.endpoint;
  };
  advertise(bound_);
  advertise(config_.advertise);  // goes before what we listen on
  amqp_.heartbeat_s = config_.amqp.heartbeat_s;
  amqp_.frame_max = config_.amqp.frame_bytes_max;
  amqp_.channel_max = config_.amqp.channel_max;
  amqp_.message_bytes_max = config_.amqp.message_bytes_max;
  fill_admin();
  admin_.ready = true;
  return {};
}

std::string Node::ready_line() const {
  std::string line = "polylog ready";
  for (const ProtocolAddress& address : bound_) line += " " + to_text(address);
  return line;
}

void Node::run() { cores_->run(); }

void Node::stop() {
  if (draining_.exchange(true)) return;
  admin_.ready = false;
  cells_to_drain_ = dir_->cells();
  for (size_t core = 0; core < cores_->size(); ++core)
    cores_->core(core).post_from_any_thread([this, core] { drain_core(core); });
}

void Node::drain_core(size_t core) {
  listeners_[core].clear();
  for (uint32_t i = 0; i < dir_->cells(); ++i) {
    if (core_of_cell_[i].value != core) continue;
    broker::CellEngine* engine = brokers_[core]->cell(base::CellId(static_cast<uint16_t>(i)));
    if (engine->failed()) {
      cell_drained();
      continue;
    }
    engine->cell().checkpoint([this](const base::Result<>&) { cell_drained(); });
  }
}

void Node::cell_drained() {
  if (--cells_to_drain_ == 0) cores_->stop();
}

}  // namespace polylog::server
