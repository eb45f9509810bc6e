// OpenFiles: files that are only read, open while they are used and for as long as the limit allows: the least recently
// used are closed first. So a cell has as many files as its data needs, and no more descriptors than it may have.
//
// Closing the last descriptor of a removed file frees its blocks, which takes long: so nobody but this closes a file. One
// that is in use when it should go (a socket is being sent from it) is kept until nobody has it, and counts as `leaving`.
// Any thread; opens and closes in open(), forget() and tidy(): file threads call those, and start-up, never a core.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/disk.h"

namespace polylog::storage {

class OpenFiles : public std::enable_shared_from_this<OpenFiles> {
 public:
  OpenFiles(io::Disk& disk, size_t open_max) : disk_(disk), open_max_(open_max) {}

  // A file that is there and opens when it is read. Costs no descriptor until then.
  std::shared_ptr<io::File> on_demand(std::string path);
  // Opened elsewhere, so it need not be opened again. Closes nothing, so the limit may be passed until tidy().
  void add(const std::string& path, std::unique_ptr<io::File> file);

  base::Result<std::shared_ptr<io::File>> open(const std::string& path);  // kOverloaded: no descriptor left
  void forget(const std::string& path);                                   // it was removed, or has another name
  void tidy();                                                            // closes what is too much

  struct Counts {
    size_t open = 0, leaving = 0;
  };
  Counts counts() const;
  size_t open_max() const { return open_max_; }

 private:
  using FilePtr = std::shared_ptr<io::File>;
  using Recent = std::list<std::pair<std::string, FilePtr>>;
  std::vector<FilePtr> take_surplus(size_t kept_max);  // to be destroyed without the lock
  FilePtr find(const std::string& path);
  FilePtr keep(const std::string& path, FilePtr file);
  void leave(Recent::iterator at, std::vector<FilePtr>& closing);

  io::Disk& disk_;
  const size_t open_max_;
  mutable std::mutex mutex_;
  Recent recent_;  // newest first
  std::unordered_map<std::string, Recent::iterator> by_path_;
  std::vector<FilePtr> leaving_;
};

}  // namespace polylog::storage
