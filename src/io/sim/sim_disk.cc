#include "io/sim/sim_disk.h"

#include <algorithm>
#include <cstring>

namespace polylog::io {

namespace {

using base::ErrorCode;
using base::Result;

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::unexpected<base::Error> not_found(const std::string& path) {
  return base::fail(ErrorCode::kNotFound, path + ": no such file");
}

}  // namespace

class SimFile final : public File {
 public:
  SimFile(SimDisk& disk, std::string path, SimDisk::InodePtr inode, bool holds_lock)
      : disk_(disk),
        path_(std::move(path)),
        inode_(std::move(inode)),
        incarnation_(disk.incarnation_),
        holds_lock_(holds_lock) {}
  ~SimFile() override {
    if (holds_lock_ && incarnation_ == disk_.incarnation_) disk_.locks_.erase(path_);
  }

  Result<> read_at(base::MutView out, uint64_t offset) override;
  Result<> write_at(std::span<const base::View> pieces, uint64_t offset) override;
  Result<> sync_data() override;
  Result<uint64_t> size() override {
    TRY(check_alive());
    return inode_->current.size();
  }
  Result<> truncate(uint64_t size) override;
  Result<> fill_with_zeros(uint64_t size, ZeroPace pace) override;
  Result<> allocate(uint64_t size) override;

 private:
  Result<> check_alive() const {
    if (incarnation_ == disk_.incarnation_) return {};
    return fail("opened before a crash");
  }
  std::unexpected<base::Error> fail(std::string_view why) const {
    return base::fail(ErrorCode::kIo, path_ + ": " + std::string(why));
  }
  void write(std::vector<uint8_t> bytes, uint64_t offset);
  void write_part(std::vector<uint8_t> bytes, uint64_t offset);

