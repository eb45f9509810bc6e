// What a crash does to a SimDisk.
#include <algorithm>
#include <unordered_map>

#include "io/sim/sim_disk.h"

namespace polylog::io {

namespace {

constexpr size_t kSectorBytes = 512;
constexpr size_t kPageBytes = 4096;

void grow(std::vector<uint8_t>& image, uint64_t size) {
  if (image.size() < size) image.resize(size);
}

}  // namespace

void SimDisk::apply(std::vector<uint8_t>& image, const Change& change) {
  if (change.is_truncate) return image.resize(change.offset);
  grow(image, change.offset + change.bytes.size());
  std::ranges::copy(change.bytes, image.begin() + static_cast<ptrdiff_t>(change.offset));
}

void SimDisk::crash(Random& random) {
  ++counts_.crashes;
  ++incarnation_;
  locks_.clear();
  crash_names(random);
  std::set<Inode*> done;  // only to visit each once: the order is that of the names
  for (const auto& [path, inode] : names_) {
    if (done.insert(inode.get()).second) crash_inode(*inode, random);
  }
}

// Of each directory a prefix of what was changed since its last sync.
void SimDisk::crash_names(Random& random) {
  std::map<std::string, uint64_t> kept;
  for (const NameChange& change : unsynced_names_) ++kept[change.directory];
  for (auto& [directory, count] : kept) count = random.below(count + 1);
  for (const NameChange& change : unsynced_names_) {
    if (kept[change.directory] > 0) {
      --kept[change.directory];
      apply(durable_names_, change);
    } else {
      ++counts_.names_undone;
    }
  }
  unsynced_names_.clear();
  names_ = durable_names_;
}

// Truncates are metadata and reach the disk in order; the writes between two of them do not.
void SimDisk::crash_inode(Inode& inode, Random& random) {
  std::vector<uint8_t> image = inode.synced;
  const std::span<const Change> changes = inode.unsynced;
  bool truncates_survive = true;
  for (size_t begin = 0; begin < changes.size();) {
    if (changes[begin].is_truncate) {
      truncates_survive = truncates_survive && random.chance(0.5);
      if (truncates_survive)
        apply(image, changes[begin]);
      else
        ++counts_.truncates_undone;
      ++begin;
      continue;
    }
    size_t end = begin;
    while (end < changes.size() && !changes[end].is_truncate) ++end;
    crash_writes(image, changes.subspan(begin, end - begin), random);
    begin = end;
  }
  inode.current = image;
  inode.synced = std::move(image);
  inode.unsynced.clear();
}

// Each sector ends as some later or earlier version of itself: the one up to the last write that survived in it.
void SimDisk::crash_writes(std::vector<uint8_t>& image, std::span<const Change> writes, Random& random) {
  const size_t unit = random.chance(0.5) ? kSectorBytes : kPageBytes;
  const double lost = 0.25 * static_cast<double>(random.below(4)), torn = 0.5 * (1 - lost);
  std::unordered_map<uint64_t, size_t> last_survivor;  // by unit; looked up only, so that its order does not matter
  for (size_t i = 0; i < writes.size(); ++i) {
    const Change& write = writes[i];
    const bool is_lost = random.chance(lost), is_torn = !is_lost && random.chance(torn);
    ++(is_lost ? counts_.writes_lost : is_torn ? counts_.writes_torn : counts_.writes_kept);
    if (is_lost) {
      if (random.chance(0.25)) grow(image, write.offset + write.bytes.size());  // the size survived, the bytes did not
      continue;
    }
    const uint64_t last = (write.offset + write.bytes.size() - 1) / unit;
    for (uint64_t at = write.offset / unit; at <= last; ++at) {
      if (!is_torn || random.chance(0.5)) last_survivor[at] = i;
    }
  }
  for (size_t i = 0; i < writes.size(); ++i) {
    const Change& write = writes[i];
    const uint64_t end = write.offset + write.bytes.size();
    for (uint64_t from = write.offset; from < end;) {
      const uint64_t to = std::min<uint64_t>(end, (from / unit + 1) * unit);
      const auto survivor = last_survivor.find(from / unit);
      if (survivor != last_survivor.end() && i <= survivor->second) {
        grow(image, to);
        std::copy(write.bytes.begin() + static_cast<ptrdiff_t>(from - write.offset),
                  write.bytes.begin() + static_cast<ptrdiff_t>(to - write.offset),
                  image.begin() + static_cast<ptrdiff_t>(from));
      }
      from = to;
    }
  }
}

}  // namespace polylog::io
