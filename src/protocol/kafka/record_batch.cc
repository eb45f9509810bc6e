#include "protocol/kafka/record_batch.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/crc32c.h"

namespace polylog::kafka {
namespace {

using namespace batch_layout;

static_assert(kRecordsAt - kLengthFieldEnd == 49, "the least batch length the format allows");

constexpr size_t kRecordBytesMin = 7;  // six one-byte varints and the attributes

uint32_t crc_of(base::View batch) { return base::crc32c(batch.subspan(kAttributesAt)); }

void store_u32be(base::MutView batch, size_t at, uint32_t value) {
  value = __builtin_bswap32(value);
  std::memcpy(&batch[at], &value, sizeof value);
}
void store_i64be(base::MutView batch, size_t at, int64_t value) {
  const uint64_t swapped = __builtin_bswap64(static_cast<uint64_t>(value));
  std::memcpy(&batch[at], &swapped, sizeof swapped);
}

// A length of -1 is null; any other negative length fails the reader.
std::optional<base::View> read_nullable(base::Reader& in) {
  const int32_t size = in.varint32();
  if (size == -1) return std::nullopt;
  if (size < 0) in.set_failed();
  return in.ok() ? in.bytes(static_cast<size_t>(size)) : base::View{};
}

bool read_header(base::Reader& in, RecordHeader& header) {
  const int32_t key_size = in.varint32();
  if (key_size < 0) in.set_failed();
  if (!in.ok()) return false;
  header.key = in.text(static_cast<size_t>(key_size));
  header.value = read_nullable(in);
  return in.ok();
}

void write_nullable(base::Writer& out, std::optional<base::View> bytes) {
  out.varint(bytes ? static_cast<int64_t>(bytes->size()) : -1);
  if (bytes) out.bytes(*bytes);
}

std::unexpected<BatchError> refuse(ErrorCode code, std::string_view why) {
  return std::unexpected(BatchError{code, why});
}

using Verdict = std::expected<void, BatchError>;

bool accepts_timestamp(const BatchRules& rules, int64_t timestamp_ms) {
  constexpr int64_t kNoTimestamp = -1;
  if (timestamp_ms == kNoTimestamp) return true;
  return rules.timestamp_ms_min <= timestamp_ms && timestamp_ms <= rules.timestamp_ms_max;
}

Verdict check_header(const BatchHeader& header, const BatchRules& rules) {
  constexpr ErrorCode kInvalid = ErrorCode::kInvalidRecord;
  if (header.base_offset != 0) return refuse(kInvalid, "the base offset of a new batch is not 0");
  if (header.record_count <= 0) return refuse(kInvalid, "the batch has no records");
  if (static_cast<size_t>(header.record_count) > base::limits::kRecordsPerBatchMax) {
    return refuse(kInvalid, "the batch has too many records");
  }
  if (header.last_offset_delta != header.record_count - 1) {
    return refuse(kInvalid, "the last offset delta does not match the record count");
  }
  if (header.is_control()) return refuse(kInvalid, "clients cannot write control batches");
  if (header.has_delete_horizon()) return refuse(kInvalid, "clients cannot date deletions");
  if (header.producer_id >= 0 && header.base_sequence < 0) return refuse(kInvalid, "a producer id without a sequence");
  if (header.is_transactional() && header.producer_id < 0) {
    return refuse(kInvalid, "a transactional batch without a producer id");
  }
  if (header.codec() > static_cast<uint8_t>(Compression::kZstd)) {
    return refuse(ErrorCode::kUnsupportedCompressionType, "unknown compression");
  }
  if (header.codec() == static_cast<uint8_t>(Compression::kZstd) && !rules.zstd_allowed) {
    return refuse(ErrorCode::kUnsupportedCompressionType, "zstd needs Produce version 7");
  }
  if (rules.log_append_time) return {};
  if (header.is_log_append_time())
    return refuse(ErrorCode::kInvalidTimestamp, "the topic keeps the client's timestamps");
  return {};
}

struct Fault {
  ErrorCode code = ErrorCode::kNone;
  std::string_view why;
};
// Of one record; kNone: it is sound.
Fault fault_of(const RecordView& record, int32_t index, const BatchRules& rules) {
  if (rules.keys_required && !record.key) return {ErrorCode::kInvalidRecord, "a compacted topic needs keys"};
  if (record.offset != index) return {ErrorCode::kInvalidRecord, "offset deltas are not consecutive"};
  if (!rules.log_append_time && !accepts_timestamp(rules, record.timestamp_ms)) {
    return {ErrorCode::kInvalidTimestamp, "the timestamp is outside the accepted range"};
  }
  return {};
}

// The records may be sound, but what is found by this time would not be among them.
Verdict check_max_timestamp(const BatchHeader& header, const BatchRules& rules) {
  if (rules.log_append_time || accepts_timestamp(rules, header.max_timestamp_ms)) return {};
  return refuse(ErrorCode::kInvalidTimestamp, "the max timestamp is outside the accepted range");
}

}  // namespace

BatchError cannot_unpack(ErrorCode code) {
  if (code == ErrorCode::kMessageTooLarge) return {code, "the records unpack to more than the limit"};
  // The checksum was right, so these are the bytes that were sent: not kCorruptMessage, which clients would retry.
  return {ErrorCode::kInvalidRecord, "the records cannot be unpacked"};
}

std::expected<void, BatchError> validate_records(const BatchHeader& header, base::View records,
                                                 const BatchRules& rules) {
  BatchError first{ErrorCode::kNone, {}};  // and all records with the same fault
  RecordWalker walker(header, records);
  for (RecordView record; walker.next(record);) {
    const int32_t index = walker.index() - 1;
    const Fault fault = fault_of(record, index, rules);
    if (fault.code == ErrorCode::kNone) continue;
    if (first.code == ErrorCode::kNone) first = {fault.code, fault.why};
    if (first.why == fault.why && first.records.size() < limits::kRecordErrorsMax) first.records.push_back(index);
  }
  if (!walker.is_complete()) return refuse(ErrorCode::kInvalidRecord, "the records do not match the batch header");
  if (first.code != ErrorCode::kNone) return std::unexpected(std::move(first));
  return check_max_timestamp(header, rules);
}

// What the header says of a compressed batch is enough, unless a record that it says nothing of may be refused.
bool must_walk(const BatchHeader& header, const BatchRules& rules) {
  if (rules.depth == Depth::kFull || rules.keys_required) return true;
  if (rules.depth == Depth::kHeaderAndCrc) return false;
  if (!header.is_compressed()) return true;
  if (rules.log_append_time) return false;
  return rules.timestamp_ms_min != std::numeric_limits<int64_t>::min() ||
         !accepts_timestamp(rules, header.max_timestamp_ms);
}

int32_t BatchHeader::last_sequence() const {
  if (base_sequence < 0) return -1;
  const int64_t last = int64_t{base_sequence} + last_offset_delta;
  return static_cast<int32_t>(last > INT32_MAX ? last - INT32_MAX - 1 : last);
}

std::expected<BatchHeader, ErrorCode> read_batch_header(base::View bytes) {
  if (bytes.size() < kRecordsAt) return std::unexpected(ErrorCode::kCorruptMessage);
  base::Reader in(bytes);
  BatchHeader header;
  header.base_offset = in.i64be();
  header.batch_length = in.i32be();
  header.leader_epoch = in.i32be();
  header.magic = in.i8();
  header.crc = in.u32be();
  header.attributes = in.i16be();
  header.last_offset_delta = in.i32be();
  header.base_timestamp_ms = in.i64be();
  header.max_timestamp_ms = in.i64be();
  header.producer_id = in.i64be();
  header.producer_epoch = in.i16be();
  header.base_sequence = in.i32be();
  header.record_count = in.i32be();
  if (header.magic != kMagic) return std::unexpected(ErrorCode::kInvalidRecord);
  const bool too_short = header.batch_length < static_cast<int32_t>(kRecordsAt - kLengthFieldEnd);
  if (too_short || header.size_bytes() > bytes.size()) return std::unexpected(ErrorCode::kCorruptMessage);
  return header;
}

std::expected<BatchHeader, BatchError> validate_envelope(base::View bytes, const BatchRules& rules) {
  if (bytes.empty()) return refuse(ErrorCode::kInvalidRecord, "no record batch");
  // An older message set is shorter than a batch header, but has its magic byte at the same place.
  if (bytes.size() > kMagicAt && bytes[kMagicAt] != kMagic) return refuse(ErrorCode::kInvalidRecord, "magic is not 2");
  const auto header = read_batch_header(bytes);
  if (!header) return refuse(header.error(), "the batch is cut short or its length is wrong");
  if (header->size_bytes() != bytes.size()) return refuse(ErrorCode::kInvalidRecord, "more than one batch");
  if (bytes.size() > rules.batch_bytes_max) return refuse(ErrorCode::kMessageTooLarge, "the batch is too large");
  if (crc_of(bytes) != header->crc) return refuse(ErrorCode::kCorruptMessage, "the checksum does not match");
  if (Verdict verdict = check_header(*header, rules); !verdict) return std::unexpected(verdict.error());
  return *header;
}

std::expected<BatchHeader, BatchError> validate_batch(base::View bytes, const BatchRules& rules) {
  auto header = validate_envelope(bytes, rules);
  if (!header) return header;
  if (!must_walk(*header, rules)) {
    if (Verdict verdict = check_max_timestamp(*header, rules); !verdict) return std::unexpected(verdict.error());
    return header;
  }
  std::vector<uint8_t> scratch;
  const auto records = unpack_records(*header, bytes, scratch);
  if (!records) return std::unexpected(cannot_unpack(records.error()));
  if (Verdict verdict = validate_records(*header, *records, rules); !verdict) return std::unexpected(verdict.error());
  return header;
}

std::optional<base::View> packed_records(const BatchHeader& header, base::View batch) {
  if (batch.size() < header.size_bytes()) return std::nullopt;
  return batch.first(header.size_bytes()).subspan(kRecordsAt);
}

std::expected<base::View, ErrorCode> unpack_records(const BatchHeader& header, base::View batch,
                                                    std::vector<uint8_t>& scratch, size_t bytes_max) {
  const auto packed = packed_records(header, batch);
  if (!packed) return std::unexpected(ErrorCode::kCorruptMessage);
  if (!header.is_compressed()) return *packed;
  if (header.codec() > static_cast<uint8_t>(Compression::kZstd)) {
    return std::unexpected(ErrorCode::kUnsupportedCompressionType);
  }
  switch (unpack(static_cast<Compression>(header.codec()), *packed, scratch, bytes_max)) {
    case UnpackStatus::kOk: return scratch;
    case UnpackStatus::kCorrupt: return std::unexpected(ErrorCode::kCorruptMessage);
    case UnpackStatus::kTooLarge: return std::unexpected(ErrorCode::kMessageTooLarge);
    case UnpackStatus::kStopped: break;
  }
  return std::unexpected(ErrorCode::kUnknownServerError);
}

bool RecordWalker::next(RecordView& record) {
  if (!in_.ok() || index_ >= header_.record_count || in_.at_end()) return false;
  const int32_t size = in_.varint32();
  if (size < static_cast<int32_t>(kRecordBytesMin - 1)) in_.set_failed();
  if (!in_.ok()) return false;
  record.body = in_.bytes(static_cast<size_t>(size));
  base::Reader body(record.body);
  body.i8();                                                                // attributes: none are defined
  const uint64_t timestamp_delta = static_cast<uint64_t>(body.varint64());  // unsigned: a hostile sum must not overflow
  const int64_t offset_delta = body.varint32();
  record.timestamp_ms = static_cast<int64_t>(static_cast<uint64_t>(header_.base_timestamp_ms) + timestamp_delta);
  if (header_.is_log_append_time()) record.timestamp_ms = header_.max_timestamp_ms;
  record.offset =
      static_cast<int64_t>(static_cast<uint64_t>(header_.base_offset) + static_cast<uint64_t>(offset_delta));
  record.key = read_nullable(body);
  record.value = read_nullable(body);
  record.header_count = body.varint32();
  if (record.header_count < 0) body.set_failed();
  record.headers = body.rest();
  RecordHeader header;
  for (int32_t i = 0; i < record.header_count && body.ok(); ++i) read_header(body, header);
  if (!body.ok() || !body.at_end()) {
    in_.set_failed();
    return false;
  }
  ++index_;
  return true;
}

bool HeaderWalker::next(RecordHeader& header) {
  if (left_ <= 0) return false;
  --left_;
  return read_header(in_, header);
}

void place_batch(base::MutView batch, int64_t base_offset, int32_t leader_epoch) {
  CHECK(batch.size() >= kRecordsAt, "a validated batch");
  store_i64be(batch, 0, base_offset);
  store_u32be(batch, kLeaderEpochAt, static_cast<uint32_t>(leader_epoch));
}

void set_log_append_time(base::MutView batch, int64_t now_ms) {
  CHECK(batch.size() >= kRecordsAt, "a validated batch");
  batch[kAttributesAt + 1] |= BatchHeader::kLogAppendTimeBit;
  store_i64be(batch, kMaxTimestampAt, now_ms);
  set_crc(batch);
}

void set_crc(base::MutView batch) { store_u32be(batch, kCrcAt, crc_of(batch)); }

void BatchBuilder::add(int64_t timestamp_ms, std::optional<base::View> key, std::optional<base::View> value,
                       std::span<const RecordHeader> headers) {
  if (header_.record_count == 0) header_.base_timestamp_ms = header_.max_timestamp_ms = timestamp_ms;
  header_.max_timestamp_ms = std::max(header_.max_timestamp_ms, timestamp_ms);
  body_.clear();
  body_.i8(0);
  body_.varint(
      static_cast<int64_t>(static_cast<uint64_t>(timestamp_ms) - static_cast<uint64_t>(header_.base_timestamp_ms)));
  body_.varint(header_.record_count);
  write_nullable(body_, key);
  write_nullable(body_, value);
  body_.varint(static_cast<int64_t>(headers.size()));
  for (const RecordHeader& header : headers) {
    body_.varint(static_cast<int64_t>(header.key.size()));
    body_.text(header.key);
    write_nullable(body_, header.value);
  }
  records_.varint(static_cast<int64_t>(body_.size()));
  records_.bytes(body_.view());
  ++header_.record_count;
}

std::vector<uint8_t> BatchBuilder::finish(const BatchHeader& header) {
  CHECK(header_.record_count > 0, "a new batch has records");
  CHECK(!header.is_compressed(), "the builder does not compress");
  base::Writer out;
  out.buffer().reserve(kRecordsAt + records_.size());
  out.i64be(0);
  out.i32be(static_cast<int32_t>(kRecordsAt - kLengthFieldEnd + records_.size()));
  out.i32be(header.leader_epoch);
  out.i8(kMagic);
  out.u32be(0);
  out.i16be(header.attributes);
  out.i32be(header_.record_count - 1);
  out.i64be(header_.base_timestamp_ms);
  out.i64be(header_.max_timestamp_ms);
  out.i64be(header.producer_id);
  out.i16be(header.producer_epoch);
  out.i32be(header.base_sequence);
  out.i32be(header_.record_count);
  out.bytes(records_.view());
  out.patch_u32be(kCrcAt, crc_of(out.view()));
  header_ = {};
  records_.clear();
  return std::move(out.buffer());
}

}  // namespace polylog::kafka
