// Model: what clients were promised and what they saw, and the invariants that follow. Everything it knows came out of the
// broker's answers; it never looks inside. The first violation ends a run.
//
//   acked_record    an acked record lies at its acked offset, after any recovery
//   read_record     what a reader saw is there, at the same offset, after any recovery
//   last_of_key     of a compacted stream, the last record of every key is there (keyed.h)
//   bytes           every record reads back as it was sent, its offset patched in rightly
//   dense           offsets of a log are contiguous; nothing below its start but what was trimmed
//   duplicate       no operation has two places, retried or not
//   refused         what was refused for good never appears
//   writer          a numbered writer's next sequence is never out of order
//   at_least_once   every acked message of a queue is delivered
//   settled         nothing is delivered after its settle was confirmed
//   redelivered     what was delivered before is flagged when it comes again
//   leased          what one consumer holds is not given to another
//   fifo            first deliveries of a queue come in the order of the log
//   cursor          a committed cursor never moves back, nor goes
//   generation      a group's generation never goes back, is never used twice, and has one leader
//   owner           a partition of a managed group has one owner at one epoch
//   epoch           what members of a managed group are told never goes back
//   catalog         what was declared exists, what was deleted does not, on every core
//   available       when nothing is wrong, requests are answered; space that returns is used within 5 s
//   start           a node starts on any disk that a crash leaves; damage closes one cell and names the file
//   rebuilt_state   state rebuilt from checkpoint and WAL equals the live state byte for byte
#pragma once

#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "broker/actions.h"
#include "tests/sim/records.h"

namespace polylog::sim {

class Model {
 public:
  // --- streams and queues alike
  uint64_t next_operation(const base::PartitionKey& partition, uint32_t count, bool big);
  void acked(uint64_t operation, int64_t base_offset);
  void refused(uint64_t operation);
  void trim_asked(const base::PartitionKey& partition, int64_t before);
  void log_start_seen(const base::PartitionKey& partition, int64_t start);
  void read(const base::PartitionKey& partition, const broker::ReadBatch& batch);
  // A whole scan from `start` to `end` (committed) is over; `read()` saw its batches in order.
  void scan_begins(const base::PartitionKey& partition);
  void scan_ends(const base::PartitionKey& partition, int64_t start, int64_t end);
  void forget(const base::Uuid& stream) {
    std::erase_if(logs_, [&](const auto& e) { return e.first.stream == stream; });
  }
  int64_t end_known(const base::PartitionKey& partition);

  // --- queues
  void queue_is_lossy(const base::PartitionKey& queue) { logs_[queue].lossy = true; }
  void delivered(const base::PartitionKey& queue, const broker::DeliveryRun& run, size_t core, uint64_t holder,
                 bool auto_settle);
  void settle_asked(const base::PartitionKey& queue, int64_t first, int64_t last);
  void settle_confirmed(const base::PartitionKey& queue, int64_t first, int64_t last);
  void returned(const base::PartitionKey& queue, int64_t first, int64_t last);
  void drained(const base::PartitionKey& queue);  // all that was ready was taken: was everything delivered?

  // --- groups
  void cursor_asked(const std::string& cursor, int64_t value);
  void cursor_acked(const std::string& cursor, int64_t value);
  void cursor_seen(const std::string& cursor, int64_t value);
  void generation_seen(const std::string& group, int64_t generation, const std::string& leader);

  void partition_owned(const base::PartitionKey& partition, int32_t epoch, const std::string& member);

  // All members of a generation that was synced are told of it or a later one from then on.
  void generation_synced(const std::string& group, int64_t generation);
  int64_t newest_synced(const std::string& group) const;  // -1: none

  void crashed();  // leases are gone, first deliveries begin anew
  void violation(std::string_view invariant, std::string text);
  const std::string& first_violation() const { return violation_; }
  bool broken() const { return !violation_.empty(); }
  bool believe_acks = true;
  uint64_t checks() const { return checks_; }

 private:
  enum class Source : uint8_t { kAcked, kRead };
  struct Fact {  // one batch, by base offset
    uint64_t operation = 0;
    uint32_t count = 0;
    Source source = Source::kAcked;
  };
  struct Message {
    bool delivered = false;
    bool settle_asked = false;
    bool settled = false;
    uint64_t holder = 0;
  };
  struct Log {
    std::map<int64_t, Fact> facts;
    int64_t trim_asked = 0;
    int64_t start = 0;
    bool scanning = false;
    int64_t scan_at = -1;
    std::set<int64_t> scanned;
    // queues
    bool lossy = false;
    std::map<int64_t, Message> messages;
    std::map<size_t, int64_t> newest_first_delivery;  // by core
  };
  struct Sent {
    base::PartitionKey partition;
    uint32_t count = 0;
    int64_t base_offset = -1;
    bool refused = false;
  };
  struct CursorState {
    int64_t floor = -1;
    int64_t asked = -1;
  };
  void learn(const base::PartitionKey& partition, uint64_t operation, uint32_t count, int64_t base, Source source);

  uint64_t next_operation_ = 1;
  std::map<base::PartitionKey, Log> logs_;
  std::unordered_map<uint64_t, Sent> sent_;
  std::map<std::string, CursorState> cursors_;
  std::map<std::string, std::map<int64_t, std::string>> generations_;
  std::map<std::string, int64_t> newest_synced_;
  std::map<std::pair<base::PartitionKey, int32_t>, std::string> owners_;  // by partition and epoch
  std::string violation_;
  uint64_t checks_ = 0;
};

}  // namespace polylog::sim
