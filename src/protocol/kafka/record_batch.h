// Record batches, magic 2: header, validation, records, and the bytes a broker may change.
//
//   at  size  field                                          at  size  field
//    0   8    base offset *                                  27   8    base timestamp, ms
//    8   4    batch length: bytes after this field, >= 49    35   8    max timestamp, ms
//   12   4    partition leader epoch *                       43   8    producer id, -1 = none
//   16   1    magic = 2                                      51   2    producer epoch
//   17   4    crc-32c of bytes 21..end                       53   4    base sequence, -1 = none
//   21   2    attributes                                     57   4    record count
//   23   4    last offset delta                              61  ..    records, packed as one blob
//
//   attributes: bits 0-2 compression, 3 timestamps are append time, 4 transactional, 5 control, 6 delete horizon
//   * assigned by the broker; bytes 0-20 are outside the crc, so that this costs no second pass
//
//   record: varint length | int8 attributes | varint timestamp delta | varint offset delta
//           | varint key length, -1 = null | key | varint value length, -1 = null | value
//           | varint header count | { varint key length | key | varint value length, -1 = null | value }*
//
// Varints here are zigzag, unlike the lengths of the protocol. Everything else is big-endian.
// Not for: producer sequences and epochs (broker), unpacking (compression.h) and packing (repack.h).
#pragma once

#include <cstdint>
#include <expected>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/wire.h"
#include "protocol/kafka/compression.h"
#include "protocol/kafka/error_codes.h"

namespace polylog::kafka {

namespace batch_layout {
inline constexpr size_t kBatchLengthAt = 8;
inline constexpr size_t kLeaderEpochAt = 12;
inline constexpr size_t kMagicAt = 16;
inline constexpr size_t kCrcAt = 17;
inline constexpr size_t kAttributesAt = 21;  // where the crc begins to count
inline constexpr size_t kLastOffsetDeltaAt = 23;
inline constexpr size_t kBaseTimestampAt = 27;
inline constexpr size_t kMaxTimestampAt = 35;
inline constexpr size_t kProducerIdAt = 43;
inline constexpr size_t kRecordCountAt = 57;
inline constexpr size_t kRecordsAt = 61;
inline constexpr size_t kLengthFieldEnd = kBatchLengthAt + 4;
inline constexpr int8_t kMagic = 2;
}  // namespace batch_layout

struct BatchHeader {
  static constexpr int16_t kCompressionMask = 0x07;
  static constexpr int16_t kLogAppendTimeBit = 0x08;
  static constexpr int16_t kTransactionalBit = 0x10;
  static constexpr int16_t kControlBit = 0x20;
  static constexpr int16_t kDeleteHorizonBit = 0x40;  // the base timestamp is a date: batch_compaction.h

  int64_t base_offset = 0;
  int32_t batch_length = 0;
  int32_t leader_epoch = -1;
  int8_t magic = batch_layout::kMagic;
  uint32_t crc = 0;
  int16_t attributes = 0;
  int32_t last_offset_delta = 0;
  int64_t base_timestamp_ms = 0;
  int64_t max_timestamp_ms = 0;
  int64_t producer_id = -1;
  int16_t producer_epoch = -1;
  int32_t base_sequence = -1;
  int32_t record_count = 0;

