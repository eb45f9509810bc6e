#include "tests/sim/keyed.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "base/crc32c.h"
#include "base/wire.h"

namespace polylog::sim {
namespace {

constexpr size_t kPlacedBytes = 12;
constexpr uint32_t kDatedBit = 1u << 31;
constexpr uint32_t kKeys = 24;

size_t filler_bytes(uint64_t serial) { return serial % 7 == 0 ? 1'500 : serial % 90; }
uint8_t filler_at(uint64_t serial, size_t at) { return static_cast<uint8_t>(serial * 13 + at * 5); }

struct KeyedBatch {
  int64_t base = -1;
  uint32_t epoch = 0;
  uint32_t count = 0;
  std::optional<int64_t> date_ms;
  std::vector<KeyedRecord> records;
  bool is_sound = false;
};

std::vector<uint8_t> encode(const KeyedBatch& batch) {
  base::Writer body;
  if (batch.date_ms) body.i64le(*batch.date_ms);
  for (const KeyedRecord& record : batch.records) {
    body.u32le(static_cast<uint32_t>(record.offset - batch.base));
    body.u32le(record.key);
    body.u64le(record.deletes ? 0 : 1);
    body.u64le(record.serial);
    for (size_t i = 0; i < filler_bytes(record.serial); ++i) body.u8(filler_at(record.serial, i));
  }
  base::Writer out;
  out.i64le(batch.base);
  out.u32le(batch.epoch);
  out.u32le(batch.count | (batch.date_ms ? kDatedBit : 0));
  out.u32le(base::crc32c(body.view()));
  out.bytes(body.view());
  return std::move(out.buffer());
}

KeyedBatch decode(base::View bytes) {
  base::Reader in(bytes);
  KeyedBatch batch;
  batch.base = in.i64le();
  batch.epoch = in.u32le();
  const uint32_t count = in.u32le();
  batch.count = count & ~kDatedBit;
  const uint32_t crc = in.u32le();
  batch.is_sound = in.ok() && base::crc32c(in.rest()) == crc;
  if (batch.is_sound && (count & kDatedBit) != 0) batch.date_ms = in.i64le();
  while (batch.is_sound && in.ok() && !in.at_end()) {
    KeyedRecord& record = batch.records.emplace_back();
    record.offset = batch.base + in.u32le();
    record.key = in.u32le();
    record.deletes = in.u64le() == 0;
    record.serial = in.u64le();
    const base::View filler = in.bytes(filler_bytes(record.serial));
    for (size_t i = 0; i < filler.size(); ++i) batch.is_sound &= filler[i] == filler_at(record.serial, i);
  }
  batch.is_sound &= in.ok();
  return batch;
}

base::View key_of(const KeyedRecord& record) {
  return {reinterpret_cast<const uint8_t*>(&record.key), sizeof record.key};
}

}  // namespace

// ---- KeyedEncoding

void KeyedEncoding::place(base::MutView head, base::Offset base, base::Epoch epoch) const {
  base::Writer patch;
  patch.i64le(base.value);
  patch.u32le(epoch.value);
  std::memcpy(head.data(), patch.view().data(), kPlacedBytes);
}

void KeyedEncoding::each_key(base::View bytes, const VisitKey& visit) const {
  for (const KeyedRecord& record : decode(bytes).records) visit(base::Offset(record.offset), key_of(record));
}

storage::CompactFormat::Outcome KeyedEncoding::rewrite(base::View bytes, const Rules& rules) const {
  KeyedBatch batch = decode(bytes);
  const size_t before = batch.records.size();
  const bool dates_are_over = batch.date_ms && *batch.date_ms <= rules.now.ms;
  std::erase_if(batch.records, [&](const KeyedRecord& record) {
    const bool stays = rules.is_latest(base::Offset(record.offset), key_of(record)) &&
                       !(record.deletes && dates_are_over) && !(drop_latest_ && record.serial % 50 == 0);
    return !stays;
  });
  const bool deletes = std::ranges::any_of(batch.records, &KeyedRecord::deletes);
  const bool gets_date = deletes && !batch.date_ms && rules.may_date_deletes;
  if (gets_date) batch.date_ms = rules.now.ms + rules.delete_retention_ms;
  Outcome outcome{.max_ts = {1}, .records_removed = static_cast<uint32_t>(before - batch.records.size())};
  if (deletes && batch.date_ms) outcome.deletes_until = base::WallTime{*batch.date_ms};
  if (batch.records.empty() && !rules.keep_empty) {
    outcome.what = What::kGone;
  } else if (outcome.records_removed > 0 || gets_date) {
    outcome.what = What::kRewritten;
    outcome.bytes = encode(batch);
  }
  return outcome;
}

// ---- KeyedModel

struct KeyedModel::Floors {
  std::map<uint32_t, KeyedRecord> newest;
  std::set<uint32_t> may_be_deleted;  // by a record whose outcome is not known
};

KeyedRecord KeyedModel::next(uint32_t key, bool deletes) {
  KeyedRecord record{.offset = -1, .key = key, .serial = next_serial_++, .deletes = deletes};
  sent_[record.serial] = record;
  return record;
}

void KeyedModel::learn(const base::PartitionKey& partition, const KeyedRecord& record) {
  sent_[record.serial].offset = record.offset;
  const auto [found, is_new] = newest_[partition].try_emplace(record.key, record);
  if (!is_new && found->second.offset < record.offset) found->second = record;
}

void KeyedModel::acked(const base::PartitionKey& partition, const std::vector<KeyedRecord>& records) {
  if (!model_.believe_acks) return;
  for (const KeyedRecord& record : records) {
    const int64_t known = sent_.at(record.serial).offset;
    if (known >= 0 && known != record.offset)
      return model_.violation(
          "acked_record", fmt::format("serial {} lies at {}, acknowledged at {}", record.serial, known, record.offset));
    learn(partition, record);
  }
}

std::shared_ptr<const KeyedModel::Floors> KeyedModel::floors(const base::PartitionKey& partition) const {
  auto floors = std::make_shared<Floors>();
  if (const auto found = newest_.find(partition); found != newest_.end()) floors->newest = found->second;
  for (const auto& [serial, record] : sent_)
    if (record.deletes && record.offset < 0) floors->may_be_deleted.insert(record.key);
  return floors;
}

void KeyedModel::scanned(const base::PartitionKey& partition, const std::vector<KeyedRecord>& records,
                         const Floors& floors) {
  ++scans_;
  int64_t last = -1;
  std::map<uint32_t, KeyedRecord> newest;
  for (const KeyedRecord& record : records) {
    const auto sent = sent_.find(record.serial);
    if (sent == sent_.end() || sent->second.key != record.key || sent->second.deletes != record.deletes ||
        record.offset <= last)
      return model_.violation("bytes",
                              fmt::format("at {} lies serial {}, after {}", record.offset, record.serial, last));
    if (sent->second.offset >= 0 && sent->second.offset != record.offset)
      return model_.violation("acked_record", fmt::format("serial {} lay at {}, now at {}", record.serial,
                                                          sent->second.offset, record.offset));
    last = record.offset;
    newest[record.key] = record;
  }
  for (const auto& [key, floor] : floors.newest) {
    const auto found = newest.find(key);
    if (found == newest.end() ? floor.deletes || floors.may_be_deleted.contains(key)
                              : found->second.offset >= floor.offset)
      continue;
    return model_.violation("last_of_key",
                            fmt::format("key {}: serial {} at {} is gone, what is left is at {}", key, floor.serial,
                                        floor.offset, found == newest.end() ? -1 : found->second.offset));
  }
  for (const auto& [key, record] : newest) learn(partition, record);
}

// ---- clients

namespace {

class KeyedWriter final : public Client {
 public:
  KeyedWriter(Scene& scene, size_t core, uint64_t id, std::shared_ptr<KeyedModel> keyed)
      : Client(scene, core, id), keyed_(std::move(keyed)) {}
  bool busy() const override { return !in_flight_.empty(); }
  std::string describe() const override { return fmt::format("keyed writer {} waits", id_); }

