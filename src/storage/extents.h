// Extents: the packs and segments of one cell that are in use: their files, and what still lives in them.
//
// A pack counts live bytes (rebuilt at start, never stored); a segment lives while its partition names it. What is dead is
// unlinked by a checkpoint that no longer names it; a reader that has it open goes on reading.
// Owned by the cell's core.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/disk.h"
#include "io/loop.h"
#include "storage/batch_ref.h"
#include "storage/extent_file.h"

namespace polylog::storage {

class Extents {
 public:
  Extents(io::Disk& disk, io::Loop& loop, std::string directory, base::CellId cell);

  // Start-up, blocking: opens what is there. After replay: mark what is named, check it, remove the rest.
  base::Result<> open_existing();
  base::Result<> check_segment(const SegmentRef& segment) const;  // kCorrupt: missing or cut off
  bool has_pack(uint64_t file_seq) const { return packs_.contains(file_seq & ~kPackBit); }
  void remove_dead();

  uint64_t take_id() { return next_id_++; }
  void add_pack(uint64_t id, std::unique_ptr<io::File> file, uint64_t bytes);
  void add_segment(uint64_t id, std::unique_ptr<io::File> file);
  std::shared_ptr<io::File> pack(uint64_t file_seq) const;  // null if unknown
  std::shared_ptr<io::File> segment(uint64_t id) const;

  void add_live(uint64_t file_seq, int64_t bytes);  // of a pack
  void use_segment(const SegmentRef& segment) { segments_.at(segment.extent).bytes = segment.fences_at; }
  void drop_segment(const SegmentRef& segment) { segments_.at(segment.extent).bytes = 0; }

  // What nothing names any more, and, when no state on disk names it either, its end.
  struct Dead {
    std::vector<uint64_t> packs, segments;
    bool empty() const { return packs.empty() && segments.empty(); }
  };
  Dead dead() const;
  void release(const Dead& dead);
  // Packs that are worth packing again, by file_seq: of which less than half lives, and small ones once they are many.
  std::vector<uint64_t> packs_to_empty(uint64_t small_bytes) const;

  size_t count() const { return packs_.size() + segments_.size(); }
  uint64_t bytes() const;

 private:
  struct Pack {
    std::shared_ptr<io::File> file;
    uint64_t bytes = 0;
    int64_t live_bytes = 0;
  };
  struct Segment {
    std::shared_ptr<io::File> file;
    uint64_t bytes = 0;  // 0: nobody names it
  };
  std::string path_of(ExtentKind kind, uint64_t id) const { return directory_ + "/" + to_file_name({kind, id}); }

  io::Disk& disk_;
  const std::string directory_;
  const base::CellId cell_;
  std::map<uint64_t, Pack> packs_;  // by id
  std::map<uint64_t, Segment> segments_;
  uint64_t next_id_ = 1;
  std::unique_ptr<io::Worker> worker_;  // removes files; last
};

}  // namespace polylog::storage
