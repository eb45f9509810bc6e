// mend_checkpoint: a damaged checkpoint made whole, if what is wrong is only what other bytes say again. Reads only;
// blocking. Objects are never guessed.
//   checksums and the count   the crcs of blocks continue each other, so that the last one covers all objects: if that
//                             one fits, a block's crc that does not is what is wrong. If only the last one does not fit,
//                             the count says that nothing is missing, or the crc that the count is wrong
//   the head                  one bit turned back; the log's slots must say where replay starts
#pragma once

#include "storage/inspect/repairs.h"
#include "storage/inspect/stored_cell.h"

namespace polylog::storage {

std::optional<Repair> mend_checkpoint(io::Disk& disk, const std::string& path, const StoredCell& files);

}  // namespace polylog::storage
