// Walks the records of a batch while it is unpacked: what is held at a time is one record and the piece it came in, however
// much the batch unpacks to. For conversions, of which many may run for one batch; validation holds it all (record_batch.h).
#pragma once

#include <functional>

#include "base/result.h"
#include "protocol/kafka/record_batch.h"

namespace polylog::kafka {

// Calls `visit` for each record, in order; views live for that call. It returns false to stop, which is no error.
// kTooLarge: a record is longer than `record_bytes_max`, or the batch unpacks to more than limits::kDecompressedBytesMax;
// kCorrupt: damage. Either may come after records were visited.
using VisitRecord = std::function<bool(const RecordView& record)>;
base::Result<> for_each_record(const BatchHeader& header, base::View batch, size_t record_bytes_max,
                               const VisitRecord& visit);

}  // namespace polylog::kafka
