#include "storage/inspect/repairs.h"

#include <array>

#include "base/crc32c.h"

namespace polylog::storage {
namespace {

std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

// How a crc's inner state goes on over a zero byte.
uint32_t after_zero_byte(uint32_t state) {
  const uint8_t zero = 0;
  return ~base::crc32c({&zero, 1}, ~state);
}

}  // namespace

base::Result<> apply(io::Disk& disk, const Repair& repair) {
  for (const Repair::Write& write : repair.writes) {
    TRY_ASSIGN(const auto file, disk.open(write.file, io::OpenMode::kReadWrite));
    const base::View bytes = write.bytes;
    TRY(file->write_at({&bytes, 1}, write.offset));
    TRY(file->sync_data());
  }
  if (repair.cut) {
    TRY_ASSIGN(const auto file, disk.open(repair.cut->file, io::OpenMode::kReadWrite));
    TRY(file->truncate(repair.cut->size));
    TRY(file->sync_data());
  }
  for (const std::string& path : repair.removes) {
    if (const auto removed = disk.remove(path); !removed && removed.error().code != base::ErrorCode::kNotFound)
      return removed;
    TRY(disk.sync_directory(directory_of(path)));
  }
  return {};
}

// A crc is linear: what a flipped bit does to it depends on its place alone. So the eight bits of each byte are followed
// from the end to the front, a zero byte a step.
std::optional<size_t> find_flipped_bit(base::View bytes, uint32_t crc, uint32_t before) {
  const uint32_t difference = base::crc32c(bytes, before) ^ crc;
  std::array<uint32_t, 8> effects{};
  for (uint32_t bit = 0; bit < 8; ++bit) effects[bit] = after_zero_byte(uint32_t{1} << bit);
  for (size_t at = bytes.size(); at-- > 0;) {
    for (uint32_t bit = 0; bit < 8; ++bit)
      if (effects[bit] == difference) return at * 8 + bit;
    for (uint32_t& effect : effects) effect = after_zero_byte(effect);
  }
  return std::nullopt;
}

void flip_bit(base::MutView bytes, size_t bit) { bytes[bit / 8] ^= static_cast<uint8_t>(1u << (bit % 8)); }

}  // namespace polylog::storage
