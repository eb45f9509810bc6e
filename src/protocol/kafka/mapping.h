// Kafka records to and from the hub form, when the reader's protocol is not the writer's. Computed at delivery.
//
//   record to hub                                hub to record
//   value, null = no body        body            the same
//   key                          key             the same
//   timestamp                    timestamp       the same; the batch's append time if the message has none
//   header, value is UTF-8       text header     the same
//   header, value is not         binary header   the same
//   header, value is null        empty header    the same
//                                bool header     "true" or "false"
//                                int64 header    decimal
//                                double header   shortest decimal that reads back the same
//                                time header     decimal, ms since 1970
//                                properties      headers message-id, correlation-id, reply-to, content-type,
//                                                content-encoding, type, user-id, app-id; priority and
//                                                time-to-live-ms as decimals; subject unless it is the stream's name
//                                durable         left out: every record is durable
//
// Property headers come before the message's own. A record's headers stay headers, whatever their names.
// Control batches have no messages.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/time.h"
#include "broker/actions.h"
#include "broker/encoding.h"
#include "broker/message.h"
#include "protocol/kafka/batch_compaction.h"
#include "protocol/kafka/record_batch.h"

namespace polylog::kafka {

inline constexpr uint8_t kEncodingTag = 1;  // stored with every batch: never changes

class RecordBatchEncoding final : public broker::Encoding {
 public:
  // A record longer than `record_bytes_max` is not converted: to_hub() ends with kTooLarge, so that what a conversion holds
  // in memory is bounded. Many may run for one small batch that unpacks to much.
  explicit RecordBatchEncoding(size_t record_bytes_max = limits::kDecompressedBytesMax)
      : record_bytes_max_(record_bytes_max) {}
  void place(base::MutView head, base::Offset base, base::Epoch epoch) const override;
  base::Result<> to_hub(base::View batch, base::Offset base, const Visit& visit) const override;
  Built from_hub(std::span<const broker::HubMessage> messages, base::WallTime now) const override;
  const storage::CompactFormat* compact_format() const override { return &compaction_; }

 private:
  const size_t record_bytes_max_;
  const RecordBatchCompaction compaction_;
};

// Builds record batches from hub messages: one batch for each run of consecutive offsets.
class HubBatches {
 public:
  // Names are borrowed until finish().
  HubBatches(base::Epoch epoch, base::WallTime append_ts, std::string_view stream_name)
      : epoch_(epoch), append_ts_(append_ts), stream_name_(stream_name) {}
  void add(base::Offset offset, const broker::HubMessage& message);
  std::vector<uint8_t> finish();  // whole batches, one after the other; empty if nothing was added

 private:
  void end_batch();

  base::Epoch epoch_;
  base::WallTime append_ts_;
  std::string_view stream_name_;
  BatchBuilder builder_;
  base::Offset batch_base_;
  std::vector<uint8_t> out_;
};

// The first record of a batch, whatever its encoding, at or above `from` whose timestamp is at least `timestamp_ms`.
struct TimedOffset {
  base::Offset offset;
  base::WallTime time;
};
std::optional<TimedOffset> find_by_time(const broker::EncodingRegistry& encodings, const broker::ReadBatch& batch,
                                        int64_t timestamp_ms, base::Offset from);

}  // namespace polylog::kafka
