// What can be proven about a damaged log: a slot's header with one wrong bit, and the tail that nobody was told of. Reads
// only; blocking.
#pragma once

#include "storage/inspect/repairs.h"
#include "storage/inspect/stored_cell.h"

namespace polylog::storage {

// The header of the slot that is due at `due`, with one bit turned back or its crc written again. Proven by the slot before
// it (seq, lsn, epoch, chain), its own body's crc, its place, and the slot behind it, which has this header's crc.
std::optional<Repair> mend_slot_header(const StoredCell& files, const WalEnd& due);

// What the next start would do: whatever lies behind `end`, in its epoch or a newer one, stops counting.
Repair cut_log(const StoredCell& files, const WalEnd& end);

}  // namespace polylog::storage
