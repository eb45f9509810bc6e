// CatalogService: the one writer of the catalog, on core 0. Checks a change, makes it durable in the MetaStore, lets every
// core prepare for the delta, then show it, and answers when all do. Changes are answered in the order they came.
//
// The catalog alone decides existence. Deleting a stream leaves a tombstone in the MetaStore until every cell that had a
// part of it has logged the drop. Transient streams take the same road without the MetaStore.
#pragma once

#include <deque>
#include <functional>
#include <set>

#include "base/log_rate.h"
#include "broker/actions.h"
#include "broker/catalog/catalog.h"
#include "storage/meta_store.h"

namespace polylog::broker {

class Broker;

class CatalogService {
 public:
  struct Options {
    storage::MetaStore& store;
    const std::vector<Broker*>& brokers;  // by core; [0] is this core's
    size_t cell_count = 1;
    size_t partitions_max = SIZE_MAX;  // of all streams, with queues and large attributes: no more are created
    std::function<base::Uuid()> new_id;
  };
  explicit CatalogService(Options options);

  struct Tomb {
    base::Uuid stream;
    uint32_t partitions = 0;
  };
  // At start-up, before any session: reads the MetaStore and fills every core's catalog. Returns what cells must drop.
  base::Result<std::vector<Tomb>> load();

  void change(ReplyTo from, CatalogRequest request);
  void writer_id(ReplyTo from);
  // The cell has durably forgotten that stream.
  void cell_dropped(base::Uuid id, base::CellId cell);

 private:
  using Record = std::shared_ptr<const StreamRecord>;
  struct Change {
    ReplyTo from;
    base::Result<> result;
    Record before, after;                      // either may be null; both null: nothing changes
    std::shared_ptr<const Settings> settings;  // of a change of settings: what they will be
    bool stored = false;                       // goes to the MetaStore
    uint64_t version = 0;                      // of its delta
    size_t acks_missing = 0;
    bool durable = false;
    bool shown = false;                     // or about to be
    std::string name;                       // of the stream it is about; empty: of none
    std::optional<CatalogRequest> request;  // until it is planned
    bool changes() const { return result && (before != after || settings != nullptr); }
    ptrdiff_t growth() const;  // of what counts towards partitions_max
    CatalogDelta delta() const;
  };
  void check_room(Change& change);
  Change plan(const CreateStream& request);
  Change plan(const DeleteStream& request);
  Change plan(const AlterStream& request);
  Change plan(const AddPartitions& request);
  Change plan(const SetSettings& request);
  Record find(const base::Uuid& id) const;
  void place(StreamRecord& record, uint32_t partition_count) const;
  std::string name_in(const CatalogRequest& request) const;
  void start(uint64_t number);
  void apply_to_master(const Record& before, const Record& after);
  static storage::MetaTxn txn_of(const Change& change);
  void on_durable(uint64_t number, const base::Result<>& result);
  void broadcast(uint64_t number);
  void show(uint64_t number);
  void on_ack(uint64_t number);
  void answer_front();
  void wait_for_drops(const StreamRecord& record);

  Options options_;
  // The master copy: all that is durable. Changes of one name are planned one after the other, each when the one before it
  // is durable or has failed, so that none is built on something that never came to be.
  std::map<std::string, Record, std::less<>> by_name_;
  std::unordered_map<base::Uuid, Record> by_id_;
  std::shared_ptr<const Settings> settings_ = std::make_shared<Settings>();
  std::map<uint64_t, Change> changes_;                                  // by number, in order; answered from the front
  std::unordered_map<std::string, std::deque<uint64_t>> by_busy_name_;  // the first is under way, the rest wait
  uint64_t next_change_ = 1;
  size_t room_used_ = 0;  // by what there is and, of changes under way, by what there may be
  base::LogRate refusals_;
  uint64_t delta_version_ = 0;
  struct Dropping {
    std::set<base::CellId> cells;  // that still hold a part
    size_t room = 0;               // given back when none does
  };
  std::unordered_map<base::Uuid, Dropping> tombstones_;
  int64_t next_writer_id_ = 0, writer_ids_end_ = 0;
  std::vector<ReplyTo> writer_ids_wanted_;
};

}  // namespace polylog::broker
