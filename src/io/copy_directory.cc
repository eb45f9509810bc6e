#include "io/copy_directory.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "io/posix_disk.h"

namespace polylog::io {
namespace {

namespace fs = std::filesystem;
using base::ErrorCode;
using base::Result;

constexpr size_t kStepBytes = 64 << 20;   // between two words of progress
constexpr size_t kBufferBytes = 1 << 20;  // where the kernel does not copy

std::unexpected<base::Error> failed(std::string_view what, const fs::path& path, int error) {
  ErrorCode code = ErrorCode::kIo;
  if (error == ENOSPC || error == EDQUOT) code = ErrorCode::kDiskFull;
  if (error == ENOENT) code = ErrorCode::kNotFound;
  if (error == EEXIST) code = ErrorCode::kExists;
  return base::fail(code, std::string(what) + " " + path.string() + ": " + std::strerror(error));
}

class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0640)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

// Bytes copied; 0 at the end; -1 with errno.
ssize_t copy_some(int from, int to, std::vector<char>& buffer) {
  if (buffer.empty()) {
    const ssize_t copied = copy_file_range(from, nullptr, to, nullptr, kStepBytes, 0);
    if (copied >= 0 || (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)) return copied;
    buffer.resize(kBufferBytes);
  }
  const ssize_t got = ::read(from, buffer.data(), buffer.size());
  for (ssize_t done = 0; done < got;) {
    const ssize_t written = ::write(to, buffer.data() + done, static_cast<size_t>(got - done));
    if (written < 0 && errno != EINTR) return -1;
    if (written > 0) done += written;
  }
  return got;
}

Result<> copy_file(const fs::path& from, const fs::path& to, const CopyOptions& options) {
  const Descriptor source(from, O_RDONLY);
  if (source.get() < 0) return failed("cannot open", from, errno);
  const Descriptor target(to, O_WRONLY | O_CREAT | O_EXCL);
  if (target.get() < 0) return failed("cannot create", to, errno);
  struct stat status{};
  if (fstat(source.get(), &status) == 0 && ioctl(target.get(), FICLONE, source.get()) == 0) {
    options.progress(static_cast<uint64_t>(status.st_size));
  } else {
    std::vector<char> buffer;
    for (ssize_t copied = 1; copied != 0;) {
      copied = copy_some(source.get(), target.get(), buffer);
      if (copied < 0 && errno == EINTR) continue;
      if (copied < 0) return failed("cannot copy", from, errno);
      options.progress(static_cast<uint64_t>(copied));
    }
  }
  return fsync(target.get()) == 0 ? Result<>{} : failed("cannot sync", to, errno);
}

Result<> check_target(const CopyOptions& options) {
  std::error_code error;
  const fs::path from = fs::weakly_canonical(options.from, error), to = fs::weakly_canonical(options.to, error);
  const auto [rest, ignored] = std::mismatch(from.begin(), from.end(), to.begin(), to.end());
  if (error || rest == from.end()) return base::fail(ErrorCode::kInvalid, options.to + " lies in " + options.from);
  if (fs::exists(to, error) && !fs::is_empty(to, error))
    return base::fail(ErrorCode::kExists, options.to + " is there, and not empty");
  return {};
}

}  // namespace

Result<> copy_directory(const CopyOptions& options) {
  TRY(check_target(options));
  PosixDisk disk;
  TRY(disk.make_directory(options.to));
  std::vector<std::string> directories{options.to};
  std::error_code error;
  constexpr auto kFollow = fs::directory_options::follow_directory_symlink;
  fs::recursive_directory_iterator entries(options.from, kFollow, error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    const fs::path name = entries->path().lexically_relative(options.from), to = options.to / name;
    if (entries->is_directory(error)) {
      TRY(disk.make_directory(to.string()));
      directories.push_back(to.string());
    } else if (!entries->is_regular_file(error)) {
      return base::fail(ErrorCode::kInvalid, entries->path().string() + " is neither a file nor a directory");
    } else if (name != options.leave_out && name != options.last) {
      TRY(copy_file(entries->path(), to, options));
    }
  }
  if (error) return failed("cannot list", options.from, error.value());
  for (const std::string& directory : directories) TRY(disk.sync_directory(directory));
  if (fs::exists(fs::path(options.from) / options.last, error))
    TRY(copy_file(fs::path(options.from) / options.last, fs::path(options.to) / options.last, options));
  return disk.sync_directory(options.to);
}

}  // namespace polylog::io
