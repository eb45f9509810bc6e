// SimDisk: a disk in memory that behaves as badly as a real one may when power fails. Contract and injected faults:
//
//   crash        what sync_data() covered survives. Of the rest any part may: each write is lost, kept or torn (at 512 B
//                or 4 KiB), and later writes may survive earlier ones. Only what a disk cannot do is left out: a sector
//                that holds a later write's bytes also holds those of earlier writes to it. Growth may survive as zeros
//   names        create, rename and remove may be undone by a crash until sync_directory() of their directory; those of
//                one directory survive as a prefix of their order. Syncing a file does not sync its name
//   truncate     survives as a prefix of the file's truncates, unless synced
//   full disk    capacity_bytes: kDiskFull, now and then after writing a part
//   errors       read, write and sync fail with kIo by chance. A failed write may have written a part. After a failed
//                sync the bytes it was for are never synced again, though reads still show them: as Linux does. What is
//                written to their place afterwards, and synced, stays
//   short read   a read by chance ends early (kIo), though the file is long enough
//   bit rot      flip_bit(): what is stored changes, synced or not
//   sync_ignored sync_data() and sync_directory() report success and do nothing: a planted bug that tests must find
//
// Files that were open at a crash fail from then on, and their locks are gone. File names are compared as written
// (no "..", no symbolic links). One thread only. Not simulated: time, caches, directory permissions.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "io/disk.h"
#include "io/sim/random.h"

namespace polylog::io {

class SimDisk final : public Disk {
 public:
  struct Faults {
    double read_error = 0;  // chances per call
    double short_read = 0;
    double write_error = 0;
    double sync_error = 0;
    uint64_t capacity_bytes = UINT64_MAX;  // of all files together
    bool sync_ignored = false;
  };
  struct Counts {  // of what was injected, and of calls, for reports
    uint64_t reads = 0, writes = 0, syncs = 0, directory_syncs = 0;
    uint64_t read_errors = 0, short_reads = 0, write_errors = 0, sync_errors = 0, disk_full = 0;
    uint64_t crashes = 0, writes_lost = 0, writes_torn = 0, writes_kept = 0, truncates_undone = 0, names_undone = 0;
    uint64_t bits_flipped = 0, syncs_ignored = 0;
  };

  explicit SimDisk(uint64_t seed) : random_(seed) {}

  base::Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  base::Result<std::vector<std::string>> list(const std::string& directory) override;
  base::Result<> make_directory(const std::string& path) override;  // durable at once
  base::Result<> rename(const std::string& from, const std::string& to) override;
  base::Result<> remove(const std::string& path) override;
  base::Result<> sync_directory(const std::string& path) override;
  base::Result<Space> space(const std::string& path) override;
  base::Result<std::unique_ptr<File>> lock(const std::string& path) override;

  Faults faults;  // change at any time
  void crash() { crash(random_); }
  void crash(Random& random);
  bool flip_bit(const std::string& path, uint64_t offset, unsigned bit);  // false: no such byte
  bool flip_random_bit(const std::string& path, Random& random);
  void fill_after(uint64_t bytes) { faults.capacity_bytes = used_bytes() + bytes; }
  uint64_t used_bytes() const;
  const Counts& counts() const { return counts_; }
  std::string describe() const;

 private:
  friend class SimFile;
  struct Change {  // not yet synced
    bool is_truncate = false;
    bool abandoned = false;  // a sync failed on it: no later sync covers it
    uint64_t offset = 0;     // the new size, of a truncate
    std::vector<uint8_t> bytes;
  };
  struct Inode {
    std::vector<uint8_t> current;  // what reads see
    std::vector<uint8_t> synced;   // what a crash cannot take
    std::vector<Change> unsynced;
  };
  using InodePtr = std::shared_ptr<Inode>;
  struct NameChange {
    std::string directory;  // whose sync makes it durable
    std::string from;       // to vanish; may be empty
    std::string to;         // to name `inode`; may be empty
    InodePtr inode;
  };
  using Names = std::map<std::string, InodePtr>;

  static void apply(Names& names, const NameChange& change);
  static void apply(std::vector<uint8_t>& image, const Change& change);
  static void supersede(std::span<Change> abandoned, const Change& synced);
  void change_names(NameChange change);
  bool has_room_for(const Inode& inode, uint64_t end) const;
  void crash_names(Random& random);
  void crash_inode(Inode& inode, Random& random);
  void crash_writes(std::vector<uint8_t>& image, std::span<const Change> writes, Random& random);

  Random random_;
  Names names_;          // as seen now
  Names durable_names_;  // as a crash leaves them at least
  std::vector<NameChange> unsynced_names_;
  std::set<std::string> directories_;
  std::set<std::string> locks_;
  uint64_t incarnation_ = 0;
  Counts counts_;
};

}  // namespace polylog::io
