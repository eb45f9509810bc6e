// copy_directory: a directory of files and directories of files, copied whole and synced; links are followed. Shares
// blocks where the file system can (FICLONE), else lets the kernel copy. Blocking; for tools.
// Errors: kExists: `to` is there and not empty. kInvalid: `to` lies in `from`, or `from` holds something else, a pipe for
// example. kDiskFull, kIo, kNotFound.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace polylog::io {

struct CopyOptions {
  std::string from, to;
  std::string_view leave_out;  // a file of `from` itself
  std::string_view last;       // likewise: copied when all others are safe, so that half a copy lacks it
  std::function<void(uint64_t bytes)> progress = [](uint64_t) {};  // so many more were copied
};

base::Result<> copy_directory(const CopyOptions& options);

}  // namespace polylog::io
