#include "storage/extents.h"

#include <fmt/format.h>

namespace polylog::storage {
namespace {

constexpr size_t kSmallPacksMax = 8;
constexpr auto kTidyAfter = std::chrono::seconds(1);

}  // namespace

Extents::Extents(Options options)
    : options_(std::move(options)),
      files_(std::make_shared<OpenFiles>(options_.disk, options_.open_files_max)),
      worker_(options_.loop.make_worker("extent-files")) {}

base::Result<> Extents::open_existing() {
  TRY_ASSIGN(const auto names, options_.disk.list(options_.directory));
  for (const std::string& file_name : names) {
    const std::string path = options_.directory + "/" + file_name;
    if (file_name.ends_with(".plx.new")) {  // a move that a crash interrupted
      TRY(options_.disk.remove(path));
      continue;
    }
    const auto name = parse_extent_name(file_name);
    if (!name) continue;
    next_id_ = std::max(next_id_, name->id + 1);
    if (name->kind == ExtentKind::kPack) {
      TRY_ASSIGN(const uint64_t bytes, options_.disk.file_bytes(path));
      packs_[name->id] = {.file = files_->on_demand(path), .bytes = bytes};
    } else {
      segments_[name->id] = {.file = files_->on_demand(path)};
    }
  }
  return {};
}

base::Result<> Extents::check_segment(const SegmentRef& segment) const {
  const ExtentName name{ExtentKind::kSegment, segment.extent};
  const auto found = segments_.find(segment.extent);
  if (found == segments_.end())
    return base::fail(base::ErrorCode::kCorrupt,
                      fmt::format("{}/{} is missing", options_.directory, to_file_name(name)));
  TRY_ASSIGN(const uint64_t bytes, options_.disk.file_bytes(path_of(ExtentKind::kSegment, segment.extent)));
  if (bytes != segment.fences_at + segment.fence_count * uint64_t{40})
    return base::fail(base::ErrorCode::kCorrupt, fmt::format("{}/{} is {} bytes long, not as its partition says",
                                                             options_.directory, to_file_name(name), bytes));
  return {};
}

void Extents::remove_dead() { release(dead()); }

void Extents::add_pack(uint64_t id, std::unique_ptr<io::File> file, uint64_t bytes) {
  packs_[id] = {.file = keep(path_of(ExtentKind::kPack, id), std::move(file)), .bytes = bytes};
}

void Extents::add_segment(uint64_t id, std::unique_ptr<io::File> file) {
  segments_[id] = {.file = keep(path_of(ExtentKind::kSegment, id), std::move(file))};
}

std::shared_ptr<io::File> Extents::keep(const std::string& path, std::unique_ptr<io::File> file) {
  files_->add(path, std::move(file));
  if (files_->counts().open > files_->open_max()) tidy({});
  return files_->on_demand(path);
}

std::shared_ptr<io::File> Extents::pack(uint64_t file_seq) const {
  const auto found = packs_.find(file_seq & ~kPackBit);
  return found == packs_.end() ? nullptr : found->second.file;
}

std::shared_ptr<io::File> Extents::segment(uint64_t id) const {
  const auto found = segments_.find(id);
  return found == segments_.end() ? nullptr : found->second.file;
}

void Extents::add_live(uint64_t file_seq, int64_t bytes, int64_t batches) {
  Pack& pack = packs_.at(file_seq & ~kPackBit);
  pack.live_bytes += bytes;
  pack.live_batches += batches;
}

Extents::Dead Extents::dead() const {
  Dead dead;
  for (const auto& [id, pack] : packs_)
    if (pack.live_bytes == 0 && !pack.held) dead.packs.push_back(id);
  for (const auto& [id, segment] : segments_)
    if (segment.bytes == 0) dead.segments.push_back(id);
  return dead;
}

void Extents::release(const Dead& dead) {
  for (const uint64_t id : dead.packs) {
    const auto found = packs_.find(id);
    if (found == packs_.end()) continue;
    released_.push_back({path_of(ExtentKind::kPack, id), std::move(found->second.file)});
    packs_.erase(found);
  }
  for (const uint64_t id : dead.segments) {
    const auto found = segments_.find(id);
    if (found == segments_.end()) continue;
    released_.push_back({path_of(ExtentKind::kSegment, id), std::move(found->second.file)});
    segments_.erase(found);
  }
  remove_released();
}

// A read that is under way opens the file by its name: it is waited for.
void Extents::remove_released() {
  std::vector<std::string> paths;
  std::erase_if(released_, [&](Released& released) {
    if (released.file.use_count() > 1) return false;
    paths.push_back(std::move(released.path));
    return true;
  });
  if (!paths.empty() || !released_.empty()) tidy(std::move(paths));
}

void Extents::tidy(std::vector<std::string> removed) {
  worker_->submit(
      [&disk = options_.disk, files = files_, removed = std::move(removed)] {
        for (const std::string& path : removed) {
          std::ignore = disk.remove(path);
          files->forget(path);
        }
        files->tidy();
      },
      [this] {
        if (tidy_armed_ || (released_.empty() && files_->counts().leaving == 0)) return;
        tidy_armed_ = true;
        options_.loop.call_at(options_.loop.now() + kTidyAfter, [this] {
          tidy_armed_ = false;
          released_.empty() ? tidy({}) : remove_released();
        });
      });
}

std::vector<uint64_t> Extents::packs_to_empty(uint64_t small_bytes, int64_t small_batches) const {
  std::vector<uint64_t> sparse, small;
  for (const auto& [id, pack] : packs_) {
    const auto live_bytes = static_cast<uint64_t>(pack.live_bytes);
    if (live_bytes == 0) continue;
    if (live_bytes * 2 < pack.bytes) {
      sparse.push_back(id | kPackBit);
    } else if (pack.bytes < small_bytes && pack.live_batches < small_batches) {
      small.push_back(id | kPackBit);
    }
  }
  if (small.size() >= kSmallPacksMax) sparse.insert(sparse.end(), small.begin(), small.end());
  return sparse;
}

uint64_t Extents::bytes() const {
  uint64_t bytes = 0;
  for (const auto& [id, pack] : packs_) bytes += pack.bytes;
  for (const auto& [id, segment] : segments_) bytes += segment.bytes;
  return bytes;
}

}  // namespace polylog::storage
