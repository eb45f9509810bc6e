// Disk and File: the only way polylog touches stored bytes. io/posix_disk.h implements them with libc calls (so that fault
// shims can sit underneath), io/sim/sim_disk.h with a memory image that can lose, tear and corrupt what was not synced.
//
// All calls block: call them from a Worker or at start-up, never on a loop. A File may be used by one thread at a time for
// writing, by any number for reading. Errors: kDiskFull (ENOSPC, EDQUOT), kNotFound (ENOENT), kInUse (locked), kOverloaded
// (no descriptor left: may pass), kIo.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace polylog::io {

// 64 MiB take about a tenth of a second when they are wanted soon, half a second else.
enum class ZeroPace : uint8_t { kSoon, kInTime };

class File {
 public:
  virtual ~File() = default;
  // Reads exactly out.size() bytes; a shorter file is kIo ("short read").
  virtual base::Result<> read_at(base::MutView out, uint64_t offset) = 0;
  virtual base::Result<> write_at(std::span<const base::View> pieces, uint64_t offset) = 0;
  virtual base::Result<>
  sync_data() = 0;  // fdatasync: durable when it returns. After an error the file is not to be trusted.
  // Sends bytes that were just written on their way to the disk and waits until they are there, without making them durable.
  // Who writes much and syncs at its end does this at every step: a device that has much to write at once lets the syncs of
  // other files wait for it, 40 ms for 80 MiB. An error is the disk's, and told only here: as if sync_data() had failed.
  virtual base::Result<> write_out(uint64_t /*offset*/, uint64_t /*bytes*/) { return {}; }
  virtual base::Result<uint64_t> size() = 0;
  virtual base::Result<> truncate(uint64_t size) = 0;
  // Writes zeros up to `size`, in small steps with pauses: who syncs other files of the disk meanwhile hardly notices.
  virtual base::Result<> fill_with_zeros(uint64_t size, ZeroPace pace) = 0;
  // Makes the file at least `size` bytes long with blocks reserved on disk: later writes within it need no space.
  virtual base::Result<> allocate(uint64_t size) = 0;
  // Asks the system to have these bytes at hand soon. Only a hint: no error, nothing to wait for.
  virtual void prefetch(uint64_t /*offset*/, uint64_t /*bytes*/) {}
  // Of a file that is opened when it is used: the open one, which stays open while it is held. Blocks. Others: null.
  virtual base::Result<std::shared_ptr<File>> open_behind() { return nullptr; }
  // For io's sockets: the descriptor to send from, or -1 where there is none.
  virtual int descriptor() const { return -1; }
};

// Bytes of a file, to be sent without passing through memory of ours. Keeps the file open. Empty: bytes is 0.
struct FileSpan {
  std::shared_ptr<File> file;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

enum class OpenMode {
  kRead,
  kReadWrite,  // must exist
  kCreate,     // read-write, created empty if missing
  kLog,        // kCreate for a file of large aligned writes, each synced soon: they go past the OS's cache where it can
};

class Disk {
 public:
  virtual ~Disk() = default;
  virtual base::Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual base::Result<uint64_t> file_bytes(const std::string& path) {
    TRY_ASSIGN(const auto file, open(path, OpenMode::kRead));
    return file->size();
  }
  virtual base::Result<std::vector<std::string>> list(const std::string& directory) = 0;  // names, sorted
  virtual base::Result<> make_directory(const std::string& path) = 0;  // and its parents, durably; existing is fine
  virtual base::Result<> rename(const std::string& from,
                                const std::string& to) = 0;  // atomic; durable after sync_directory
  virtual base::Result<> remove(const std::string& path) = 0;
  virtual base::Result<> sync_directory(const std::string& path) = 0;
  struct Space {
    uint64_t total_bytes = 0;
    uint64_t free_bytes = 0;
  };
  virtual base::Result<Space> space(const std::string& path) = 0;
  // Held for the life of the returned File. kInUse when another process holds it.
  virtual base::Result<std::unique_ptr<File>> lock(const std::string& path) = 0;
};

}  // namespace polylog::io
