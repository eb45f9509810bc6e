#include "io/posix_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace polylog::io {

namespace {

using base::ErrorCode;
using base::Result;

constexpr size_t kPiecesPerCallMax = 1024;  // IOV_MAX

std::unexpected<base::Error> fail(std::string_view what, const std::string& path, int error) {
  ErrorCode code = ErrorCode::kIo;
  if (error == ENOSPC || error == EDQUOT) code = ErrorCode::kDiskFull;
  if (error == ENOENT) code = ErrorCode::kNotFound;
  if (error == EWOULDBLOCK) code = ErrorCode::kInUse;
  return base::fail(code, std::string(what) + " " + path + ": " + std::strerror(error));
}

// Repeats a call that a signal interrupted. Not for close(), which must not be repeated.
template <typename Call>
auto uninterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

class PosixFile final : public File {
 public:
  PosixFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~PosixFile() override { ::close(fd_); }

  Result<> read_at(base::MutView out, uint64_t offset) override {
    while (!out.empty()) {
      const ssize_t got =
          uninterrupted([&] { return pread(fd_, out.data(), out.size(), static_cast<off_t>(offset)); });
      if (got < 0) return fail("cannot read", path_, errno);
      if (got == 0) {
        return base::fail(ErrorCode::kIo, "short read of " + path_ + ": " + std::to_string(out.size()) +
                                              " bytes missing at " + std::to_string(offset));
      }
      out = out.subspan(static_cast<size_t>(got));
      offset += static_cast<uint64_t>(got);
    }
    return {};
  }

  Result<> write_at(std::span<const base::View> pieces, uint64_t offset) override {
    std::vector<iovec> vectors;
    vectors.reserve(pieces.size());
    for (const base::View piece : pieces) {
      if (!piece.empty()) vectors.push_back({const_cast<uint8_t*>(piece.data()), piece.size()});
    }
    std::span<iovec> rest = vectors;
    while (!rest.empty()) {
      const int count = static_cast<int>(std::min(rest.size(), kPiecesPerCallMax));
      const ssize_t written =
          uninterrupted([&] { return pwritev(fd_, rest.data(), count, static_cast<off_t>(offset)); });
      if (written < 0) return fail("cannot write", path_, errno);
      if (written == 0) return fail("cannot write", path_, EIO);
      offset += static_cast<uint64_t>(written);
      rest = after(rest, static_cast<size_t>(written));
    }
    return {};
  }

  Result<> sync_data() override {
    // Not repeated on any error but EINTR: the kernel drops what it could not write and then reports success.
    if (uninterrupted([&] { return fdatasync(fd_); }) != 0) return fail("cannot sync", path_, errno);
    return {};
  }

  Result<uint64_t> size() override {
    struct stat status{};
    if (fstat(fd_, &status) != 0) return fail("cannot stat", path_, errno);
    return static_cast<uint64_t>(status.st_size);
  }

  Result<> truncate(uint64_t size) override {
    if (uninterrupted([&] { return ftruncate(fd_, static_cast<off_t>(size)); }) != 0) {
      return fail("cannot truncate", path_, errno);
    }
    return {};
  }

 private:
  static std::span<iovec> after(std::span<iovec> vectors, size_t written) {
    while (!vectors.empty() && written >= vectors.front().iov_len) {
      written -= vectors.front().iov_len;
      vectors = vectors.subspan(1);
    }
    if (written > 0) {
      vectors.front().iov_base = static_cast<uint8_t*>(vectors.front().iov_base) + written;
      vectors.front().iov_len -= written;
    }
    return vectors;
  }

  const int fd_;
  const std::string path_;
};

Result<int> open_fd(const std::string& path, int flags) {
  const int fd = uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0640); });
  if (fd < 0) return fail("cannot open", path, errno);
  return fd;
}

int flags_of(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead: return O_RDONLY;
    case OpenMode::kReadWrite: return O_RDWR;
    case OpenMode::kCreate: return O_RDWR | O_CREAT;
  }
  return O_RDONLY;
}

}  // namespace

Result<std::unique_ptr<File>> PosixDisk::open(const std::string& path, OpenMode mode) {
  TRY_ASSIGN(const int fd, open_fd(path, flags_of(mode)));
  return std::make_unique<PosixFile>(fd, path);
}

Result<std::vector<std::string>> PosixDisk::list(const std::string& directory) {
  DIR* stream = opendir(directory.c_str());
  if (stream == nullptr) return fail("cannot list", directory, errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(stream)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  closedir(stream);
  if (error != 0) return fail("cannot list", directory, error);
  std::ranges::sort(names);
  return names;
}

Result<> PosixDisk::make_directory(const std::string& path) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), 0750) != 0 && errno != EEXIST) return fail("cannot create directory", part, errno);
    if (end == std::string::npos) break;
  }
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return fail("cannot stat", path, errno);
  if (!S_ISDIR(status.st_mode)) return fail("cannot create directory", path, ENOTDIR);
  return {};
}

Result<> PosixDisk::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return fail("cannot rename", from + " to " + to, errno);
  return {};
}

Result<> PosixDisk::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return fail("cannot remove", path, errno);
  return {};
}

Result<> PosixDisk::sync_directory(const std::string& path) {
  TRY_ASSIGN(const int fd, open_fd(path, O_RDONLY | O_DIRECTORY));
  const int result = uninterrupted([&] { return fsync(fd); });
  const int error = errno;
  ::close(fd);
  if (result != 0) return fail("cannot sync directory", path, error);
  return {};
}

Result<Disk::Space> PosixDisk::space(const std::string& path) {
  struct statvfs status{};
  if (uninterrupted([&] { return statvfs(path.c_str(), &status); }) != 0) return fail("cannot stat", path, errno);
  return Space{status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize};
}

Result<std::unique_ptr<File>> PosixDisk::lock(const std::string& path) {
  TRY_ASSIGN(auto file, open_fd(path, O_RDWR | O_CREAT));
  auto owned = std::make_unique<PosixFile>(file, path);
  if (uninterrupted([&] { return flock(file, LOCK_EX | LOCK_NB); }) != 0) {
    if (errno != EWOULDBLOCK) return fail("cannot lock", path, errno);
    return base::fail(ErrorCode::kInUse, path + " is locked: another process uses this directory");
  }
  return owned;
}

}  // namespace polylog::io
