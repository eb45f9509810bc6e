#include "broker/catalog/catalog_service.h"

#include <fmt/format.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "broker/broker.h"

namespace polylog::broker {
namespace {

constexpr std::string_view kStreamPrefix = "stream/";
constexpr std::string_view kTombPrefix = "tomb/";
constexpr std::string_view kSettingsKey = "settings";
constexpr std::string_view kWriterIdKey = "ids/writer";
constexpr int64_t kWriterIdBlock = 1000;

std::string stream_key(const base::Uuid& id) { return std::string(kStreamPrefix) + id.to_string(); }
std::string tomb_key(const base::Uuid& id) { return std::string(kTombPrefix) + id.to_string(); }

// What a stream counts: its partitions, and one for what its attributes would take in their place, on the cores and in
// the store.
size_t room_of(const StreamRecord& record) {
  constexpr size_t kCopies = 3, kPartitionBytes = 4096;
  size_t bytes = 0;
  for (const auto& [name, value] : record.attributes) bytes += name.size() + value.size();
  return record.partitions.size() + kCopies * bytes / kPartitionBytes;
}
ptrdiff_t room_of(const Catalog::Record& record) { return record ? static_cast<ptrdiff_t>(room_of(*record)) : 0; }

std::unexpected<base::Error> not_found() { return base::fail(base::ErrorCode::kNotFound, "no such stream"); }

}  // namespace

CatalogService::CatalogService(Options options) : options_(std::move(options)) {}

base::Result<std::vector<CatalogService::Tomb>> CatalogService::load() {
  for (const auto& [key, value] : options_.store.range(kStreamPrefix)) {
    TRY_ASSIGN(StreamRecord decoded, decode_record(base::as_view(value)));
    auto record = std::make_shared<const StreamRecord>(std::move(decoded));
    apply_to_master(nullptr, record);
    room_used_ += room_of(*record);
    for (Broker* broker : options_.brokers)
      broker->load_catalog({.version = delta_version_, .what = CatalogDelta::What::kPut, .record = record});
  }
  if (const auto stored = options_.store.get(kSettingsKey)) {
    TRY_ASSIGN(Settings settings, decode_settings(base::as_view(*stored)));
    settings_ = std::make_shared<const Settings>(std::move(settings));
    for (Broker* broker : options_.brokers)
      broker->load_catalog(
          {.version = delta_version_, .what = CatalogDelta::What::kSettings, .record = {}, .settings = settings_});
  }
  std::vector<Tomb> tombs;
  for (const auto& [key, value] : options_.store.range(kTombPrefix)) {
    TRY_ASSIGN(const StreamRecord record, decode_record(base::as_view(value)));
    tombs.push_back({record.id, static_cast<uint32_t>(record.partitions.size())});
    wait_for_drops(record);
    room_used_ += room_of(record);
  }
  if (const auto stored = options_.store.get(kWriterIdKey)) next_writer_id_ = writer_ids_end_ = std::stoll(*stored);
  return tombs;
}

CatalogService::Record CatalogService::find(const base::Uuid& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

void CatalogService::apply_to_master(const Record& before, const Record& after) {
  if (before) {
    by_name_.erase(before->name);
    by_id_.erase(before->id);
  }
  if (after) {
    by_name_[after->name] = after;
    by_id_[after->id] = after;
  }
}

// Partitions go round the cells, beginning at one that depends on the id: many small streams spread as well as one large.
void CatalogService::place(StreamRecord& record, uint32_t partition_count) const {
  const size_t first = std::hash<base::Uuid>{}(record.id) % options_.cell_count;
  for (size_t i = record.partitions.size(); i < partition_count; ++i)
    record.partitions.emplace_back(static_cast<uint16_t>((first + i) % options_.cell_count));
}

// --- planning: what a request would change, against the master copy

ptrdiff_t CatalogService::Change::growth() const { return changes() ? room_of(after) - room_of(before) : 0; }

void CatalogService::check_room(Change& change) {
  if (change.growth() <= 0 || room_used_ + static_cast<size_t>(change.growth()) <= options_.partitions_max) return;
  change.after = change.before;
  change.result = base::fail(
      base::ErrorCode::kLimit,
      fmt::format("memory_bytes_max allows {} partitions and queues, and {} are there: delete some, or set it "
                  "higher",
                  options_.partitions_max, room_used_));
  if (const auto left_out = refusals_.admit(options_.brokers[0]->loop().now()))
    base::log_warn("broker", change.result.error().text, {{"left_out", *left_out}});
}

CatalogService::Change CatalogService::plan(const CreateStream& request) {
  Change change;
  if (request.wanted.name.empty() || request.wanted.name.size() > base::limits::kNameBytesMax) {
    change.result = base::fail(base::ErrorCode::kInvalid, "a name has 1 to 255 bytes");
  } else if (request.partition_count == 0 || request.partition_count > base::limits::kPartitionsPerStreamMax) {
    change.result = base::fail(base::ErrorCode::kInvalid, "a stream has 1 to 100000 partitions");
  } else if (const auto found = by_name_.find(request.wanted.name); found != by_name_.end()) {
    change.result = base::fail(base::ErrorCode::kExists, "the name is taken");
    change.before = change.after = found->second;
  } else {
    auto record = std::make_shared<StreamRecord>(request.wanted);
    record->id = options_.new_id();
    record->version = 1;
    record->partitions.clear();
    place(*record, request.partition_count);
    change.after = std::move(record);
    check_room(change);
    if (request.validate_only) change.before = change.after;
  }
  return change;
}

CatalogService::Change CatalogService::plan(const DeleteStream& request) {
  Change change;
  change.before = find(request.id);
  if (!change.before) change.result = not_found();
  return change;
}

CatalogService::Change CatalogService::plan(const AlterStream& request) {
  Change change;
  change.before = change.after = find(request.id);
  if (!change.before) {
    change.result = not_found();
  } else if (change.before->version != request.expected_version) {
    change.result = base::fail(base::ErrorCode::kConflict, "changed by someone else meanwhile; read it again");
  } else {
    auto record = std::make_shared<StreamRecord>(*change.before);
    record->attributes = request.attributes;
    ++record->version;
    change.after = std::move(record);
    check_room(change);
  }
  return change;
}

CatalogService::Change CatalogService::plan(const AddPartitions& request) {
  Change change;
  change.before = change.after = find(request.id);
  if (!change.before) {
    change.result = not_found();
  } else if (request.partition_count <= change.before->partitions.size() ||
             request.partition_count > base::limits::kPartitionsPerStreamMax ||
             change.before->kind != StreamKind::kStream) {
    change.result = base::fail(base::ErrorCode::kInvalid, "the number of partitions can only grow");
  } else {
    auto record = std::make_shared<StreamRecord>(*change.before);
    place(*record, request.partition_count);
    ++record->version;
    change.after = std::move(record);
    check_room(change);
    if (request.validate_only) change.after = change.before;
  }
  return change;
}

CatalogService::Change CatalogService::plan(const SetSettings& request) {
  Change change;
  if (request.expected_version != settings_->version) {
    change.result = base::fail(base::ErrorCode::kConflict, "changed by someone else meanwhile; read them again");
  } else {
    change.settings = std::make_shared<Settings>(settings_->version + 1, request.values);
  }
  return change;
}

// --- carrying out

void CatalogService::change(ReplyTo from, CatalogRequest request) {
  const uint64_t number = next_change_++;
  Change& change = changes_[number];
  change.from = from;
  change.name = name_in(request);
  change.request = std::move(request);
  if (!change.name.empty()) {
    auto& queue = by_busy_name_[change.name];
    queue.push_back(number);
    if (queue.size() > 1) return;
  }
  start(number);
}

std::string CatalogService::name_in(const CatalogRequest& request) const {
  // A stream of that name would wait for settings and they for it: no harm.
  if (std::holds_alternative<SetSettings>(request)) return std::string(kSettingsKey);
  if (const auto* create = std::get_if<CreateStream>(&request)) return create->wanted.name;
  const auto name_of = [this](const base::Uuid& id) {
    const Record record = find(id);
    return record ? record->name : std::string();
  };
  if (const auto* remove = std::get_if<DeleteStream>(&request)) return name_of(remove->id);
  if (const auto* alter = std::get_if<AlterStream>(&request)) return name_of(alter->id);
  return name_of(std::get<AddPartitions>(request).id);
}

void CatalogService::start(uint64_t number) {
  Change& change = changes_.at(number);
  Change planned = std::visit([this](const auto& r) { return plan(r); }, *change.request);
  change.request.reset();
  change.result = std::move(planned.result);
  change.before = std::move(planned.before);
  change.after = std::move(planned.after);
  change.settings = std::move(planned.settings);
  if (change.changes() && !change.settings) {
    const StreamRecord& record = change.after ? *change.after : *change.before;
    change.stored = record.durable && !record.exclusive_owner;
  }
  if (change.growth() > 0) room_used_ += static_cast<size_t>(change.growth());
  options_.store.commit(txn_of(change), [this, number](const base::Result<>& result) { on_durable(number, result); });
}

storage::MetaTxn CatalogService::txn_of(const Change& change) {
  storage::MetaTxn txn;
  if (!change.changes()) return txn;
  if (change.settings) {
    txn.puts.emplace_back(kSettingsKey, encode_settings(*change.settings));
  } else if (change.stored && change.after) {
    txn.puts.emplace_back(stream_key(change.after->id), encode_record(*change.after));
  } else if (change.stored) {
    txn.removes.push_back(stream_key(change.before->id));
    txn.puts.emplace_back(tomb_key(change.before->id), encode_record(*change.before));
  }
  return txn;
}

void CatalogService::on_durable(uint64_t number, const base::Result<>& result) {
  Change& change = changes_.at(number);
  change.durable = true;
  const std::string name = change.name;
  const bool changes = change.changes();
  const ptrdiff_t growth = change.growth();
  const bool is_dropped_later = change.stored && !change.after;
  if (growth > 0 && !result) room_used_ -= static_cast<size_t>(growth);
  if (growth < 0 && result && !is_dropped_later) room_used_ -= static_cast<size_t>(-growth);
  if (changes && result) {
    apply_to_master(change.before, change.after);
    if (change.settings) settings_ = change.settings;
  }
  if (changes && !result) {
    change.result = std::unexpected(result.error());
    change.before = change.after = nullptr;
  }
  if (changes && result) {
    broadcast(number);
  } else {
    answer_front();
  }
  if (name.empty()) return;
  const auto queue = by_busy_name_.find(name);
  queue->second.pop_front();
  if (queue->second.empty()) {
    by_busy_name_.erase(queue);
  } else {
    start(queue->second.front());
  }
}

CatalogDelta CatalogService::Change::delta() const {
  using What = CatalogDelta::What;
  return {.version = version,
          .what = settings ? What::kSettings
                  : after  ? What::kPut
                           : What::kRemove,
          .record = after ? after : before,
          .settings = settings};
}

// Each core prepares in the order of the changes, so that they are all prepared in that order, too.
void CatalogService::broadcast(uint64_t number) {
  Change& change = changes_.at(number);
  change.version = ++delta_version_;
  if (!change.after && change.stored) wait_for_drops(*change.before);
  change.acks_missing = options_.brokers.size();
  io::Loop& here = options_.brokers[0]->loop();
  for (Broker* broker : options_.brokers) {
    here.send(broker->loop().core(), [this, broker, delta = change.delta(), number]() mutable {
      broker->prepare_catalog(std::move(delta), [this, broker, number] {
        broker->loop().send(options_.brokers[0]->loop().core(), [this, number] { on_ack(number); });
      });
    });
  }
}

void CatalogService::show(uint64_t number) {
  Change& change = changes_.at(number);
  change.shown = true;
  change.acks_missing = options_.brokers.size();
  io::Loop& here = options_.brokers[0]->loop();
  for (Broker* broker : options_.brokers) {
    here.send(broker->loop().core(), [this, broker, delta = change.delta(), number] {
      broker->show_catalog(delta);
      broker->loop().send(options_.brokers[0]->loop().core(), [this, number] { on_ack(number); });
    });
  }
}

void CatalogService::on_ack(uint64_t number) {
  Change& change = changes_.at(number);
  if (--change.acks_missing > 0) return;
  change.shown ? answer_front() : show(number);
}

void CatalogService::answer_front() {
  while (!changes_.empty()) {
    Change& front = changes_.begin()->second;
    if (!front.durable || front.acks_missing > 0 || (front.changes() && !front.shown)) return;
    options_.brokers[0]->emit(
        {front.from, CatalogDone{std::move(front.result), front.after ? front.after : front.before}});
    changes_.erase(changes_.begin());
  }
}

// --- tombstones

void CatalogService::wait_for_drops(const StreamRecord& record) {
  Dropping& dropping = tombstones_[record.id];
  dropping.room = room_of(record);
  dropping.cells.insert(record.partitions.begin(), record.partitions.end());
}

void CatalogService::cell_dropped(base::Uuid id, base::CellId cell) {
  const auto found = tombstones_.find(id);
  if (found == tombstones_.end()) return;
  found->second.cells.erase(cell);
  if (!found->second.cells.empty()) return;
  room_used_ -= found->second.room;
  tombstones_.erase(found);
  options_.store.commit({.puts = {}, .removes = {tomb_key(id)}}, [](const base::Result<>&) {});
}

// --- writer ids: never reused, so a block is durable before its first id is given out

void CatalogService::writer_id(ReplyTo from) {
  if (next_writer_id_ < writer_ids_end_) {
    options_.brokers[0]->emit({from, WriterIdDone{next_writer_id_++}});
    return;
  }
  writer_ids_wanted_.push_back(from);
  if (writer_ids_wanted_.size() > 1) return;
  const int64_t end = writer_ids_end_ + kWriterIdBlock;
  options_.store.commit({.puts = {{std::string(kWriterIdKey), std::to_string(end)}}, .removes = {}},
                        [this, end](const base::Result<>& result) {
                          if (result) writer_ids_end_ = end;
                          for (const ReplyTo& wanted : std::exchange(writer_ids_wanted_, {})) {
                            if (result) {
                              writer_id(wanted);
                            } else {
                              options_.brokers[0]->emit({wanted, WriterIdDone{std::unexpected(result.error())}});
                            }
                          }
                        });
}

}  // namespace polylog::broker
