#include "tests/golden/world.h"

#include "base/check.h"
#include "broker/cell_engine.h"
#include "protocol/amqp/mapping.h"
#include "protocol/kafka/mapping.h"

namespace polylog::golden {
namespace {

const std::string kDirectory = "/data";
constexpr uint64_t kWalFileBytes = 64 * base::limits::kKiB;  // small: a replay makes a new broker thousands of times
constexpr base::CellId kCell(0);

}  // namespace

World::World(int64_t wall_ms)
    : loops_({.long_delay_chance = 0, .wall_start_ms = wall_ms}), meta_(loops_.loop(0), disk_, kDirectory) {
  encodings_.add(kafka::kEncodingTag, std::make_unique<kafka::RecordBatchEncoding>());
  encodings_.add(amqp::kEncodingTag, std::make_unique<amqp::AmqpEncoding>());
  broker_ = std::make_unique<broker::Broker>(broker::Broker::Options{.loop = loops_.loop(0),
                                                                     .encodings = encodings_,
                                                                     .metrics = metrics_,
                                                                     .core_of_cell = {base::CoreId(0)},
                                                                     .all = brokers_});
  brokers_ = {broker_.get()};
  CHECK(disk_.make_directory(kDirectory), "the disk is new");
  open_cell();
  CHECK(meta_.open(), "the disk is new");
  catalog_ = std::make_unique<broker::CatalogService>(broker::CatalogService::Options{
      .store = meta_, .brokers = brokers_, .cell_count = 1, .new_id = [this] { return new_id(); }});
  broker_->set_catalog_service(catalog_.get());
  CHECK(catalog_->load(), "the disk is new");
}

World::~World() { loops_.crash(); }

void World::open_cell() {
  const std::string directory = kDirectory + "/cell-0";
  CHECK(disk_.make_directory(directory), "the disk is new");
  broker::CellEngine::Options options{.cell = {.loop = loops_.loop(0),
                                               .disk = disk_,
                                               .directory = directory,
                                               .id = kCell,
                                               .nonce = new_id(),
                                               .wal_file_bytes = kWalFileBytes,
                                               .reserve_bytes = 0},
                                      .groups = {.initial_rebalance_delay_ms = 0},
                                      .new_id = [this] { return new_id(); }};
  options.groups.mutation_bytes_max = storage::Wal::part_bytes_for(kWalFileBytes) - 4 * base::limits::kKiB;
  auto engine = std::make_unique<broker::CellEngine>(*broker_, std::move(options));
  CHECK(engine->open(), "the disk is new");
  broker_->tell_all_epoch(kCell, engine->cell().epoch());
  broker_->add_cell(kCell, std::move(engine));
}

// Never the same twice, and nothing like what was recorded.
base::Uuid World::new_id() {
  base::Uuid id;
  ++ids_;
  id.bytes[0] = 0x60;
  for (size_t i = 0; i < 8; ++i) id.bytes[15 - i] = static_cast<uint8_t>(ids_ >> (8 * i));
  return id;
}

Link::Link(std::unique_ptr<io::Handler> session) : session_(std::move(session)) { session_->on_open(*this); }

void Link::give(base::View bytes) {
  kept_.insert(kept_.end(), bytes.begin(), bytes.end());
  offer();
}

void Link::offer() {
  if (paused_ || closed_ || session_ == nullptr || kept_.empty()) return;
  // A copy of its own size, so that reading past its end is found.
  const Bytes offered = kept_;
  const io::Handler::Taken taken = session_->on_bytes(offered);
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<ptrdiff_t>(taken.consumed_bytes));
}

void Link::collect(Bytes& into) {
  std::vector<base::View> pieces;
  const bool had_bytes = !out_.empty();
  while (!out_.empty()) {
    const size_t bytes = out_.gather(pieces, 64);
    for (const base::View piece : pieces) into.insert(into.end(), piece.begin(), piece.end());
    out_.sent(bytes);
  }
  if (had_bytes && session_ != nullptr) session_->on_drained();
  offer();  // reading may have been resumed
}

void Link::hang_up() {
  if (session_ == nullptr) return;
  session_->on_closed("the client hung up");
  session_.reset();
}

}  // namespace polylog::golden
