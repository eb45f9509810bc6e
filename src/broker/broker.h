// Broker: one core's door to the engine. Sessions of this core submit requests; it brings them to the cell's core, executes
// them there, and brings Actions back. Holds this core's catalog copy and the cells this core owns.
//
// Everything is called on the owning core only. submit() never blocks and never calls back into the session.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/log_rate.h"
#include "base/metrics.h"
#include "broker/actions.h"
#include "broker/catalog/catalog.h"
#include "broker/egress.h"
#include "broker/encoding.h"
#include "broker/ingress.h"
#include "broker/session.h"
#include "broker/stages.h"
#include "io/loop.h"

namespace polylog::broker {

inline constexpr uint32_t kMadePerTurn = 1024;

class CellEngine;
class CatalogService;

class Broker {
 public:
  struct Options {
    io::Loop& loop;
    const EncodingRegistry& encodings;
    base::Registry& metrics;
    std::vector<base::CoreId> core_of_cell;  // by cell number
    // The brokers of all cores, by core number; filled before any loop runs, then constant.
    const std::vector<Broker*>& all;
    size_t egress_bytes_max = 256 * base::limits::kMiB;  // of this core
    size_t ingress_bytes_max = 64 * base::limits::kMiB;  // likewise: appends its sessions submitted, not yet answered
    base::Duration slow_operation = std::chrono::seconds(1);  // sessions log what takes longer
    uint32_t made_per_turn = kMadePerTurn;                    // partitions of new streams
  };
  explicit Broker(Options options);
  ~Broker();

  // --- for sessions
  SessionId add_session(Session& session);
  void remove_session(SessionId id);  // its watches, consumers and group waits are forgotten in every cell
  void submit(base::CellId cell, ReplyTo from, CellRequest request);
  void change_catalog(ReplyTo from, CatalogRequest request);
  void request_writer_id(ReplyTo from);
  const Catalog& catalog() const { return catalog_; }
  base::CellId cell_of_group(std::string_view group) const;
  size_t cell_count() const { return options_.core_of_cell.size(); }
  // The epoch readers of a partition in this cell see; 0 while the cell is closed.
  base::Epoch epoch_of(base::CellId cell) const { return epochs_[cell.value]; }
  // While true, sessions that publish take no further request; they ask before each.
  bool under_pressure() const { return pressured_cells_ > 0 || ingress_.is_exhausted(); }
  bool disk_full() const { return full_cells_ > 0; }
  EgressBudget& egress() { return egress_; }
  const IngressBudget& ingress() const { return ingress_; }
  // Memory for what a session has taken from its connection and has not submitted yet: counts like what is submitted.
  void hold_ingress(size_t bytes) { ingress_.submitted(bytes); }
  void release_ingress(size_t bytes);
  io::Loop& loop() { return options_.loop; }
  base::Registry& metrics() { return options_.metrics; }
  StageTimes& stages() { return stages_; }
  base::Duration slow_operation() const { return options_.slow_operation; }
  base::LogRate& slow_lines() { return slow_lines_; }  // of this core's sessions
  const std::vector<Broker*>& all() const { return options_.all; }
  base::CoreId core_of(base::CellId cell) const { return options_.core_of_cell[cell.value]; }
  const EncodingRegistry& encodings() const { return options_.encodings; }

  // --- for cells of this core
  void add_cell(base::CellId id, std::unique_ptr<CellEngine> engine);
  CellEngine* cell(base::CellId id);
  template <typename Visit>
  void for_each_cell(Visit visit) {
    for (auto& [id, engine] : cells_) visit(*engine);
  }
  void emit(Action action);  // brought to its session at this turn's end, on whichever core it is
  void tell_all_pressure(base::CellId cell, bool pressured, bool full);
  void report_dropped(const base::Uuid& stream, base::CellId cell);  // to the catalog
  void tell_all_epoch(base::CellId cell, base::Epoch epoch);

  // --- for the catalog
  void set_catalog_service(CatalogService* service) { service_ = service; }  // on core 0
  // A delta comes in two steps, so that whoever finds a stream on one core finds all of it on the others: first every core
  // makes its partitions, in the order of the deltas and some a turn, and runs `done`; then it is shown everywhere.
  void prepare_catalog(CatalogDelta delta, io::Task done);
  void show_catalog(const CatalogDelta& delta);
  void load_catalog(const CatalogDelta& delta);              // start-up: both at once
  void bury(const base::Uuid& stream, uint32_t partitions);  // start-up: see CellEngine::bury

 private:
  struct CellState {
    bool pressured = false;
    bool full = false;
  };
  void execute(base::CellId cell, ReplyTo from, CellRequest request);
  void dispatch();
  void make_partitions(const CatalogDelta& delta, uint32_t from, uint32_t to);
  void make_on();
  void set_pressure(base::CellId cell, bool pressured, bool full);
  void tell_sessions_pressure();
  void bring(std::vector<Action> actions, base::MonoTime released_at);
  void drop_ownerless(const Action& action);

  Options options_;
  StageTimes& stages_;
  base::LogRate slow_lines_;
  EgressBudget egress_;
  IngressBudget ingress_;
  Catalog catalog_;
  struct Preparing {
    CatalogDelta delta;
    io::Task done;
    std::optional<uint32_t> made = {};  // of the stream's partitions; none: it is not its turn yet
  };
  std::deque<Preparing> preparing_;
  uint32_t made_now_ = 0;  // partitions, in this turn
  std::unordered_map<uint64_t, Session*> sessions_;
  uint64_t next_session_ = 1;
  std::map<base::CellId, std::unique_ptr<CellEngine>> cells_;
  std::vector<base::Epoch> epochs_;
  std::vector<CellState> cell_states_;
  size_t pressured_cells_ = 0, full_cells_ = 0;
  std::vector<Action> outbox_;
  bool dispatch_armed_ = false;
  CatalogService* service_ = nullptr;
};

}  // namespace polylog::broker
