// A compacted stream: batches of records with keys, a writer and a reader of them, and what must be true of what is read.
//
//   last_of_key    of every key the last record is there, whatever was compacted; what was deleted does not come back
//   acked_record   a record lies at its acked offset
//   bytes          every record is as it was sent, once, and offsets ascend
//
// batch:  base offset i64 | epoch u32 (both patched by place()) | count u32 | crc32c u32 of what follows | records
// record: delta u32 | key u32 | value u64, 0: the key is deleted | serial u64 | filler that follows from the serial
// A batch in which key deletions have a date begins with that date: count has its highest bit set and date i64 follows the crc.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "storage/compact_format.h"
#include "tests/sim/cast.h"

namespace polylog::sim {

inline constexpr uint8_t kKeyedEncodingTag = 201;
inline constexpr const char* kKeyedStream = "keyed";

struct KeyedRecord {
  int64_t offset = 0;
  uint32_t key = 0;
  uint64_t serial = 0;
  bool deletes = false;
};

// `drop_latest`: a planted bug, compaction loses the last record of some keys.
class KeyedEncoding final : public broker::Encoding, private storage::CompactFormat {
 public:
  explicit KeyedEncoding(bool drop_latest) : drop_latest_(drop_latest) {}
  void place(base::MutView head, base::Offset base, base::Epoch epoch) const override;
  base::Result<> to_hub(base::View, base::Offset, const Visit&) const override { return {}; }
  Built from_hub(std::span<const broker::HubMessage>, base::WallTime) const override { return {}; }
  const storage::CompactFormat* compact_format() const override { return this; }

 private:
  void each_key(base::View batch, const VisitKey& visit) const override;
  Outcome rewrite(base::View batch, const Rules& rules) const override;
  const bool drop_latest_;
};

// What was sent, acknowledged and seen.
class KeyedModel {
 public:
  explicit KeyedModel(Model& model) : model_(model) {}
  KeyedRecord next(uint32_t key, bool deletes);
  void acked(const base::PartitionKey& partition, const std::vector<KeyedRecord>& records);
  struct Floors;
  // What a scan that begins now must find.
  std::shared_ptr<const Floors> floors(const base::PartitionKey& partition) const;
  void scanned(const base::PartitionKey& partition, const std::vector<KeyedRecord>& records, const Floors& floors);
  uint64_t scans() const { return scans_; }

 private:
  void learn(const base::PartitionKey& partition, const KeyedRecord& record);

  Model& model_;
  uint64_t next_serial_ = 1;
  uint64_t scans_ = 0;
  std::map<uint64_t, KeyedRecord> sent_;  // by serial; the offset once it is known, else -1
  std::map<base::PartitionKey, std::map<uint32_t, KeyedRecord>> newest_;  // known to be durable, by key
};

std::unique_ptr<Client> make_keyed_writer(Scene& scene, size_t core, uint64_t id, std::shared_ptr<KeyedModel> keyed);
std::unique_ptr<Client> make_keyed_reader(Scene& scene, size_t core, uint64_t id, std::shared_ptr<KeyedModel> keyed);

}  // namespace polylog::sim
