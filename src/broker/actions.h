// The engine's API as data. A session sends Requests to a cell (Broker::submit) or to the catalog (Broker::change_catalog);
// what comes back are Actions, each for one session. An Action leaves the engine only once everything it depends on is
// committed: whoever holds one may tell his client.
//
// Requests of one session to one cell are executed in order, and their Actions arrive in that order, except reads that wait
// and deliveries.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"
#include "broker/catalog/records.h"
#include "broker/groups/requests.h"
#include "broker/ids.h"
#include "io/disk.h"
#include "storage/mutation.h"
#include "storage/writers.h"

namespace polylog::broker {

using base::Offset;

// --- streams

// Appends one batch. `bytes` may borrow from the caller's frame when `owned` is empty: it is copied before submit() returns.
struct AppendRequest {
  base::PartitionKey partition;
  base::View bytes;
  base::Slice owned;
  uint8_t encoding = 0;
  uint32_t count = 0;
  base::WallTime max_ts;
  std::optional<storage::WriterStamp> writer;
  base::MonoTime asked_at = {};  // set by submit()

  base::View batch() const { return owned.empty() ? bytes : owned.view(); }
};
struct AppendDone {  // kNotFound, kFenced, kOutOfOrder, kDuplicate, kDiskFull, kIo, kTooLarge
  base::Result<Offset> base_offset;
  base::WallTime append_ts;
  Offset log_start;
  size_t request_bytes = 0;                          // of the batch: what IngressBudget gets back
  base::MonoTime staged_at = {}, committed_at = {};  // in the log's open slot, and synced; 0: it was not
};

// Reads committed entries, whole batches, in the order of the items, until bytes_max is used up (at least one batch).
struct ReadRequest {
  struct Item {
    base::PartitionKey partition;
    Offset from;
    uint32_t bytes_max = 0;
  };
  std::vector<Item> items;
  uint32_t bytes_max = 0;
  std::optional<uint8_t>
      span_encoding;   // batches of that encoding may come as spans of a file: the reader only sends them on
  bool watch = false;  // also send one Readable when any of the items has grown beyond what this read could see
};
struct ReadBatch {
  Offset base_offset;
  uint32_t count = 0;
  uint8_t encoding = 0;
  base::WallTime max_ts, append_ts;
  base::Slice bytes;  // or, if empty:
  io::FileSpan span;
  size_t size() const { return bytes.empty() ? span.bytes : bytes.size(); }
};
struct ReadDone {
  struct Item {
    std::optional<base::ErrorCode> error;  // kNotFound, kOutOfRange, kCorrupt, kIo
    Offset start, committed;
    std::vector<ReadBatch> batches;  // the first one holds `from`; a reader skips what lies before it
  };
  std::vector<Item> items;  // as asked
};
struct Readable {};        // answers the token of a ReadRequest with watch, at most once; may come before its ReadDone
                           // when that waits for the disk
struct UnwatchRequest {};  // same token: forget the watch; no answer

struct FindOffsetRequest {
  base::PartitionKey partition;
  enum class What : uint8_t { kStart, kCommitted, kTime, kMaxTime } what = What::kStart;
  base::WallTime time;
};
struct FindOffsetDone {
  base::Result<Offset> offset;  // kTime: -1 when nothing is that young
  base::WallTime time;          // of the record found; -1 when none
  base::Epoch epoch;            // in force at that offset
};
struct FindEpochRequest {  // the largest epoch <= asked and where it ended
  base::PartitionKey partition;
  base::Epoch epoch;
};
struct FindEpochDone {
  base::Result<base::Epoch> epoch;  // kNotFound: nothing that old
  Offset end;
};
struct TrimRequest {
  base::PartitionKey partition;
  Offset before;  // -1: everything committed
};
struct TrimDone {
  base::Result<Offset> log_start;
};

// What partitions hold, for those who look after the broker.
struct PartitionStatsRequest {
  std::vector<base::PartitionKey> partitions;
};
struct PartitionStatsDone {
  struct Item {
    std::optional<base::ErrorCode> error;  // kNotFound, kIo: the cell is closed
    uint64_t size_bytes = 0;               // of the batches, as they are stored
    uint64_t batches = 0;
    Offset start, committed;
  };
  std::vector<Item> items;  // as asked
  // Of the file system that the cell lies on; 0: not known.
  uint64_t disk_total_bytes = 0, disk_free_bytes = 0;
};
struct WritersRequest {  // who numbers his appends to this partition
  base::PartitionKey partition;
};
struct WritersDone {
  base::Result<std::vector<storage::KnownWriter>> writers;  // ascending by id. kNotFound, kIo: the cell is closed
};

// How the cell itself fares; answered at once, by a closed cell as well.
struct CellStatsRequest {};
struct CellStatsDone {
  base::Epoch epoch;  // 0: closed
  bool failed = false, disk_full = false, pressured = false;
  uint64_t partitions = 0, tail_bytes = 0, wal_bytes_written = 0;
};

// --- queues (work-queue partitions: appended to with AppendRequest, read by subscription)

inline constexpr uint32_t kUnlimited = UINT32_MAX;

// Adds a consumer to the queue; its Deliveries carry the token of this request until it is detached.
struct AttachRequest {
  base::PartitionKey queue;
  bool auto_settle = false;  // delivered is settled
  bool exclusive = false;
  int32_t priority = 0;
  uint32_t credit = kUnlimited;  // deliveries that may be open at a time (ignored with auto_settle)
  uint32_t pool = 0;             // consumers of one session with the same nonzero pool share the pool's credit as well
  uint32_t window_bytes = 1 << 20;  // sent but not yet given back by CreditRequest: bounds what waits for a slow socket
};
struct AttachDone {  // kNotFound, kInUse (exclusive, or an exclusive one exists)
  base::Result<> result;
};
struct
    DetachRequest {  // same token as the attach; open deliveries stay open. Answered by DetachDone, after the last delivery
  base::PartitionKey queue;
};
struct DetachDone {};
struct CreditRequest {  // same token as the attach: so many bytes have left for the client. No answer.
  base::PartitionKey queue;
  uint32_t bytes = 0;
};
struct
    PoolRequest {  // sets a pool's size (kUnlimited: none) for all consumers of this session in this cell. No answer.
  uint32_t pool = 0;
  uint32_t credit = kUnlimited;
};

// A run of consecutive entries of one batch.
struct DeliveryRun {
  base::Slice batch;
  uint8_t encoding = 0;
  uint32_t first_index = 0;  // in the batch
  uint32_t count = 0;
  Offset first_offset;
  bool redelivered = false;
};
struct Deliveries {
  std::vector<DeliveryRun> runs;
};
struct ConsumerGone {};  // the queue was deleted; token of the attach

struct SettleRequest {
  base::PartitionKey queue;
  enum class Outcome : uint8_t { kDone, kReturn, kReject } outcome = Outcome::kDone;
  std::vector<std::pair<Offset, Offset>> ranges;  // first, last; ascending
  Token consumer;                                 // whose credit grows; {} for what was taken with AcquireRequest
};
struct SettleDone {  // committed; kIo: the cell stopped, and whether it took place is unknown
  base::Result<> result;
};

struct AcquireRequest {  // takes one entry now, if there is one
  base::PartitionKey queue;
  bool auto_settle = false;
};
struct AcquireDone {
  base::Result<std::optional<DeliveryRun>> run;  // kNotFound
  uint32_t ready_left = 0;
};
struct PurgeRequest {  // settles all that is ready
  base::PartitionKey queue;
};
struct PurgeDone {
  base::Result<uint32_t> count;
};
struct QueueStatsRequest {
  base::PartitionKey queue;
};
struct QueueStatsDone {
  base::Result<> result;
  uint32_t ready = 0, open = 0, consumers = 0;
};

// Which entries a consumer could get now; takes none. Their bytes are read with a ReadRequest, which may find them gone.
struct PeekRequest {
  base::PartitionKey queue;
  uint32_t count_max = 0;
};
struct PeekDone {
  base::Result<> result;                         // kNotFound, kIo
  std::vector<std::pair<Offset, Offset>> ready;  // first, last; ascending; count_max entries together
};

// --- groups: broker/groups/requests.h, in the cell Broker::cell_of_group() names

using CellRequest = std::variant<AppendRequest, ReadRequest, UnwatchRequest, FindOffsetRequest, FindEpochRequest,
                                 TrimRequest, PartitionStatsRequest, WritersRequest, CellStatsRequest, AttachRequest,
                                 DetachRequest, CreditRequest, PoolRequest, SettleRequest, AcquireRequest, PurgeRequest,
                                 PeekRequest, QueueStatsRequest, GroupRequest>;

// --- catalog

struct CreateStream {
  StreamRecord wanted;  // id, partitions' cells and version are chosen by the catalog
  uint32_t partition_count = 1;
  bool validate_only = false;
};
struct DeleteStream {
  base::Uuid id;
};
struct AlterStream {  // replaces all attributes, if the record's version is still `expected_version`
  base::Uuid id;
  uint64_t expected_version = 0;
  std::map<std::string, std::string> attributes;
};
struct AddPartitions {
  base::Uuid id;
  uint32_t partition_count = 0;  // in all
  bool validate_only = false;
};
struct SetSettings {  // replaces all settings of the broker, if their version is still `expected_version`
  uint64_t expected_version = 0;
  std::map<std::string, std::string> values;
};
using CatalogRequest = std::variant<CreateStream, DeleteStream, AlterStream, AddPartitions, SetSettings>;
struct CatalogDone {  // kExists (record: the one that is there), kNotFound, kConflict, kInvalid, kDiskFull, kIo
  base::Result<> result;
  std::shared_ptr<const StreamRecord> record;  // null: it was about settings
};
struct WriterIdRequest {};
struct WriterIdDone {
  base::Result<int64_t> id;
};

using ActionBody =
    std::variant<AppendDone, ReadDone, Readable, FindOffsetDone, FindEpochDone, TrimDone, PartitionStatsDone,
                 WritersDone, CellStatsDone, AttachDone, DetachDone, Deliveries, ConsumerGone, SettleDone, AcquireDone,
                 PurgeDone, PeekDone, QueueStatsDone, GroupReply, CatalogDone, WriterIdDone>;
struct Action {
  ReplyTo to;
  ActionBody body;
};

}  // namespace polylog::broker
