#include "broker/broker.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "broker/catalog/catalog_service.h"
#include "broker/cell_engine.h"

namespace polylog::broker {
namespace {

uint32_t partitions_to_make(const CatalogDelta& delta) {
  return delta.what == CatalogDelta::What::kPut ? static_cast<uint32_t>(delta.record->partitions.size()) : 0;
}

}  // namespace

Broker::Broker(Options options)
    : options_(std::move(options)),
      stages_(options_.metrics.part<StageTimes>()),
      egress_(options_.egress_bytes_max),
      ingress_(options_.ingress_bytes_max),
      epochs_(options_.core_of_cell.size()),
      cell_states_(options_.core_of_cell.size()) {}

Broker::~Broker() = default;

// --- sessions

SessionId Broker::add_session(Session& session) {
  const SessionId id{options_.loop.core(), next_session_++};
  sessions_[id.number] = &session;
  return id;
}

void Broker::remove_session(SessionId id) {
  sessions_.erase(id.number);
  for (Broker* broker : options_.all) {
    options_.loop.send(broker->loop().core(), [broker, id] {
      for (auto& [cell, engine] : broker->cells_) engine->session_closed(id);
    });
  }
}

void Broker::submit(base::CellId cell, ReplyTo from, CellRequest request) {
  CHECK(cell.value < options_.core_of_cell.size(), "a request for a cell that does not exist");
  const base::CoreId core = options_.core_of_cell[cell.value];
  AppendRequest* append = std::get_if<AppendRequest>(&request);
  if (append != nullptr) {
    append->asked_at = options_.loop.now();
    ingress_.submitted(append->batch().size());
  }
  if (core == options_.loop.core()) return execute(cell, from, std::move(request));
  // The frame that the bytes lie in does not live until the other core reads them.
  if (append != nullptr && append->owned.empty())
    append->owned = base::Slice::copy_of(std::exchange(append->bytes, {}));
  options_.loop.send(core, [there = options_.all[core.value], cell, from, r = std::move(request)]() mutable {
    there->execute(cell, from, std::move(r));
  });
}

void Broker::execute(base::CellId cell, ReplyTo from, CellRequest request) {
  cells_.at(cell)->execute(from, std::move(request));
}

void Broker::change_catalog(ReplyTo from, CatalogRequest request) {
  Broker* home = options_.all[0];
  options_.loop.send(home->loop().core(),
                     [home, from, r = std::move(request)]() mutable { home->service_->change(from, std::move(r)); });
}

void Broker::request_writer_id(ReplyTo from) {
  Broker* home = options_.all[0];
  options_.loop.send(home->loop().core(), [home, from] { home->service_->writer_id(from); });
}

base::CellId Broker::cell_of_group(std::string_view group) const {
  return base::CellId(static_cast<uint16_t>(base::stable_hash(group) % cell_count()));
}

void Broker::release_ingress(size_t bytes) {
  if (ingress_.answered(bytes)) tell_sessions_pressure();
}

// --- actions

void Broker::emit(Action action) {
  outbox_.push_back(std::move(action));
  if (dispatch_armed_) return;
  dispatch_armed_ = true;
  options_.loop.at_turn_end([this] { dispatch(); });
}

void Broker::dispatch() {
  dispatch_armed_ = false;
  std::vector<std::vector<Action>> elsewhere(options_.all.size());
  std::vector<Action> here;
  for (Action& action : std::exchange(outbox_, {})) {
    const base::CoreId core = action.to.session.core;
    (core == options_.loop.core() ? here : elsewhere[core.value]).push_back(std::move(action));
  }
  for (size_t core = 0; core < elsewhere.size(); ++core) {
    if (elsewhere[core].empty()) continue;
    Broker* there = options_.all[core];
    options_.loop.send(there->loop().core(),
                       [there, actions = std::move(elsewhere[core]), at = options_.loop.now()]() mutable {
                         there->bring(std::move(actions), at);
                       });
  }
  if (!here.empty()) bring(std::move(here), options_.loop.now());
}

void Broker::bring(std::vector<Action> actions, base::MonoTime released_at) {
  for (Action& action : actions) {
    const auto* append = std::get_if<AppendDone>(&action.body);
    if (append != nullptr) release_ingress(append->request_bytes);
    const auto found = sessions_.find(action.to.session.number);
    found != sessions_.end() ? found->second->on_action(std::move(action)) : drop_ownerless(action);
  }
  stages_.deliver.record_ns((options_.loop.clock() - released_at).count());
}

// The session left meanwhile: nobody else may use a stream that was made for it alone.
void Broker::drop_ownerless(const Action& action) {
  const auto* done = std::get_if<CatalogDone>(&action.body);
  if (done == nullptr || !done->result || done->record == nullptr) return;
  if (done->record->exclusive_owner == action.to.session) change_catalog({}, DeleteStream{done->record->id});
}

// --- cells

void Broker::add_cell(base::CellId id, std::unique_ptr<CellEngine> engine) { cells_[id] = std::move(engine); }

CellEngine* Broker::cell(base::CellId id) {
  const auto found = cells_.find(id);
  return found == cells_.end() ? nullptr : found->second.get();
}

void Broker::tell_all_pressure(base::CellId cell, bool pressured, bool full) {
  for (Broker* broker : options_.all)
    options_.loop.send(broker->loop().core(),
                       [broker, cell, pressured, full] { broker->set_pressure(cell, pressured, full); });
}

void Broker::set_pressure(base::CellId cell, bool pressured, bool full) {
  CellState& state = cell_states_[cell.value];
  pressured_cells_ += static_cast<size_t>(pressured) - static_cast<size_t>(state.pressured);
  full_cells_ += static_cast<size_t>(full) - static_cast<size_t>(state.full);
  state = {pressured, full};
  tell_sessions_pressure();
}

void Broker::tell_sessions_pressure() {
  std::vector<uint64_t> numbers;  // a session may leave while it is told
  for (const auto& [number, session] : sessions_) numbers.push_back(number);
  for (uint64_t number : numbers)
    if (const auto found = sessions_.find(number); found != sessions_.end()) found->second->on_pressure();
}

void Broker::tell_all_epoch(base::CellId cell, base::Epoch epoch) {
  for (Broker* broker : options_.all) broker->epochs_[cell.value] = epoch;  // before any loop runs
}

// --- catalog

void Broker::load_catalog(const CatalogDelta& delta) {
  make_partitions(delta, 0, partitions_to_make(delta));
  show_catalog(delta);
}

void Broker::show_catalog(const CatalogDelta& delta) {
  catalog_.apply(delta);
  for (auto& [id, engine] : cells_) engine->apply_catalog(delta);
}

void Broker::make_partitions(const CatalogDelta& delta, uint32_t from, uint32_t to) {
  if (from >= to) return;
  for (auto& [id, engine] : cells_) engine->make_partitions(*delta.record, from, to);
}

void Broker::prepare_catalog(CatalogDelta delta, io::Task done) {
  preparing_.push_back({std::move(delta), std::move(done)});
  if (preparing_.size() == 1) make_on();
}

void Broker::make_on() {
  while (!preparing_.empty()) {
    Preparing& first = preparing_.front();
    const uint32_t all = partitions_to_make(first.delta);
    if (!first.made) {  // those that the stream has already are there
      const Catalog::Record known = all > 0 ? catalog_.find(first.delta.record->id) : nullptr;
      first.made = known == nullptr ? 0 : std::min(all, static_cast<uint32_t>(known->partitions.size()));
    }
    if (made_now_ == 0 && *first.made < all) options_.loop.at_turn_end([this] { made_now_ = 0; });
    const uint32_t share = std::min(all - *first.made, options_.made_per_turn - made_now_);
    make_partitions(first.delta, *first.made, *first.made + share);
    *first.made += share;
    made_now_ += share;
    if (*first.made < all) {
      options_.loop.call_at(options_.loop.now(), [this] { make_on(); });
      return;
    }
    first.done();
    preparing_.pop_front();
  }
}

void Broker::bury(const base::Uuid& stream, uint32_t partitions) {
  for (auto& [id, engine] : cells_) engine->bury(stream, partitions);
}

void Broker::report_dropped(const base::Uuid& stream, base::CellId cell) {
  Broker* home = options_.all[0];
  options_.loop.send(home->loop().core(), [home, stream, cell] { home->service_->cell_dropped(stream, cell); });
}

}  // namespace polylog::broker
