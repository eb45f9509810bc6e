// LocalMetaStore: the MetaStore of one machine: a map in RAM and one append-only file, `meta.plm`, rewritten when most of
// it is garbage. docs/formats/meta.md is the prose twin.
//
// file: records, each beginning on a 64 B boundary (little-endian)
//    0 magic 'PLMR' u32 | 4 version u16 | 6 zero u16 | 8 sequence u64 | 16 generation u64 | 24 payload bytes u32 |
//   28 crc32c u32 of bytes 0..27 and the payload | 32 payload | zeros
// payload: ops. 1 put: u8 | key bytes u32 | key | value bytes u32 | value.   2 remove: u8 | key bytes u32 | key.
// Sequences are dense from 1. One record is written and synced at a time, so a sound record proves those before it:
// a bad one with a sound successor behind it is corruption, the last one bad is a torn write and is cut.
// Transactions that arrive while a sync runs share the next record.
#pragma once

#include <map>
#include <memory>

#include "io/disk.h"
#include "io/loop.h"
#include "storage/meta_store.h"

namespace polylog::storage {

// How far the records of a file were read: the place, sequence and generation of the next one.
struct MetaScan {
  uint64_t end = 0;
  uint64_t next_sequence = 1;
  uint64_t generation = 1;
};
// Visits the sound records from `scan` on, each with its own place, and leaves `scan` at the first that is not. kCorrupt,
// with `path` and offset: something durable is damaged there; else what lies behind is a torn write.
base::Result<> scan_meta(base::View bytes, const std::string& path, MetaScan& scan,
                         const std::function<void(const MetaTxn&, const MetaScan& at)>& visit);
// Moves `scan` behind damage, to the next sound record; false: there is none.
bool skip_meta_damage(base::View bytes, MetaScan& scan);

class LocalMetaStore : public MetaStore {
 public:
  LocalMetaStore(io::Loop& loop, io::Disk& disk, std::string directory);

  base::Result<> open();  // blocking; kCorrupt names file and offset
  std::optional<std::string> get(std::string_view key) const override;
  std::vector<std::pair<std::string, std::string>> range(std::string_view prefix) const override;
  void commit(MetaTxn txn, std::function<void(base::Result<>)> done) override;

 private:
  struct Pending {
    MetaTxn txn;
    std::function<void(base::Result<>)> done;
  };
  struct Written;
  base::Result<> replay(base::View bytes);
  void apply(const MetaTxn& txn);
  void write_next();
  void written(std::vector<Pending> group, const Written& outcome);
  std::string path() const { return directory_ + "/meta.plm"; }
  std::string reserve_path() const { return directory_ + "/meta.reserve"; }  // space for when the disk is full

  io::Disk& disk_;
  std::string directory_;
  std::map<std::string, std::string, std::less<>> values_;
  size_t live_bytes_ = 0;
  std::shared_ptr<io::File> file_;
  uint64_t end_ = 0;
  uint64_t next_sequence_ = 1;
  uint64_t generation_ = 1;
  std::vector<Pending> waiting_;
  bool writing_ = false;
  bool failed_ = false;
  bool rewrite_failed_ = false;
  std::unique_ptr<io::Worker> worker_;
};

}  // namespace polylog::storage
