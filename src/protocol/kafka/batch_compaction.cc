#include "protocol/kafka/batch_compaction.h"

#include <algorithm>
#include <cstring>

#include "base/wire.h"
#include "protocol/kafka/packing.h"

namespace polylog::kafka {
namespace {

constexpr int64_t kNoTimestamp = -1;

// A batch whose records may be judged one by one, unpacked.
class OpenBatch {
 public:
  // False: it is to be left as it is.
  bool open(base::View batch) {
    const auto header = read_batch_header(batch);
    if (!header || header->is_control() || header->is_transactional()) return false;
    header_ = *header;
    batch_ = batch.first(header_.size_bytes());
    if (header_.record_count == 0) return true;
    const auto records = unpack_records(header_, batch_, scratch_);
    if (!records) return false;
    records_ = *records;
    RecordWalker walker(header_, records_);
    for (RecordView record; walker.next(record);) {
    }
    return walker.is_complete();
  }
  const BatchHeader& header() const { return header_; }
  RecordWalker walk() const { return {header_, records_}; }
  base::View head() const { return batch_.first(batch_layout::kRecordsAt); }
  base::View packed() const { return batch_.subspan(batch_layout::kRecordsAt); }
  size_t records_bytes() const { return records_.size(); }
  std::optional<int64_t> horizon_ms() const {
    if (!header_.has_delete_horizon()) return std::nullopt;
    return header_.base_timestamp_ms;
  }