  size_t size_bytes() const { return batch_layout::kLengthFieldEnd + static_cast<size_t>(batch_length); }
  int64_t last_offset() const { return base_offset + last_offset_delta; }
  int32_t last_sequence() const;  // wraps from INT32_MAX to 0; -1 without a producer id
  uint8_t codec() const { return static_cast<uint8_t>(attributes & kCompressionMask); }  // 5-7: nobody's
  bool is_compressed() const { return codec() != 0; }
  bool is_log_append_time() const { return (attributes & kLogAppendTimeBit) != 0; }
  bool is_transactional() const { return (attributes & kTransactionalBit) != 0; }
  bool is_control() const { return (attributes & kControlBit) != 0; }
  bool has_delete_horizon() const { return (attributes & kDeleteHorizonBit) != 0; }
};

// Reads the header of the first batch in `bytes`. Checks magic, and that the whole batch is there; nothing else.
std::expected<BatchHeader, ErrorCode> read_batch_header(base::View bytes);

// --- validation of what a producer sent

enum class Depth : uint8_t {
  kHeaderAndCrc,
  kRecords,  // and every record, unless they are compressed and all that can be wrong with them stands in the header
  kFull,     // and every record
};

struct BatchRules {
  Depth depth = Depth::kRecords;
  size_t batch_bytes_max = limits::kRecordBatchBytesMaxDefault;
  bool keys_required = false;    // the topic is compacted: implies Depth::kFull
  bool log_append_time = false;  // the topic's timestamps are the broker's: the client's are not checked
  bool zstd_allowed = true;      // Produce 7 and later
  int64_t timestamp_ms_min = std::numeric_limits<int64_t>::min();
  int64_t timestamp_ms_max = std::numeric_limits<int64_t>::max();
};

struct BatchError {
  ErrorCode code;
  std::string_view why;               // a literal
  std::vector<int32_t> records = {};  // what record_errors[] names: all that have this fault; none: it is the batch's
};

// `bytes` is the records field of one partition: exactly one batch.
std::expected<BatchHeader, BatchError> validate_batch(base::View bytes, const BatchRules& rules);

// The same in steps, for who unpacks by himself: all but the records; whether they must be looked at; and they, unpacked.
std::expected<BatchHeader, BatchError> validate_envelope(base::View bytes, const BatchRules& rules);
bool must_walk(const BatchHeader& header, const BatchRules& rules);
std::expected<void, BatchError> validate_records(const BatchHeader& header, base::View records,
                                                 const BatchRules& rules);
// What to tell a producer of whose batch unpack_records() said `code`.
BatchError cannot_unpack(ErrorCode code);

// --- reading records

struct RecordView {
  int64_t offset = 0;
  int64_t timestamp_ms = 0;
  std::optional<base::View> key;
  std::optional<base::View> value;
  base::View headers;  // for HeaderWalker
  int32_t header_count = 0;
  base::View body;  // all of the record behind its length
};

// The batch's records as they are stored, compressed or not. Nothing if the batch is shorter than it says.
std::optional<base::View> packed_records(const BatchHeader& header, base::View batch);

// The batch's records, unpacked into `scratch` if they are compressed; the view lies in one or the other.
// kUnsupportedCompressionType: an unknown codec; kCorruptMessage: damage; kMessageTooLarge: more than `bytes_max`, of which
// `scratch` then holds the first.
std::expected<base::View, ErrorCode> unpack_records(const BatchHeader& header, base::View batch,
                                                    std::vector<uint8_t>& scratch,
                                                    size_t bytes_max = limits::kDecompressedBytesMax);

// Steps through unpacked records. Views borrow `records`.
class RecordWalker {
 public:
  RecordWalker(const BatchHeader& header, base::View records) : header_(header), in_(records) {}
  bool next(RecordView& record);  // false after the last one, and on damage: see is_complete()
  bool is_at_end() const { return in_.ok() && in_.at_end(); }
  bool is_complete() const { return is_at_end() && index_ == header_.record_count; }
  int32_t index() const { return index_; }  // how many have been read

 private:
  BatchHeader header_;
  base::Reader in_;
  int32_t index_ = 0;
};

struct RecordHeader {
  std::string_view key;
  std::optional<base::View> value;
};

class HeaderWalker {
 public:
  explicit HeaderWalker(const RecordView& record) : in_(record.headers), left_(record.header_count) {}
  bool next(RecordHeader& header);

 private:
  base::Reader in_;
  int32_t left_;
};

// --- changing a batch in place. Only before it is visible to readers.

void place_batch(base::MutView batch, int64_t base_offset, int32_t leader_epoch);

// Makes every timestamp of the batch `now_ms`, and the crc right again.
void set_log_append_time(base::MutView batch, int64_t now_ms);
void set_crc(base::MutView batch);

// --- building

// Builds an uncompressed batch at offset 0, e.g. from another protocol's messages. Lengths are bounded by the caller.
class BatchBuilder {
 public:
  // Records that carry neither key nor value are legal. Timestamps need no order.
  void add(int64_t timestamp_ms, std::optional<base::View> key, std::optional<base::View> value,
           std::span<const RecordHeader> headers = {});
  int32_t record_count() const { return header_.record_count; }
  // `header` gives attributes (no compression) and producer fields; the rest of it is worked out. Resets the builder.
  std::vector<uint8_t> finish(const BatchHeader& header = {});

 private:
  BatchHeader header_;
  base::Writer records_;
  base::Writer body_;  // of the record being added; kept for its memory
};

}  // namespace polylog::kafka
