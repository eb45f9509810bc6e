// Extent files: where stored batches move to when they outlive the WAL. Written once, front to back, by a worker; never
// changed, only unlinked. docs/formats/extents.md is the prose twin.
//
//   pack-<16 hex>.plx      batches of many partitions; the partitions' own state says where each lies
//   segment-<16 hex>.plx   consecutive batches of one partition and an index of them (storage/segment.h)
//
// Both begin with a head of 32 bytes (little-endian):
//    0 magic u32 'PLXF'   4 version u16   6 kind u8 (1 pack, 2 segment)   7 zero u8
//    8 cell u16          10 zero u16     12 zero u32   16 id u64   24 zero u32   28 crc32c of bytes 0..27 u32
// then batches, one behind the other, as they lay in the WAL.
//
// An id is not used twice while a process runs, nor while any state names it. A file counts when a durable mutation names it; what no mutation names is a
// leftover of a crash and is removed at start.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "io/disk.h"

namespace polylog::storage {

using base::View;

inline constexpr size_t kExtentHeadBytes = 32;

enum class ExtentKind : uint8_t { kPack = 1, kSegment = 2 };

struct ExtentName {
  ExtentKind kind = ExtentKind::kPack;
  uint64_t id = 0;
};
std::string to_file_name(const ExtentName& name);
std::optional<ExtentName> parse_extent_name(std::string_view file_name);

// Checks the head of a file that is there. kCorrupt: it is not what its name says.
base::Result<> check_extent_head(io::File& file, base::CellId cell, const ExtentName& name);

std::vector<uint8_t> extent_head(base::CellId cell, const ExtentName& name);
bool is_sound_extent_head(io::File& file);  // whosever it is

// Writes one extent file on a worker. Bytes are gathered to writes of 256 KiB, each sent out at once, so that no sync, of
// this file or of another, has much to wait for. Nothing counts before publish().
class ExtentWriter {
 public:
  static base::Result<std::unique_ptr<ExtentWriter>> create(io::Disk& disk, const std::string& directory,
                                                            base::CellId cell, const ExtentName& name);
  ~ExtentWriter();  // an unpublished file is removed

  base::Result<> append(View bytes);
  uint64_t size() const { return written_ + buffer_.size(); }  // where the next byte goes
  // Syncs, gives the file its name durably, and opens it for reading.
  base::Result<std::unique_ptr<io::File>> publish();

 private:
  ExtentWriter(io::Disk& disk, std::string directory, std::string path)
      : disk_(disk), directory_(std::move(directory)), path_(std::move(path)) {}
  base::Result<> flush();
  base::Result<> write(View bytes);
  base::Result<std::unique_ptr<io::File>> open_published();

  io::Disk& disk_;
  std::string directory_, path_;
  std::unique_ptr<io::File> file_;
  std::vector<uint8_t> buffer_;
  uint64_t written_ = 0, allocated_ = 0;
  bool published_ = false;
};

}  // namespace polylog::storage
