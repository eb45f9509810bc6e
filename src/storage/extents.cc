#include "storage/extents.h"

#include <fmt/format.h>

namespace polylog::storage {
namespace {

constexpr size_t kSmallPacksMax = 8;

}  // namespace

Extents::Extents(io::Disk& disk, io::Loop& loop, std::string directory, base::CellId cell)
    : disk_(disk), directory_(std::move(directory)), cell_(cell), worker_(loop.make_worker("extent-remove")) {}

base::Result<> Extents::open_existing() {
  TRY_ASSIGN(const auto names, disk_.list(directory_));
  for (const std::string& file_name : names) {
    if (file_name.ends_with(".plx.new")) {  // a move that a crash interrupted
      TRY(disk_.remove(directory_ + "/" + file_name));
      continue;
    }
    const auto name = parse_extent_name(file_name);
    if (!name) continue;
    next_id_ = std::max(next_id_, name->id + 1);
    TRY_ASSIGN(auto file, disk_.open(directory_ + "/" + file_name, io::OpenMode::kRead));
    if (name->kind == ExtentKind::kPack) {
      TRY_ASSIGN(const uint64_t bytes, file->size());
      add_pack(name->id, std::move(file), bytes);
    } else {
      add_segment(name->id, std::move(file));
    }
  }
  return {};
}

base::Result<> Extents::check_segment(const SegmentRef& segment) const {
  const ExtentName name{ExtentKind::kSegment, segment.extent};
  const auto found = segments_.find(segment.extent);
  if (found == segments_.end())
    return base::fail(base::ErrorCode::kCorrupt, fmt::format("{}/{} is missing", directory_, to_file_name(name)));
  TRY_ASSIGN(const uint64_t bytes, found->second.file->size());
  if (bytes != segment.fences_at + segment.fence_count * uint64_t{40})
    return base::fail(base::ErrorCode::kCorrupt, fmt::format("{}/{} is {} bytes long, not as its partition says",
                                                             directory_, to_file_name(name), bytes));
  return {};
}

void Extents::remove_dead() { release(dead()); }

void Extents::add_pack(uint64_t id, std::unique_ptr<io::File> file, uint64_t bytes) {
  packs_[id] = {.file = std::move(file), .bytes = bytes};
}

void Extents::add_segment(uint64_t id, std::unique_ptr<io::File> file) { segments_[id] = {.file = std::move(file)}; }

std::shared_ptr<io::File> Extents::pack(uint64_t file_seq) const {
  const auto found = packs_.find(file_seq & ~kPackBit);
  return found == packs_.end() ? nullptr : found->second.file;
}

std::shared_ptr<io::File> Extents::segment(uint64_t id) const {
  const auto found = segments_.find(id);
  return found == segments_.end() ? nullptr : found->second.file;
}

void Extents::add_live(uint64_t file_seq, int64_t bytes) { packs_.at(file_seq & ~kPackBit).live_bytes += bytes; }

Extents::Dead Extents::dead() const {
  Dead dead;
  for (const auto& [id, pack] : packs_)
    if (pack.live_bytes == 0) dead.packs.push_back(id);
  for (const auto& [id, segment] : segments_)
    if (segment.bytes == 0) dead.segments.push_back(id);
  return dead;
}

void Extents::release(const Dead& dead) {
  std::vector<std::string> paths;
  for (const uint64_t id : dead.packs)
    if (packs_.erase(id) > 0) paths.push_back(path_of(ExtentKind::kPack, id));
  for (const uint64_t id : dead.segments)
    if (segments_.erase(id) > 0) paths.push_back(path_of(ExtentKind::kSegment, id));
  if (paths.empty()) return;
  worker_->submit(
      [&disk = disk_, paths = std::move(paths)] {
        for (const std::string& path : paths) std::ignore = disk.remove(path);
      },
      [] {});
}

std::vector<uint64_t> Extents::packs_to_empty(uint64_t small_bytes) const {
  std::vector<uint64_t> sparse, small;
  for (const auto& [id, pack] : packs_) {
    const auto live_bytes = static_cast<uint64_t>(pack.live_bytes);
    if (live_bytes == 0) continue;
    if (live_bytes * 2 < pack.bytes) {
      sparse.push_back(id | kPackBit);
    } else if (pack.bytes < small_bytes) {
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
