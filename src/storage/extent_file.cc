#include "storage/extent_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/crc32c.h"
#include "base/limits.h"
#include "base/wire.h"

namespace polylog::storage {
namespace {

constexpr uint32_t kMagic = 0x46584C50;  // "PLXF"
constexpr uint16_t kVersion = 1;
constexpr size_t kWriteBytes = 256 * base::limits::kKiB;
// Space is asked for ahead of the writes, more as the file grows: where each write asks for its own, ext4 makes and drops
// a block of its extent tree every time, and with `discard` tells the disk so, which delays the syncs of others.
constexpr uint64_t kAheadBytesMin = base::limits::kMiB;
constexpr uint64_t kAheadBytesMax = 16 * base::limits::kMiB;
constexpr std::string_view kSuffix = ".plx";
constexpr std::string_view kTemporary = ".new";

std::string_view prefix_of(ExtentKind kind) {
  switch (kind) {
    case ExtentKind::kPack: return "pack-";
    case ExtentKind::kSegment: return "segment-";
  }
  return "";
}

}  // namespace

std::string to_file_name(const ExtentName& name) {
  return fmt::format("{}{:016x}{}", prefix_of(name.kind), name.id, kSuffix);
}

std::optional<ExtentName> parse_extent_name(std::string_view file_name) {
  for (const ExtentKind kind : {ExtentKind::kPack, ExtentKind::kSegment}) {
    const std::string_view prefix = prefix_of(kind);
    if (!file_name.starts_with(prefix) || !file_name.ends_with(kSuffix)) continue;
    const std::string_view digits = file_name.substr(prefix.size(), file_name.size() - prefix.size() - kSuffix.size());
    ExtentName name{.kind = kind};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), name.id, 16);
    if (error == std::errc{} && end == digits.data() + digits.size() && to_file_name(name) == file_name) return name;
  }
  return std::nullopt;
}

std::vector<uint8_t> extent_head(base::CellId cell, const ExtentName& name) {
  base::Writer out;
  out.u32le(kMagic);
  out.u16le(kVersion);
  out.u8(static_cast<uint8_t>(name.kind));
  out.u8(0);
  out.u16le(cell.value);
  out.u16le(0);
  out.u32le(0);
  out.u64le(name.id);
  out.u32le(0);
  out.u32le(base::crc32c(out.view()));
  return std::move(out.buffer());
}

bool is_sound_extent_head(io::File& file) {
  std::array<uint8_t, kExtentHeadBytes> found;
  if (!file.read_at(found, 0)) return false;
  base::Reader crc(View(found).last(4));
  return crc.u32le() == base::crc32c(View(found).first(kExtentHeadBytes - 4));
}

base::Result<> check_extent_head(io::File& file, base::CellId cell, const ExtentName& name) {
  std::vector<uint8_t> found(kExtentHeadBytes);
  TRY(file.read_at(found, 0));
  if (!base::equal(found, extent_head(cell, name)))
    return base::fail(base::ErrorCode::kCorrupt, to_file_name(name) + ": its head does not verify");
  return {};
}

base::Result<std::unique_ptr<ExtentWriter>> ExtentWriter::create(io::Disk& disk, const std::string& directory,
                                                                 base::CellId cell, const ExtentName& name) {
  std::unique_ptr<ExtentWriter> writer(new ExtentWriter(disk, directory, directory + "/" + to_file_name(name)));
  TRY_ASSIGN(writer->file_, disk.open(writer->path_ + std::string(kTemporary), io::OpenMode::kCreate));
  TRY(writer->file_->truncate(0));
  TRY(writer->append(extent_head(cell, name)));
  return writer;
}

ExtentWriter::~ExtentWriter() {
  if (file_ != nullptr && !published_) std::ignore = disk_.remove(path_ + std::string(kTemporary));
}

base::Result<> ExtentWriter::append(View bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  return buffer_.size() < kWriteBytes ? base::Result<>{} : flush();
}

base::Result<> ExtentWriter::flush() {
  for (View rest = buffer_; !rest.empty();) {
    const View step = rest.first(std::min(rest.size(), kWriteBytes));
    TRY(write(step));
    rest = rest.subspan(step.size());
  }
  buffer_.clear();
  return {};
}

base::Result<> ExtentWriter::write(View bytes) {
  if (written_ + bytes.size() > allocated_) {
    allocated_ = written_ + bytes.size() + std::clamp(written_, kAheadBytesMin, kAheadBytesMax);
    // No room for so much may be room enough: the write will say. What was got of it goes back.
    if (!file_->allocate(allocated_)) TRY(file_->truncate(written_));
  }
  TRY(file_->write_at({&bytes, 1}, written_));
  TRY(file_->write_out(written_, bytes.size()));
  written_ += bytes.size();
  return {};
}

base::Result<std::unique_ptr<io::File>> ExtentWriter::publish() {
  TRY(flush());
  TRY(file_->truncate(written_));
  TRY(file_->sync_data());
  TRY(disk_.rename(path_ + std::string(kTemporary), path_));
  published_ = true;
  auto opened = open_published();
  if (!opened) std::ignore = disk_.remove(path_);  // nobody names it yet
  return opened;
}

base::Result<std::unique_ptr<io::File>> ExtentWriter::open_published() {
  TRY(disk_.sync_directory(directory_));
  return disk_.open(path_, io::OpenMode::kRead);
}

}  // namespace polylog::storage
