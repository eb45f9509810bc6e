// Planted bugs: each breaks one promise somewhere between the engine and its clients, and the run must notice.
// They live in the simulator's own layers (disk, options, encoding, what sessions send and are told), not in the product.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace polylog::sim {

enum class Bug {
  kNone,
  kSyncIgnored,      // the disk says that it synced and did not
  kAckBeforeCommit,  // answers leave before their slot is durable
  kDirtyRead,        // the same, and only readers tell: acks are not believed
  kForgetWriters,    // recovery loses the table of idempotent writers
  kForgetDelivered,  // what comes back after a crash is not flagged
  kLoseSettle,       // a settle is answered and never done
  kSwallowDelivery,  // a delivery never reaches the consumer and is settled for him
  kSwapDeliveries,   // two deliveries change places
  kRepeatCommit,     // an old cursor commit is carried out once more
  kShiftOffset,      // an append is answered with an offset that it does not have
  kMisplace,         // a wrong offset is patched into batches
  kFlipByte,         // a read gives a wrong byte
  kUnloggedChange,   // live state changes without a mutation
  kForgetCatalog,    // a deleted stream is told to exist no more and is not deleted
  kDropLatest,       // compaction loses the last record of a key
  kReuseGeneration,  // a group's members are told a generation that was used before
  kShareOwnership,   // a member of a managed group is told that it has what another one has
  kReuseEpoch,       // likewise, an epoch that it has left
};

struct BugRow {
  Bug bug;
  std::string_view name;
  std::string_view caught_by;  // prefixes of the invariants that may notice, separated by spaces
};

inline constexpr std::array kBugs = {
    BugRow{
        Bug::kSyncIgnored, "sync_ignored",
        "acked_record read_record last_of_key cursor catalog settled redelivered writer generation owner epoch start"},
    BugRow{Bug::kAckBeforeCommit, "ack_before_commit",
           "acked_record read_record last_of_key cursor settled redelivered writer generation owner epoch"},
    BugRow{Bug::kDirtyRead, "dirty_read", "read_record"},
    BugRow{Bug::kForgetWriters, "forget_writers", "duplicate rebuilt_state"},
    BugRow{Bug::kForgetDelivered, "forget_delivered", "redelivered"},
    BugRow{Bug::kLoseSettle, "lose_settle", "settled"},
    BugRow{Bug::kSwallowDelivery, "swallow_delivery", "at_least_once"},
    BugRow{Bug::kSwapDeliveries, "swap_deliveries", "fifo"},
    BugRow{Bug::kRepeatCommit, "repeat_commit", "cursor"},
    BugRow{Bug::kShiftOffset, "shift_offset", "acked_record duplicate last_of_key"},
    BugRow{Bug::kMisplace, "misplace", "bytes"},
    BugRow{Bug::kFlipByte, "flip_byte", "bytes"},
    BugRow{Bug::kUnloggedChange, "unlogged_change", "rebuilt_state"},
    BugRow{Bug::kForgetCatalog, "forget_catalog", "catalog"},
    BugRow{Bug::kDropLatest, "drop_latest", "last_of_key"},
    BugRow{Bug::kReuseGeneration, "reuse_generation", "generation"},
    BugRow{Bug::kShareOwnership, "share_ownership", "owner"},
    BugRow{Bug::kReuseEpoch, "reuse_epoch", "epoch owner"},
};

}  // namespace polylog::sim