 private:
  BatchHeader header_;
  base::View batch_, records_;
  std::vector<uint8_t> scratch_;
};

using Rules = storage::CompactFormat::Rules;
using Outcome = storage::CompactFormat::Outcome;
using What = storage::CompactFormat::What;

int64_t saturated_sum(int64_t a, int64_t b) {
  int64_t sum;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

struct Verdict {
  std::vector<bool> stays;  // by index of the record
  int32_t kept = 0;
  bool deletes_stay = false;  // among what is kept
  int64_t max_timestamp_ms = kNoTimestamp;
};

Verdict judge(const OpenBatch& batch, const Rules& rules) {
  Verdict verdict;
  verdict.stays.reserve(static_cast<size_t>(batch.header().record_count));
  const auto horizon_ms = batch.horizon_ms();
  const bool deletes_are_over = rules.may_remove_deletes && horizon_ms && *horizon_ms <= rules.now.ms;
  RecordWalker walker = batch.walk();
  for (RecordView record; walker.next(record);) {
    const bool deletes = record.key && !record.value;
    const bool stays =
        !record.key || (!(deletes && deletes_are_over) && rules.is_latest(base::Offset(record.offset), *record.key));
    verdict.stays.push_back(stays);
    if (!stays) continue;
    ++verdict.kept;
    verdict.deletes_stay = verdict.deletes_stay || deletes;
    verdict.max_timestamp_ms = std::max(verdict.max_timestamp_ms, record.timestamp_ms);
  }
  return verdict;
}

// What changes in the head of a batch. The crc is worked out at the end.
struct NewHead {
  int16_t attributes;
  int64_t base_timestamp_ms, max_timestamp_ms;
  int32_t record_count;
};

std::vector<uint8_t> assemble(base::View old_head, const NewHead& head, base::View packed) {
  using namespace batch_layout;
  base::Writer out;
  out.buffer().reserve(kRecordsAt + packed.size());
  out.bytes(old_head.first(kBatchLengthAt));
  out.i32be(static_cast<int32_t>(kRecordsAt - kLengthFieldEnd + packed.size()));
  out.bytes(old_head.subspan(kLeaderEpochAt, kAttributesAt - kLeaderEpochAt));
  out.i16be(head.attributes);
  out.bytes(old_head.subspan(kLastOffsetDeltaAt, kBaseTimestampAt - kLastOffsetDeltaAt));
  out.i64be(head.base_timestamp_ms);
  out.i64be(head.max_timestamp_ms);
  out.bytes(old_head.subspan(kProducerIdAt, kRecordCountAt - kProducerIdAt));
  out.i32be(head.record_count);
  out.bytes(packed);
  set_crc(out.buffer());
  return std::move(out.buffer());
}

Outcome emptied(const OpenBatch& batch, const Rules& rules, uint32_t removed) {
  const BatchHeader& old = batch.header();
  if (!rules.keep_empty) return {.what = What::kGone, .records_removed = removed};
  if (old.record_count == 0) return {};
  const auto attributes =
      static_cast<int16_t>(old.attributes & ~(BatchHeader::kCompressionMask | BatchHeader::kDeleteHorizonBit));
  return {.what = What::kRewritten,
          .bytes = assemble(batch.head(), {attributes, kNoTimestamp, old.max_timestamp_ms, 0}, {}),
          .records_removed = removed};
}

// The records that stay, their timestamp deltas counted from `base_timestamp_ms`.
std::vector<uint8_t> remaining(const OpenBatch& batch, const Verdict& verdict, int64_t base_timestamp_ms) {
  base::Writer out;
  out.buffer().reserve(batch.records_bytes());
  base::Writer head;
  const BatchHeader& old = batch.header();
  const auto shift = static_cast<uint64_t>(old.base_timestamp_ms) - static_cast<uint64_t>(base_timestamp_ms);
  RecordWalker walker = batch.walk();
  for (RecordView record; walker.next(record);) {
    if (!verdict.stays[static_cast<size_t>(walker.index() - 1)]) continue;
    base::Reader body(record.body);
    head.clear();
    head.i8(body.i8());
    head.varint(static_cast<int64_t>(static_cast<uint64_t>(body.varint64()) + shift));
    const base::View rest = body.rest();
    out.varint(static_cast<int64_t>(head.size() + rest.size()));
    out.bytes(head.view());
    out.bytes(rest);
  }
  return std::move(out.buffer());
}

}  // namespace

void RecordBatchCompaction::each_key(base::View bytes, const VisitKey& visit) const {
  OpenBatch batch;
  if (!batch.open(bytes)) return;
  RecordWalker walker = batch.walk();
  for (RecordView record; walker.next(record);)
    if (record.key) visit(base::Offset(record.offset), *record.key);
}

Outcome RecordBatchCompaction::rewrite(base::View bytes, const Rules& rules) const {
  OpenBatch batch;
  if (!batch.open(bytes)) return {};
  const BatchHeader& old = batch.header();
  const Verdict verdict = judge(batch, rules);
  const auto removed = static_cast<uint32_t>(old.record_count - verdict.kept);
  if (verdict.kept == 0) return emptied(batch, rules, removed);

  const auto horizon_ms = batch.horizon_ms();
  const bool gets_date = verdict.deletes_stay && !horizon_ms && rules.may_date_deletes;
  const int64_t base_timestamp_ms =
      gets_date ? saturated_sum(rules.now.ms, rules.delete_retention_ms) : old.base_timestamp_ms;
  Outcome outcome{.max_ts = {old.max_timestamp_ms}, .records_removed = removed};
  if (verdict.deletes_stay && (horizon_ms || gets_date)) outcome.deletes_until = base::WallTime{base_timestamp_ms};
  if (removed == 0 && !gets_date) return outcome;

  std::vector<uint8_t> packed;
  const std::vector<uint8_t> records = remaining(batch, verdict, base_timestamp_ms);
  if (!pack(static_cast<Compression>(old.codec()), records, batch.packed(), packed)) return {};
  if (!old.is_log_append_time()) outcome.max_ts = {verdict.max_timestamp_ms};
  const auto attributes =
      static_cast<int16_t>(old.attributes | (gets_date ? BatchHeader::kDeleteHorizonBit : int16_t{0}));
  outcome.bytes = assemble(batch.head(), {attributes, base_timestamp_ms, outcome.max_ts.ms, verdict.kept}, packed);
  outcome.what = What::kRewritten;
  return outcome;
}

}  // namespace polylog::kafka
