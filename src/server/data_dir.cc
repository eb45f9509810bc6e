#include "server/data_dir.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/crc32c.h"
#include "base/limits.h"

namespace polylog::server {
namespace {

constexpr uint32_t kFormat = 1;
constexpr std::string_view kIdName = "polylog.id";
constexpr std::string_view kLockName = "polylog.lock";
constexpr std::string_view kCrcKey = "crc = ";
constexpr uint64_t kIdBytesMax = 4 * base::limits::kKiB;

// 16 random bytes as 22 characters of URL-safe base64: what clients expect an identity to look like.
std::string new_cluster_id() {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const base::Uuid id = base::Uuid::random();
  std::string text;
  uint32_t bits = 0;
  int held = 0;
  for (uint8_t byte : id.bytes) {
    bits = (bits << 8) | byte;
    for (held += 8; held >= 6; held -= 6) text += kAlphabet[(bits >> (held - 6)) & 63];
  }
  text += kAlphabet[(bits << (6 - held)) & 63];
  return text;
}

bool parse_number(std::string_view text, uint32_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

std::string DataDir::cell_path(base::CellId cell) const { return fmt::format("{}/cell-{:03}", path_, cell.value); }

base::Result<DataDir> DataDir::open(io::Disk& disk, const std::string& path, uint32_t cells_wanted) {
  DataDir dir;
  dir.path_ = path;
  TRY(disk.make_directory(path));
  TRY_ASSIGN(dir.lock_, take_lock(disk, path));
  const auto known = dir.read_id(disk);
  if (!known && known.error().code == base::ErrorCode::kNotFound) {
    TRY(dir.create(disk, cells_wanted));
    return dir;
  }
  TRY(known);
  return dir;
}

base::Result<DataDir> DataDir::open_to_inspect(io::Disk& disk, const std::string& path) {
  DataDir dir;
  dir.path_ = path;
  TRY_ASSIGN(dir.lock_, lock(disk, path));
  TRY(dir.read_id(disk));
  return dir;
}

base::Result<DataDir> DataDir::open_to_repair(io::Disk& disk, const std::string& path) {
  DataDir dir;
  dir.path_ = path;
  TRY(disk.list(path));
  TRY_ASSIGN(dir.lock_, take_lock(disk, path));
  TRY(dir.read_id(disk));
  return dir;
}

base::Result<std::unique_ptr<io::File>> DataDir::lock(io::Disk& disk, const std::string& path) {
  TRY_ASSIGN(const auto names, disk.list(path));
  // Whoever serves a directory made the lock's file first: without it there is nobody to wait for.
  if (!std::ranges::binary_search(names, kLockName)) return nullptr;
  return take_lock(disk, path);
}

base::Result<std::unique_ptr<io::File>> DataDir::take_lock(io::Disk& disk, const std::string& path) {
  auto lock = disk.lock(fmt::format("{}/{}", path, kLockName));
  if (!lock && lock.error().code == base::ErrorCode::kInUse)
    return base::fail(
        base::ErrorCode::kInUse,
        fmt::format("data directory {} is served by another process; stop it or choose another --data-dir", path));
  return lock;
}

base::Result<> DataDir::read_id(io::Disk& disk) {
  TRY_ASSIGN(const auto file, disk.open(fmt::format("{}/{}", path_, kIdName), io::OpenMode::kRead));
  TRY_ASSIGN(const uint64_t size, file->size());
  std::vector<uint8_t> bytes(std::min(size, kIdBytesMax));
  TRY(file->read_at(bytes, 0));
  return parse(base::as_text(bytes));
}

base::Result<> DataDir::create(io::Disk& disk, uint32_t cells_wanted) {
  cluster_id_ = new_cluster_id();
  cells_ = cells_wanted;
  std::string text = fmt::format("format = {}\ncluster_id = {}\ncells = {}\n", kFormat, cluster_id_, cells_);
  text += fmt::format("{}{:08x}\n", kCrcKey, base::crc32c(base::as_view(text)));
  const std::string final_path = fmt::format("{}/{}", path_, kIdName);
  std::ignore = disk.remove(final_path + ".new");
  TRY_ASSIGN(auto file, disk.open(final_path + ".new", io::OpenMode::kCreate));
  const base::View view = base::as_view(text);
  TRY(file->write_at({&view, 1}, 0));
  TRY(file->sync_data());
  TRY(disk.rename(final_path + ".new", final_path));
  return disk.sync_directory(path_);
}

base::Result<> DataDir::parse(std::string_view text) {
  // The last line is a checksum of those before it; directories of the first builds have none.
  const size_t crc_at = text.rfind(kCrcKey);
  const bool sound =
      crc_at == std::string_view::npos ||
      text.substr(crc_at) == fmt::format("{}{:08x}\n", kCrcKey, base::crc32c(base::as_view(text.substr(0, crc_at))));
  uint32_t format = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const size_t equals = line.find(" = ");
    if (equals == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, equals), value = line.substr(equals + 3);
    if (key == "format") parse_number(value, format);
    if (key == "cells") parse_number(value, cells_);
    if (key == "cluster_id") cluster_id_ = value;
  }
  if (format > kFormat)
    return base::fail(base::ErrorCode::kCorrupt,
                      fmt::format("{}/{}: format {}; this polylog knows up to {}: start a newer one", path_, kIdName,
                                  format, kFormat));
  if (!sound || format == 0 || cells_ == 0 || cells_ > base::limits::kCellsMax || cluster_id_.size() != 22)
    return base::fail(base::ErrorCode::kCorrupt, fmt::format("{}/{} is damaged", path_, kIdName));
  return {};
}

}  // namespace polylog::server
