// The records of stored batches in AMQP's shape, whatever encoding they were published in.
#pragma once

#include <functional>
#include <string_view>

#include "broker/actions.h"
#include "broker/encoding.h"
#include "protocol/amqp/batch.h"

namespace polylog::amqp {

// `owner` is the batch when the record's body lies in it, empty when the record was converted and lives for this call.
using RecordVisit = std::function<void(base::Offset offset, const RecordView& record, const base::Slice& owner)>;

// False: the encoding is not known or its bytes do not follow it. Foreign records have `name` as routing key.
bool for_each_record(const broker::EncodingRegistry& encodings, const broker::DeliveryRun& run, std::string_view name,
                     const RecordVisit& visit);
// Of a batch read from a stream; visits the records from `from` on, as long as `visit` returns true. kTooLarge: a record is
// longer than any message may be.
using StreamVisit = std::function<bool(base::Offset offset, const RecordView& record, const base::Slice& owner)>;
base::Result<> for_each_record(const broker::EncodingRegistry& encodings, const broker::ReadBatch& batch,
                               base::Offset from, std::string_view name, const StreamVisit& visit);

// What a run counts for in a consumer's window.
uint64_t window_bytes_of(const broker::DeliveryRun& run);

}  // namespace polylog::amqp
