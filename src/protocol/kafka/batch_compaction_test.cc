#include "protocol/kafka/batch_compaction.h"

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "protocol/kafka/packing.h"

namespace polylog::kafka {
namespace {

using Bytes = std::vector<uint8_t>;
using What = storage::CompactFormat::What;
using Rules = storage::CompactFormat::Rules;

constexpr int64_t kBase = 1000;
constexpr base::WallTime kNow{1'700'000'000'000};

struct Spec {
  std::optional<std::string> key, value;
  int64_t timestamp_ms = 5;
};

std::optional<base::View> view_of(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  return base::as_view(*text);
}

// At offset kBase, epoch 7, of writer 42 with sequence 9.
Bytes make_batch(const std::vector<Spec>& specs, Compression codec = Compression::kNone, int16_t attributes = 0) {
  const RecordHeader headers[] = {{"h", base::as_view("x")}};
  BatchBuilder builder;
  for (const Spec& spec : specs) builder.add(spec.timestamp_ms, view_of(spec.key), view_of(spec.value), headers);
  const Bytes plain =
      builder.finish({.attributes = attributes, .producer_id = 42, .producer_epoch = 3, .base_sequence = 9});
  Bytes packed;
  REQUIRE(pack(codec, base::View(plain).subspan(batch_layout::kRecordsAt), {}, packed));
  base::Writer out;
  out.bytes(base::View(plain).first(batch_layout::kRecordsAt));
  out.bytes(packed);
  out.patch_u32be(batch_layout::kBatchLengthAt, static_cast<uint32_t>(out.size() - batch_layout::kLengthFieldEnd));
  Bytes bytes = std::move(out.buffer());
  bytes[batch_layout::kAttributesAt + 1] |= static_cast<uint8_t>(codec);
  place_batch(bytes, kBase, 7);
  set_crc(bytes);
  return bytes;
}

// Offsets of the records that are the last of their keys; all others of these keys are not.
Rules rules_of(std::map<std::string, int64_t> last) {
  return {.is_latest =
              [last = std::move(last)](base::Offset offset, base::View key) {
                const auto found = last.find(std::string(base::as_text(key)));
                return found == last.end() || offset.value >= found->second;
              },
          .now = kNow,
          .delete_retention_ms = 1000,
          .may_date_deletes = true};
}

struct Read {
  int64_t offset, timestamp_ms;
  std::string key, value;
  friend bool operator==(const Read&, const Read&) = default;
};
std::vector<Read> records_of(base::View batch) {
  const auto header = read_batch_header(batch);
  REQUIRE(header);
  CHECK(header->size_bytes() == batch.size());
  Bytes scratch;
  const auto records = unpack_records(*header, batch, scratch);
  REQUIRE(records);
  std::vector<Read> found;
  RecordWalker walker(*header, *records);
  for (RecordView record; walker.next(record);) {
    CHECK(record.header_count == 1);
    found.push_back({record.offset, record.timestamp_ms,
                     std::string(base::as_text(record.key.value_or(base::as_view("-")))),
                     std::string(base::as_text(record.value.value_or(base::as_view("-"))))});
  }
  CHECK(walker.is_complete());
  return found;
}

const RecordBatchCompaction kFormat;

}  // namespace

TEST_CASE("records_are_taken_out_and_what_stays_is_as_it_was_for_every_codec") {
  for (const Compression codec :
       {Compression::kNone, Compression::kGzip, Compression::kSnappy, Compression::kLz4, Compression::kZstd}) {
    CAPTURE(static_cast<int>(codec));
    const Bytes batch = make_batch({{"a", "1", 50}, {"b", "2", 70}, {"a", "3", 60}, {std::nullopt, "4", 40}}, codec);
    const auto done = kFormat.rewrite(batch, rules_of({{"a", kBase + 2}, {"b", kBase + 9}}));
    REQUIRE(done.what == What::kRewritten);
    CHECK(done.records_removed == 2);
    CHECK(done.max_ts.ms == 60);  // of what is left
    CHECK(!done.deletes_until);
    const auto old = *read_batch_header(batch);
    const auto header = *read_batch_header(done.bytes);
    CHECK(header.base_offset == kBase);
    CHECK(header.last_offset() == kBase + 3);
    CHECK(header.leader_epoch == 7);
    CHECK(header.producer_id == 42);
    CHECK(header.producer_epoch == 3);
    CHECK(header.base_sequence == 9);
    CHECK(header.last_sequence() == old.last_sequence());
    CHECK(header.attributes == old.attributes);
    CHECK(header.record_count == 2);
    CHECK(header.max_timestamp_ms == 60);
    CHECK(records_of(done.bytes) == std::vector<Read>{{kBase + 2, 60, "a", "3"}, {kBase + 3, 40, "-", "4"}});
    Bytes checked = done.bytes;
    set_crc(checked);
    CHECK(checked == done.bytes);  // the checksum was right
  }
}

TEST_CASE("a_batch_that_loses_nothing_keeps_its_bytes") {
  const Bytes batch = make_batch({{"a", "1"}, {"b", "2"}}, Compression::kGzip);
  const auto done = kFormat.rewrite(batch, rules_of({{"a", kBase}, {"b", kBase + 1}}));
  CHECK(done.what == What::kAsItWas);
  CHECK(done.records_removed == 0);
}

TEST_CASE("keys_are_shown_with_their_offsets_and_records_without_keys_are_not") {
  std::vector<std::pair<int64_t, std::string>> shown;
  const Bytes batch = make_batch({{"a", "1"}, {std::nullopt, "2"}, {"", std::nullopt}}, Compression::kZstd);
  kFormat.each_key(batch, [&](base::Offset offset, base::View key) {
    shown.emplace_back(offset.value, std::string(base::as_text(key)));
  });
  CHECK(shown == std::vector<std::pair<int64_t, std::string>>{{kBase, "a"}, {kBase + 2, ""}});
}

TEST_CASE("an_empty_batch_stays_where_it_is_asked_for_and_goes_otherwise") {
  const Bytes batch = make_batch({{"a", "1"}, {"a", "2"}}, Compression::kLz4);
  Rules rules = rules_of({{"a", kBase + 5}});
  CHECK(kFormat.rewrite(batch, rules).what == What::kGone);
  rules.keep_empty = true;
  const auto done = kFormat.rewrite(batch, rules);
  REQUIRE(done.what == What::kRewritten);
  CHECK(done.max_ts.ms == -1);
  CHECK(done.bytes.size() == batch_layout::kRecordsAt);
  const auto header = *read_batch_header(done.bytes);
  CHECK(header.record_count == 0);
  CHECK(header.codec() == 0);
  CHECK(header.last_offset() == kBase + 1);
  CHECK(header.last_sequence() == 10);
  CHECK(header.producer_id == 42);
  CHECK(kFormat.rewrite(done.bytes, rules).what == What::kAsItWas);
  rules.keep_empty = false;
  CHECK(kFormat.rewrite(done.bytes, rules).what == What::kGone);
}

TEST_CASE("a_mark_that_deletes_gets_a_date_once_and_goes_on_that_day") {
  const Bytes batch = make_batch({{"a", std::nullopt, 50}, {"b", "2", 60}}, Compression::kSnappy);
  const auto rules = rules_of({{"a", kBase}, {"b", kBase + 1}});
  const auto dated = kFormat.rewrite(batch, rules);
  REQUIRE(dated.what == What::kRewritten);
  CHECK(dated.records_removed == 0);
  CHECK(dated.deletes_until == base::WallTime{kNow.ms + 1000});
  const auto header = *read_batch_header(dated.bytes);
  CHECK(header.has_delete_horizon());
  CHECK(header.base_timestamp_ms == kNow.ms + 1000);
  const std::vector<Read> both{{kBase, 50, "a", "-"}, {kBase + 1, 60, "b", "2"}};
  CHECK(records_of(dated.bytes) == both);  // timestamps are what they were

  Rules later = rules;
  later.now.ms += 999;
  const auto before = kFormat.rewrite(dated.bytes, later);
  CHECK(before.what == What::kAsItWas);
  CHECK(before.deletes_until == base::WallTime{kNow.ms + 1000});  // the date stays
  later.now.ms += 1;
  later.may_remove_deletes = false;
  CHECK(kFormat.rewrite(dated.bytes, later).what == What::kAsItWas);
  later.may_remove_deletes = true;
  const auto gone = kFormat.rewrite(dated.bytes, later);
  REQUIRE(gone.what == What::kRewritten);
  CHECK(gone.records_removed == 1);
  CHECK(!gone.deletes_until);
  CHECK(records_of(gone.bytes) == std::vector<Read>{both[1]});
}

TEST_CASE("a_mark_gets_no_date_before_all_older_records_of_its_key_are_gone") {
  const Bytes batch = make_batch({{"a", std::nullopt}});
  Rules rules = rules_of({{"a", kBase}});
  rules.may_date_deletes = false;
  const auto done = kFormat.rewrite(batch, rules);
  CHECK(done.what == What::kAsItWas);
  CHECK(!done.deletes_until);
}

TEST_CASE("an_overwritten_mark_goes_at_once") {
  const Bytes batch = make_batch({{"a", std::nullopt}, {"a", "2"}});
  const auto done = kFormat.rewrite(batch, rules_of({{"a", kBase + 1}}));
  REQUIRE(done.what == What::kRewritten);
  CHECK(records_of(done.bytes) == std::vector<Read>{{kBase + 1, 5, "a", "2"}});
  CHECK(!done.deletes_until);
}

TEST_CASE("append_times_stay_when_records_go") {
  Bytes batch = make_batch({{"a", "1", 50}, {"b", std::nullopt, 60}});
  set_log_append_time(batch, 12'345);
  const auto done = kFormat.rewrite(batch, rules_of({{"a", kBase + 9}, {"b", kBase + 1}}));
  REQUIRE(done.what == What::kRewritten);
  CHECK(done.max_ts.ms == 12'345);
  CHECK(records_of(done.bytes) == std::vector<Read>{{kBase + 1, 12'345, "b", "-"}});
}

TEST_CASE("control_and_transactional_batches_and_damaged_ones_are_left_alone_and_show_no_keys") {
  Bytes cut = make_batch({{"a", "1"}, {"b", "2"}});
  cut[batch_layout::kRecordCountAt + 3] = 3;  // one more than there are
  Bytes unknown = make_batch({{"a", "1"}});
  unknown[batch_layout::kAttributesAt + 1] |= 7;
  for (const Bytes& batch :
       {make_batch({{"a", "1"}}, Compression::kNone, BatchHeader::kTransactionalBit),
        make_batch({{"a", "1"}}, Compression::kNone, BatchHeader::kTransactionalBit | BatchHeader::kControlBit), cut,
        unknown, Bytes(10)}) {
    kFormat.each_key(batch, [](base::Offset, base::View) { CHECK(false); });
    CHECK(kFormat.rewrite(batch, rules_of({{"a", kBase + 5}, {"b", kBase + 5}})).what == What::kAsItWas);
  }
}

TEST_CASE("packed_records_unpack_to_themselves_and_snappy_keeps_its_framing") {
  Bytes records(200'000);
  for (size_t i = 0; i < records.size(); ++i) records[i] = static_cast<uint8_t>(i * i >> 8);
  Bytes packed, unpacked;
  for (int codec = 0; codec <= 4; ++codec) {
    REQUIRE(pack(static_cast<Compression>(codec), records, {}, packed));
    REQUIRE(unpack(static_cast<Compression>(codec), packed, unpacked) == UnpackStatus::kOk);
    CHECK(unpacked == records);
  }
  REQUIRE(pack(Compression::kSnappy, records, {}, packed));
  CHECK(!is_framed_snappy(packed));
  REQUIRE(pack(Compression::kSnappy, records, kSnappyFrameMagic, packed));
  CHECK(is_framed_snappy(packed));
  REQUIRE(unpack(Compression::kSnappy, packed, unpacked) == UnpackStatus::kOk);
  CHECK(unpacked == records);
}

}  // namespace polylog::kafka