 private:
  struct Sent {
    base::PartitionKey partition;
    std::vector<KeyedRecord> records;
  };
  void tick() override {
    if (scene_.calm || in_flight_.size() >= 4) return;
    const Target& target = scene_.keyed[random().below(scene_.keyed.size())];
    KeyedBatch batch{.base = 0, .count = static_cast<uint32_t>(random().between(1, 10)), .date_ms = {}, .records = {}};
    for (uint32_t i = 0; i < batch.count; ++i) {
      // Each partition has keys of its own.
      const auto key = static_cast<uint32_t>(random().below(kKeys)) + target.partition.index * kKeys;
      batch.records.push_back(keyed_->next(key, random().chance(0.15)));
      batch.records.back().offset = i;
    }
    const uint64_t token = submit(target.cell, broker::AppendRequest{.partition = target.partition,
                                                                     .bytes = {},
                                                                     .owned = base::Slice::copy_of(encode(batch)),
                                                                     .encoding = kKeyedEncodingTag,
                                                                     .count = batch.count,
                                                                     .max_ts = {1},
                                                                     .writer = {}});
    in_flight_[token] = {target.partition, std::move(batch.records)};
  }
  void handle(uint64_t token, broker::ActionBody& body) override {
    const auto* done = std::get_if<broker::AppendDone>(&body);
    const auto found = in_flight_.find(token);
    if (done == nullptr || found == in_flight_.end()) return;
    if (done->base_offset) {
      for (KeyedRecord& record : found->second.records) record.offset += done->base_offset->value;
      keyed_->acked(found->second.partition, found->second.records);
    } else {
      ++scene_.refused;
    }
    in_flight_.erase(found);
  }
  void on_down() override { in_flight_.clear(); }

