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
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>

namespace polylog::io {

namespace {

using base::ErrorCode;
using base::Result;

constexpr size_t kPiecesPerCallMax = 1024;  // IOV_MAX
constexpr size_t kDirectAlignBytes = 4096;
constexpr size_t kStagingBytes = 1 << 20;
constexpr size_t kZeroStepBytes = 256 << 10;
constexpr auto kZeroPauseSoon = std::chrono::microseconds(250);
constexpr auto kZeroPauseInTime = std::chrono::microseconds(1500);

std::unexpected<base::Error> fail(std::string_view what, const std::string& path, int error) {
  ErrorCode code = ErrorCode::kIo;
  if (error == ENOSPC || error == EDQUOT) code = ErrorCode::kDiskFull;
  if (error == ENOENT) code = ErrorCode::kNotFound;
  if (error == EWOULDBLOCK) code = ErrorCode::kInUse;
  if (error == EMFILE || error == ENFILE) code = ErrorCode::kOverloaded;
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

// Direct I/O wants aligned memory: pieces are gathered here. One a thread: it stays in the CPU's cache, and a thread writes
// one thing at a time.
base::MutView staging() {
  struct Free {
    void operator()(uint8_t* memory) const { std::free(memory); }
  };
  thread_local std::unique_ptr<uint8_t, Free> memory(
      static_cast<uint8_t*>(std::aligned_alloc(kDirectAlignBytes, kStagingBytes)));
  return {memory.get(), kStagingBytes};
}

class PosixFile final : public File {
 public:
  // `direct_fd` is a second descriptor with O_DIRECT, or -1.
  PosixFile(int fd, int direct_fd, std::string path) : fd_(fd), direct_fd_(direct_fd), path_(std::move(path)) {}
  ~PosixFile() override {
    ::close(fd_);
    if (direct_fd_ >= 0) ::close(direct_fd_);
  }

  Result<> read_at(base::MutView out, uint64_t offset) override {
    while (!out.empty()) {
      const ssize_t got = uninterrupted([&] { return pread(fd_, out.data(), out.size(), static_cast<off_t>(offset)); });
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
    size_t bytes = 0;
    for (const base::View piece : pieces) bytes += piece.size();
    if (direct_fd_ >= 0 && offset % kDirectAlignBytes == 0 && bytes % kDirectAlignBytes == 0)
      return write_direct(pieces, offset);
    buffered_writes_ = true;
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
    if ((buffered_writes_ || !direct_writes_) && uninterrupted([&] { return fdatasync(fd_); }) != 0)
      return fail("cannot sync", path_, errno);
    if (direct_writes_ && uninterrupted([&] { return fdatasync(direct_fd_); }) != 0)
      return fail("cannot sync", path_, errno);
    buffered_writes_ = direct_writes_ = false;
    return {};
  }

  Result<> write_out(uint64_t offset, uint64_t bytes) override {
    constexpr unsigned kThereAndBack = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    const auto call = [&] {
      return sync_file_range(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes), kThereAndBack);
    };
    // A kernel or a file system without it leaves all to sync_data().
    if (uninterrupted(call) == 0 || errno == ENOSYS || errno == EINVAL || errno == ESPIPE) return {};
    return fail("cannot write", path_, errno);
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

  Result<> fill_with_zeros(uint64_t size, ZeroPace pace) override {
    const base::MutView zeros = staging().first(kZeroStepBytes);
    std::ranges::fill(zeros, 0);
    for (uint64_t at = 0; at < size; at += zeros.size()) {
      const base::View step = base::View(zeros).first(std::min<uint64_t>(zeros.size(), size - at));
      TRY(write_at({&step, 1}, at));
      std::this_thread::sleep_for(pace == ZeroPace::kSoon ? kZeroPauseSoon : kZeroPauseInTime);
    }
    return {};
  }

  Result<> allocate(uint64_t size) override {
    int error = EINTR;
    while (error == EINTR) error = posix_fallocate(fd_, 0, static_cast<off_t>(size));
    if (error != 0) return fail("cannot allocate", path_, error);
    return {};
  }

  void prefetch(uint64_t offset, uint64_t bytes) override {
    std::ignore = posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(bytes), POSIX_FADV_WILLNEED);
  }

  int descriptor() const override { return fd_; }

 private:
  Result<> write_direct(std::span<const base::View> pieces, uint64_t offset) {
    direct_writes_ = true;
    const base::MutView staged = staging();
    if (pieces.size() == 1 && pieces.front().data() == staged.data()) return write_aligned(pieces.front(), offset);
    size_t used = 0;
    for (base::View piece : pieces) {
      while (!piece.empty()) {
        const size_t step = std::min(piece.size(), staged.size() - used);
        std::memcpy(staged.data() + used, piece.data(), step);
        used += step;
        piece = piece.subspan(step);
        if (used < staged.size()) continue;
        TRY(write_aligned(staged, offset));
        offset += std::exchange(used, 0);
      }
    }
    return write_aligned(staged.first(used), offset);
  }

  Result<> write_aligned(base::View bytes, uint64_t offset) {
    while (!bytes.empty()) {
      const ssize_t written =
          uninterrupted([&] { return pwrite(direct_fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)); });
      if (written <= 0) return fail("cannot write", path_, written < 0 ? errno : EIO);
      bytes = bytes.subspan(static_cast<size_t>(written));
      offset += static_cast<uint64_t>(written);
    }
    return {};
  }

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
  const int direct_fd_;
  const std::string path_;
  // Which descriptor was written through since the last sync: that one is synced.
  bool buffered_writes_ = false, direct_writes_ = false;
};

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<int> open_fd(const std::string& path, int flags) {
  const int fd = uninterrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, 0640); });
  if (fd < 0) return fail("cannot open", path, errno);
  return fd;
}

int flags_of(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead: return O_RDONLY;
    case OpenMode::kReadWrite: return O_RDWR;
    case OpenMode::kCreate:
    case OpenMode::kLog: return O_RDWR | O_CREAT;
  }
  return O_RDONLY;
}

}  // namespace

Result<std::unique_ptr<File>> PosixDisk::open(const std::string& path, OpenMode mode) {
  TRY_ASSIGN(const int fd, open_fd(path, flags_of(mode)));
  // Where the file system has no direct I/O (tmpfs), the cache is used.
  const int direct_fd = mode == OpenMode::kLog ? open_fd(path, O_RDWR | O_DIRECT).value_or(-1) : -1;
  return std::make_unique<PosixFile>(fd, direct_fd, path);
}

Result<uint64_t> PosixDisk::file_bytes(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return fail("cannot stat", path, errno);
  return static_cast<uint64_t>(status.st_size);
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
    const bool made = mkdir(part.c_str(), 0750) == 0;
    if (!made && errno != EEXIST) return fail("cannot create directory", part, errno);
    if (made) TRY(sync_directory(parent_of(part)));  // else a power cut takes it, and all that lies in it, away
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
  auto opened = open_fd(path, O_RDWR | O_CREAT);
  if (!opened && (errno == EROFS || errno == EACCES)) opened = open_fd(path, O_RDONLY);  // only to look at
  TRY_ASSIGN(const int file, opened);
  auto owned = std::make_unique<PosixFile>(file, -1, path);
  if (uninterrupted([&] { return flock(file, LOCK_EX | LOCK_NB); }) != 0) {
    if (errno != EWOULDBLOCK) return fail("cannot lock", path, errno);
    return base::fail(ErrorCode::kInUse, path + " is locked: another process uses this directory");
  }
  return owned;
}

}  // namespace polylog::io
