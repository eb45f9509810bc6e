#include "storage/open_files.h"

#include <algorithm>

namespace polylog::storage {
namespace {

class OnDemandFile final : public io::File {
 public:
  OnDemandFile(std::shared_ptr<OpenFiles> files, std::string path) : files_(std::move(files)), path_(std::move(path)) {}

  base::Result<> read_at(base::MutView out, uint64_t offset) override {
    TRY_ASSIGN(const auto file, files_->open(path_));
    return file->read_at(out, offset);
  }
  base::Result<uint64_t> size() override {
    TRY_ASSIGN(const auto file, files_->open(path_));
    return file->size();
  }
  base::Result<std::shared_ptr<File>> open_behind() override { return files_->open(path_); }

  base::Result<> write_at(std::span<const base::View>, uint64_t) override { return refuse(); }
  base::Result<> sync_data() override { return refuse(); }
  base::Result<> truncate(uint64_t) override { return refuse(); }
  base::Result<> fill_with_zeros(uint64_t, io::ZeroPace) override { return refuse(); }
  base::Result<> allocate(uint64_t) override { return refuse(); }

 private:
  base::Result<> refuse() const { return base::fail(base::ErrorCode::kInvalid, path_ + " is open for reading only"); }

  const std::shared_ptr<OpenFiles> files_;
  const std::string path_;
};

}  // namespace

std::shared_ptr<io::File> OpenFiles::on_demand(std::string path) {
  return std::make_shared<OnDemandFile>(shared_from_this(), std::move(path));
}

void OpenFiles::add(const std::string& path, std::unique_ptr<io::File> file) {
  const std::lock_guard lock(mutex_);
  keep(path, std::move(file));
}

base::Result<std::shared_ptr<io::File>> OpenFiles::open(const std::string& path) {
  std::vector<FilePtr> closing;
  {
    const std::lock_guard lock(mutex_);
    if (FilePtr found = find(path)) return found;
    closing = take_surplus(open_max_ - std::min<size_t>(open_max_, 1));  // one more comes
  }
  closing.clear();
  auto opened = disk_.open(path, io::OpenMode::kRead);
  if (!opened && opened.error().code == base::ErrorCode::kOverloaded) {  // others took them: give, and ask again
    {
      const std::lock_guard lock(mutex_);
      closing = take_surplus(0);
    }
    closing.clear();
    opened = disk_.open(path, io::OpenMode::kRead);
  }
  if (!opened) return std::unexpected(opened.error());
  FilePtr file = std::move(*opened);
  const std::lock_guard lock(mutex_);
  if (FilePtr found = find(path)) {  // another thread was faster
    leaving_.push_back(std::move(file));
    return found;
  }
  return keep(path, std::move(file));
}

void OpenFiles::forget(const std::string& path) {
  std::vector<FilePtr> closing;
  const std::lock_guard lock(mutex_);
  if (const auto found = by_path_.find(path); found != by_path_.end()) leave(found->second, closing);
}

void OpenFiles::tidy() {
  std::vector<FilePtr> closing;
  {
    const std::lock_guard lock(mutex_);
    closing = take_surplus(open_max_);
  }
}

OpenFiles::Counts OpenFiles::counts() const {
  const std::lock_guard lock(mutex_);
  return {recent_.size(), leaving_.size()};
}

// Only this hands files out, under the lock: one that nobody else has stays so until the lock is let go.
std::vector<OpenFiles::FilePtr> OpenFiles::take_surplus(size_t kept_max) {
  std::vector<FilePtr> closing;
  const auto idle =
      std::partition(leaving_.begin(), leaving_.end(), [](const FilePtr& f) { return f.use_count() > 1; });
  closing.assign(std::make_move_iterator(idle), std::make_move_iterator(leaving_.end()));
  leaving_.erase(idle, leaving_.end());
  while (recent_.size() > kept_max) leave(std::prev(recent_.end()), closing);
  return closing;
}

OpenFiles::FilePtr OpenFiles::find(const std::string& path) {
  const auto found = by_path_.find(path);
  if (found == by_path_.end()) return nullptr;
  recent_.splice(recent_.begin(), recent_, found->second);
  return recent_.front().second;
}

OpenFiles::FilePtr OpenFiles::keep(const std::string& path, FilePtr file) {
  recent_.emplace_front(path, std::move(file));
  by_path_[path] = recent_.begin();
  return recent_.front().second;
}

void OpenFiles::leave(Recent::iterator at, std::vector<FilePtr>& closing) {
  (at->second.use_count() > 1 ? leaving_ : closing).push_back(std::move(at->second));
  by_path_.erase(at->first);
  recent_.erase(at);
}

}  // namespace polylog::storage
