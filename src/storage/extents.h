// Extents: the packs and segments of one cell that are in use: their files, and what still lives in them.
//
// A pack counts live bytes (rebuilt at start, never stored); a segment lives while its partition names it. What is dead is
// unlinked by a checkpoint that no longer names it, once no read of it is under way; what is being sent from it goes on.
// Files are open while they are used (storage/open_files.h): there may be more of them than descriptors.
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
#include "storage/open_files.h"

namespace polylog::storage {

class Extents {
 public:
  struct Options {
    io::Loop& loop;
    io::Disk& disk;
    std::string directory;
    size_t open_files_max = 0;
  };
  explicit Extents(Options options);

  // Start-up, blocking: finds what is there. After replay: mark what is named, check it, remove the rest.
  base::Result<> open_existing();
  base::Result<> check_segment(const SegmentRef& segment) const;  // kCorrupt: missing or cut off
  bool has_pack(uint64_t file_seq) const { return packs_.contains(file_seq & ~kPackBit); }
  void remove_dead();

  uint64_t take_id() { return next_id_++; }
  void add_pack(uint64_t id, std::unique_ptr<io::File> file, uint64_t bytes);
  void hold_pack(uint64_t id, bool held) { packs_.at(id).held = held; }  // not dead yet: more is to be named in it
  void add_segment(uint64_t id, std::unique_ptr<io::File> file);
  std::shared_ptr<io::File> pack(uint64_t file_seq) const;  // null if unknown
  std::shared_ptr<io::File> segment(uint64_t id) const;

  void add_live(uint64_t file_seq, int64_t bytes, int64_t batches);  // of a pack
  void use_segment(const SegmentRef& segment) { segments_.at(segment.extent).bytes = segment.fences_at; }
  void drop_segment(const SegmentRef& segment) { segments_.at(segment.extent).bytes = 0; }

  // What nothing names any more, and, when no state on disk names it either, its end.
  struct Dead {
    std::vector<uint64_t> packs, segments;
    bool empty() const { return packs.empty() && segments.empty(); }
  };
  Dead dead() const;
  void release(const Dead& dead);
  // Packs that are worth packing again, by file_seq: of which less than half lives, and, once they are many, those that are
  // small in bytes and in batches: what is full by either would only be written again.
  std::vector<uint64_t> packs_to_empty(uint64_t small_bytes, int64_t small_batches) const;

  const OpenFiles& files() const { return *files_; }
  size_t count() const { return packs_.size() + segments_.size(); }
  uint64_t bytes() const;

 private:
  struct Pack {
    std::shared_ptr<io::File> file;
    uint64_t bytes = 0;
    int64_t live_bytes = 0, live_batches = 0;
    bool held = false;
  };
  struct Segment {
    std::shared_ptr<io::File> file;
    uint64_t bytes = 0;  // 0: nobody names it
  };
  struct Released {
    std::string path;
    std::shared_ptr<io::File> file;
  };
  std::string path_of(ExtentKind kind, uint64_t id) const {
    return options_.directory + "/" + to_file_name({kind, id});
  }
  void remove_released();
  void tidy(std::vector<std::string> removed);
  std::shared_ptr<io::File> keep(const std::string& path, std::unique_ptr<io::File> file);

  const Options options_;
  const std::shared_ptr<OpenFiles> files_;
  std::map<uint64_t, Pack> packs_;  // by id
  std::map<uint64_t, Segment> segments_;
  uint64_t next_id_ = 1;
  std::vector<Released> released_;  // not yet removed
  bool tidy_armed_ = false;
  std::unique_ptr<io::Worker> worker_;  // removes and closes files; last
};

}  // namespace polylog::storage
