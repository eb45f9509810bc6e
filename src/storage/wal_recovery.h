// Replays a cell's WAL at start-up and finds where it ends.
//
// A slot that is not its predecessor's successor (crc, chain, seq, epoch, generation and its own place are all in the header)
// is bad. A bad slot above the durable_seq of every later sound slot of its epoch or newer is a torn tail: it is cut, and
// reported. At or below one it is corruption: recovery refuses, naming file and offset. Leftovers of an earlier cut carry
// an older epoch and count for nothing. Blocking; changes nothing on disk.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "storage/wal.h"

namespace polylog::storage {

struct RecoveryReport {
  WalEnd end;
  uint64_t slots = 0;
  uint64_t bytes = 0;
  base::WallTime newest_leader_ts;
  struct Cut {
    std::string file;
    uint64_t offset = 0;
  };
  std::optional<Cut> cut;  // the torn tail, if something lay there
  // Kept slots that no later slot says were synced: where each lies and how long it is.
  struct Unproven {
    WalPosition at;
    size_t bytes = 0;
  };
  std::vector<Unproven> unproven;
};

// `visit` gets each slot's header and mutations, in order; an error from it stops recovery.
using SlotVisitor = std::function<base::Result<>(const SlotHeader& header, View mutations)>;

// Makes what was kept durable before anything relies on it. The unproven slots are written again, byte for byte, and not
// only synced: after a sync that failed, the system shows bytes that it will never write by itself.
base::Result<> make_durable(const WalFiles& files, const RecoveryReport& report);

base::Result<RecoveryReport> recover_wal(const WalSource& files, base::CellId cell, const WalEnd& from,
                                         const SlotVisitor& visit);

}  // namespace polylog::storage
