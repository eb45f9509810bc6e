// mend_segment_index: the index of a segment made anew, if that can be proven. Reads only; blocking.
//
// The reference to the segment, which the log or a checkpoint vouches for, has the crc of the fences, and they have those
// of the blocks. So what is rebuilt is either byte for byte what was written, or it is refused:
//   fences damaged        laid out again from the entries; the reference's crc must come out
//   blocks damaged        one flipped bit each is turned back; the fence's crc must come out, and every batch that the block
//                         names must lie in its place, behind the one before, and verify
#pragma once

#include "storage/batch_ref.h"
#include "storage/inspect/repairs.h"

namespace polylog::storage {

std::optional<Repair> mend_segment_index(io::File& file, const SegmentRef& segment, const std::string& path);

}  // namespace polylog::storage