  const std::shared_ptr<KeyedModel> keyed_;
  std::map<uint64_t, Sent> in_flight_;
};

// Scans one partition after the other, from the start to the end, again and again.
class KeyedReader final : public Client {
 public:
  KeyedReader(Scene& scene, size_t core, uint64_t id, std::shared_ptr<KeyedModel> keyed)
      : Client(scene, core, id), keyed_(std::move(keyed)) {}
  bool busy() const override { return reading_ != 0; }
  std::string describe() const override { return fmt::format("keyed reader {} waits", id_); }

 private:
  // So long a scan may take: what was deleted before it began may be gone, with its mark, before it gets there.
  static constexpr auto kScanTimeMax = std::chrono::seconds(1);

  void tick() override {
    if (reading_ != 0) return;
    if (floors_ == nullptr) {
      if (scene_.calm) return;
      target_ = (target_ + 1) % scene_.keyed.size();
      floors_ = keyed_->floors(scene_.keyed[target_].partition);
      begun_ = scene_.world.loops().now();
      from_ = base::Offset(0);
      seen_.clear();
    }
    const Target& target = scene_.keyed[target_];
    reading_ = submit(target.cell,
                      broker::ReadRequest{.items = {{target.partition, from_, 16 * 1024}}, .bytes_max = 16 * 1024});
  }
  void handle(uint64_t token, broker::ActionBody& body) override {
    auto* done = std::get_if<broker::ReadDone>(&body);
    if (done == nullptr || token != reading_) return;
    reading_ = 0;
    broker::ReadDone::Item& item = done->items.front();
    if (item.error) {
      if (!scene_.reads_may_fail)
        model().violation("available", fmt::format("a read fails with {}", base::name_of(*item.error)));
      floors_.reset();
      return;
    }
    for (const broker::ReadBatch& batch : item.batches) take(batch);
    if (from_ < item.committed && !item.batches.empty()) return;
    if (from_ < item.committed)
      model().violation("dense", fmt::format("nothing is read at {} of {}", from_.value, item.committed.value));
    if (scene_.world.loops().now() - begun_ < kScanTimeMax)
      keyed_->scanned(scene_.keyed[target_].partition, seen_, *floors_);
    floors_.reset();
  }
  void take(const broker::ReadBatch& batch) {
    const KeyedBatch keyed = decode(batch.bytes.view());
    if (!keyed.is_sound || keyed.base != batch.base_offset.value || keyed.count != batch.count)
      return model().violation("bytes", fmt::format("a batch with keys at {} is damaged", batch.base_offset.value));
    for (const KeyedRecord& record : keyed.records)
      if (record.offset >= from_.value) seen_.push_back(record);
    from_ = batch.base_offset + base::OffsetCount(batch.count);
  }
  void on_down() override {
    reading_ = 0;
    floors_.reset();
  }

  const std::shared_ptr<KeyedModel> keyed_;
  size_t target_ = 0;
  uint64_t reading_ = 0;
  base::Offset from_;
  base::MonoTime begun_;
  std::vector<KeyedRecord> seen_;
  std::shared_ptr<const KeyedModel::Floors> floors_;
};

}  // namespace

std::unique_ptr<Client> make_keyed_writer(Scene& scene, size_t core, uint64_t id, std::shared_ptr<KeyedModel> keyed) {
  return std::make_unique<KeyedWriter>(scene, core, id, std::move(keyed));
}
std::unique_ptr<Client> make_keyed_reader(Scene& scene, size_t core, uint64_t id, std::shared_ptr<KeyedModel> keyed) {
  return std::make_unique<KeyedReader>(scene, core, id, std::move(keyed));
}

}  // namespace polylog::sim