  SimDisk& disk_;
  const std::string path_;
  const SimDisk::InodePtr inode_;
  const uint64_t incarnation_;
  const bool holds_lock_;
};

Result<> SimFile::read_at(base::MutView out, uint64_t offset) {
  TRY(check_alive());
  ++disk_.counts_.reads;
  if (disk_.random_.chance(disk_.faults.read_error)) {
    ++disk_.counts_.read_errors;
    return fail("injected read error");
  }
  const auto& bytes = inode_->current;
  if (offset > bytes.size() || out.size() > bytes.size() - offset) return fail("short read");
  if (disk_.random_.chance(disk_.faults.short_read)) {
    ++disk_.counts_.short_reads;
    return fail("short read (injected)");
  }
  if (!out.empty()) std::memcpy(out.data(), bytes.data() + offset, out.size());
  return {};
}

Result<> SimFile::write_at(std::span<const base::View> pieces, uint64_t offset) {
  TRY(check_alive());
  ++disk_.counts_.writes;
  std::vector<uint8_t> bytes;
  for (const base::View piece : pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
  if (bytes.empty()) return {};
  if (disk_.random_.chance(disk_.faults.write_error)) {
    ++disk_.counts_.write_errors;
    write_part(std::move(bytes), offset);
    return fail("injected write error");
  }
  if (!disk_.has_room_for(*inode_, offset + bytes.size())) {
    ++disk_.counts_.disk_full;
    if (disk_.random_.chance(0.5)) write_part(std::move(bytes), offset);
    return base::fail(ErrorCode::kDiskFull, path_ + ": no space left on the simulated disk");
  }
  write(std::move(bytes), offset);
  return {};
}

void SimFile::write(std::vector<uint8_t> bytes, uint64_t offset) {
  inode_->unsynced.push_back({.offset = offset, .bytes = std::move(bytes)});
  SimDisk::apply(inode_->current, inode_->unsynced.back());
}

void SimFile::write_part(std::vector<uint8_t> bytes, uint64_t offset) {
  bytes.resize(disk_.random_.below(bytes.size()));
  if (!bytes.empty() && disk_.has_room_for(*inode_, offset + bytes.size())) write(std::move(bytes), offset);
}

Result<> SimFile::sync_data() {
  TRY(check_alive());
  ++disk_.counts_.syncs;
  if (disk_.faults.sync_ignored) {
    ++disk_.counts_.syncs_ignored;
    return {};
  }
  auto& unsynced = inode_->unsynced;
  if (disk_.random_.chance(disk_.faults.sync_error)) {
    ++disk_.counts_.sync_errors;
    for (auto& change : unsynced) change.abandoned = true;
    return fail("injected sync error");
  }
  for (size_t i = 0; i < unsynced.size(); ++i) {
    if (unsynced[i].abandoned) continue;
    SimDisk::apply(inode_->synced, unsynced[i]);
    SimDisk::supersede({unsynced.begin(), unsynced.begin() + static_cast<ptrdiff_t>(i)}, unsynced[i]);
  }
  std::erase_if(unsynced,
                [](const auto& change) { return !change.abandoned || (!change.is_truncate && change.bytes.empty()); });
  return {};
}

// What was abandoned may still reach the disk, but not on top of what was synced after it: there it is made the same.
void SimDisk::supersede(std::span<Change> abandoned, const Change& synced) {
  const uint64_t synced_end = synced.offset + synced.bytes.size();
  for (Change& older : abandoned) {
    if (older.is_truncate) {
      older.offset = synced.is_truncate ? synced.offset : std::max(older.offset, synced_end);
    } else if (synced.is_truncate) {
      older.bytes.resize(std::min<uint64_t>(older.bytes.size(), synced.offset - std::min(synced.offset, older.offset)));
    } else {
      const uint64_t end = std::min(older.offset + older.bytes.size(), synced_end);
      for (uint64_t at = std::max(older.offset, synced.offset); at < end; ++at)
        older.bytes[at - older.offset] = synced.bytes[at - synced.offset];
    }
  }
}

Result<> SimFile::fill_with_zeros(uint64_t size, ZeroPace) {
  const std::vector<uint8_t> zeros(size);
  const base::View view = zeros;
  return write_at({&view, 1}, 0);
}

Result<> SimFile::allocate(uint64_t new_size) {
  TRY_ASSIGN(const uint64_t old_size, size());
  if (new_size <= old_size) return {};
  return truncate(new_size);
}

Result<> SimFile::truncate(uint64_t size) {
  TRY(check_alive());
  if (!disk_.has_room_for(*inode_, size)) {
    ++disk_.counts_.disk_full;
    return base::fail(ErrorCode::kDiskFull, path_ + ": no space left on the simulated disk");
  }
  inode_->unsynced.push_back({.is_truncate = true, .offset = size, .bytes = {}});
  SimDisk::apply(inode_->current, inode_->unsynced.back());
  return {};
}

// ---- names

void SimDisk::apply(Names& names, const NameChange& change) {
  if (!change.from.empty()) names.erase(change.from);
  if (!change.to.empty()) names[change.to] = change.inode;
}

void SimDisk::change_names(NameChange change) {
  apply(names_, change);
  unsynced_names_.push_back(std::move(change));
}

Result<std::unique_ptr<File>> SimDisk::open(const std::string& path, OpenMode mode) {
  auto found = names_.find(path);
  if (found == names_.end()) {
    const bool create = mode == OpenMode::kCreate || mode == OpenMode::kLog;
    if (!create || !directories_.contains(directory_of(path))) return not_found(path);
    change_names({directory_of(path), "", path, std::make_shared<Inode>()});
    found = names_.find(path);
  }
  return std::make_unique<SimFile>(*this, path, found->second, false);
}

Result<std::vector<std::string>> SimDisk::list(const std::string& directory) {
  if (!directories_.contains(directory)) return not_found(directory);
  std::vector<std::string> names;
  const auto add = [&](const std::string& path) {
    if (path != directory && directory_of(path) == directory) names.push_back(path.substr(path.rfind('/') + 1));
  };
  for (const auto& [path, inode] : names_) add(path);
  for (const std::string& path : directories_) add(path);
  std::ranges::sort(names);
  return names;
}

Result<> SimDisk::make_directory(const std::string& path) {
  if (names_.contains(path)) return base::fail(ErrorCode::kIo, path + ": is a file");
  for (std::string at = path; directories_.insert(at).second && at != "." && at != "/";) at = directory_of(at);
  return {};
}

Result<> SimDisk::rename(const std::string& from, const std::string& to) {
  const auto found = names_.find(from);
  if (found == names_.end()) return not_found(from);
  if (!directories_.contains(directory_of(to))) return not_found(to);
  if (from != to) change_names({directory_of(to), from, to, found->second});
  return {};
}

Result<> SimDisk::remove(const std::string& path) {
  if (!names_.contains(path)) return not_found(path);
  change_names({directory_of(path), path, "", nullptr});
  return {};
}

Result<> SimDisk::sync_directory(const std::string& path) {
  if (!directories_.contains(path)) return not_found(path);
  ++counts_.directory_syncs;
  if (faults.sync_ignored) {
    ++counts_.syncs_ignored;
    return {};
  }
  if (random_.chance(faults.sync_error)) {
    ++counts_.sync_errors;
    return base::fail(ErrorCode::kIo, path + ": injected sync error");
  }
  for (const NameChange& change : unsynced_names_) {
    if (change.directory == path) apply(durable_names_, change);
  }
  std::erase_if(unsynced_names_, [&](const NameChange& change) { return change.directory == path; });
  return {};
}

Result<Disk::Space> SimDisk::space(const std::string&) {
  constexpr uint64_t kUnlimitedBytes = 1ull << 40;
  const uint64_t total = std::min(faults.capacity_bytes, kUnlimitedBytes);
  return Space{total, total - std::min(total, used_bytes())};
}

Result<std::unique_ptr<File>> SimDisk::lock(const std::string& path) {
  if (locks_.contains(path)) return base::fail(ErrorCode::kInUse, path + " is locked");
  TRY(open(path, OpenMode::kCreate));
  locks_.insert(path);
  return std::make_unique<SimFile>(*this, path, names_[path], true);
}

// ---- state

uint64_t SimDisk::used_bytes() const {
  uint64_t sum = 0;
  for (const auto& [path, inode] : names_) sum += inode->current.size();
  return sum;
}

bool SimDisk::has_room_for(const Inode& inode, uint64_t end) const {
  if (end <= inode.current.size()) return true;
  const uint64_t used = used_bytes();
  return used <= faults.capacity_bytes && end - inode.current.size() <= faults.capacity_bytes - used;
}

bool SimDisk::flip_bit(const std::string& path, uint64_t offset, unsigned bit) {
  const auto found = names_.find(path);
  if (found == names_.end() || offset >= found->second->current.size()) return false;
  const auto mask = static_cast<uint8_t>(1u << (bit % 8));
  found->second->current[offset] ^= mask;
  if (offset < found->second->synced.size()) found->second->synced[offset] ^= mask;
  ++counts_.bits_flipped;
  return true;
}

bool SimDisk::flip_random_bit(const std::string& path, Random& random) {
  const auto found = names_.find(path);
  if (found == names_.end()) return false;
  return flip_bit(path, random.below(found->second->current.size()), static_cast<unsigned>(random.below(8)));
}

std::string SimDisk::describe() const {
  const auto row = [](const char* name, uint64_t value) {
    return " " + std::string(name) + "=" + std::to_string(value);
  };
  const Counts& c = counts_;
  return "files=" + std::to_string(names_.size()) + row("used_bytes", used_bytes()) + row("reads", c.reads) +
         row("writes", c.writes) + row("syncs", c.syncs) + row("directory_syncs", c.directory_syncs) +
         row("read_errors", c.read_errors) + row("short_reads", c.short_reads) + row("write_errors", c.write_errors) +
         row("sync_errors", c.sync_errors) + row("disk_full", c.disk_full) + row("crashes", c.crashes) +
         row("writes_lost", c.writes_lost) + row("writes_torn", c.writes_torn) + row("writes_kept", c.writes_kept) +
         row("truncates_undone", c.truncates_undone) + row("names_undone", c.names_undone) +
         row("bits_flipped", c.bits_flipped) + row("syncs_ignored", c.syncs_ignored);
}

}  // namespace polylog::io
