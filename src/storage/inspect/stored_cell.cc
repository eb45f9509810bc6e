#include "storage/inspect/stored_cell.h"

#include <fmt/format.h>

#include <charconv>

#include "base/crc32c.h"
#include "storage/wal_files.h"

namespace polylog::storage {
namespace {

std::optional<uint64_t> wal_number(std::string_view name) {
  constexpr std::string_view kPrefix = "wal-";
  uint64_t seq = 0;
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), seq, 16);
  if (WalFiles::name_of(seq) != name) return std::nullopt;
  return seq;
}

std::shared_ptr<io::File> look_up(const std::map<uint64_t, std::shared_ptr<io::File>>& files, uint64_t id) {
  const auto found = files.find(id);
  return found == files.end() ? nullptr : found->second;
}

}  // namespace

base::Result<> StoredCell::open(const Report& report) {
  TRY_ASSIGN(names_, disk_.list(directory_));
  TRY(find_log_file_size());
  for (const std::string& name : names_) {
    if (wal_number(name)) TRY(open_wal_file(name, report));
    if (const auto extent = parse_extent_name(name)) TRY(open_extent(name, *extent, report));
  }
  return {};
}

// All log files of a cell are of one size: what most have is right.
base::Result<> StoredCell::find_log_file_size() {
  std::map<uint64_t, size_t> files_of_size;
  for (const std::string& name : names_) {
    if (!wal_number(name)) continue;
    TRY_ASSIGN(const uint64_t size, disk_.file_bytes(directory_ + "/" + name));
    const size_t files = ++files_of_size[size];
    if (files > files_of_size[file_bytes_]) file_bytes_ = size;
  }
  return {};
}

base::Result<> StoredCell::open_wal_file(const std::string& name, const Report& report) {
  const std::string path = directory_ + "/" + name;
  TRY_ASSIGN(const uint64_t size, disk_.file_bytes(path));
  if (size == file_bytes_) {
    wal_[*wal_number(name)] = open_files_->on_demand(path);
  } else {
    report({.file = path,
            .offset = {},
            .what = fmt::format("{} bytes long, its siblings have {}", size, file_bytes_),
            .lost = {}});
  }
  return {};
}

base::Result<> StoredCell::open_extent(const std::string& file_name, const ExtentName& name, const Report& report) {
  const std::string path = directory_ + "/" + file_name;
  const std::shared_ptr<io::File> file = open_files_->on_demand(path);
  if (!check_extent_head(*file, cell_, name))
    report({.file = path,
            .offset = 0,
            .what = "its head does not verify",
            .lost = {},
            .repair = new_head(*file, path, name)});
  (name.kind == ExtentKind::kPack ? packs_ : segments_)[name.id] = file;
  return {};
}

// All of a head follows from the file's place and name; but a head that is sound is another file's.
std::optional<Repair> StoredCell::new_head(io::File& file, const std::string& path, const ExtentName& name) const {
  if (is_sound_extent_head(file)) return std::nullopt;
  Repair repair{.what = "write its head again, which follows from its name"};
  repair.writes.push_back({path, 0, extent_head(cell_, name)});
  return repair;
}

std::vector<uint64_t> StoredCell::sequence_numbers() const {
  std::vector<uint64_t> numbers;
  for (const auto& [seq, file] : wal_) numbers.push_back(seq);
  return numbers;
}

std::shared_ptr<io::File> StoredCell::file(uint64_t file_seq) const { return look_up(wal_, file_seq); }
std::shared_ptr<io::File> StoredCell::segment(uint64_t id) const { return look_up(segments_, id); }

std::shared_ptr<io::File> StoredCell::file_of(const WalPosition& at) const {
  return in_pack(at) ? look_up(packs_, at.file_seq & ~kPackBit) : file(at.file_seq);
}

std::string StoredCell::name_of(const WalPosition& at) const {
  return directory_ + "/" +
         (in_pack(at) ? to_file_name({ExtentKind::kPack, at.file_seq & ~kPackBit}) : WalFiles::name_of(at.file_seq));
}

std::optional<StoredCell::FoundHeader> StoredCell::header_at(WalPosition at) const {
  const auto source = file(at.file_seq);
  if (!source || at.offset + kSlotHeaderBytes > file_bytes_) return std::nullopt;
  std::array<uint8_t, kSlotHeaderBytes> bytes;
  FoundHeader found;
  if (!source->read_at(bytes, at.offset) || !decode_slot_header(bytes, found.header, found.crc)) return std::nullopt;
  if (found.header.position != at || found.header.cell != cell_) return std::nullopt;
  return found;
}

bool StoredCell::body_verifies(const SlotHeader& header) const {
  const WalPosition at = header.position;
  if (header.body_bytes() > file_bytes_ - at.offset - kSlotHeaderBytes) return false;
  std::vector<uint8_t> body(header.body_bytes());
  return file(at.file_seq)->read_at(body, at.offset + kSlotHeaderBytes) && base::crc32c(body) == header.body_crc;
}

std::optional<WalEnd> StoredCell::slot_at(WalPosition at, const WalEnd& due) const {
  const auto found = header_at(at);
  if (!found) return std::nullopt;
  const SlotHeader& header = found->header;
  const bool is_later = header.seq > due.next_seq && header.lsn >= due.next_lsn && header.epoch >= due.epoch;
  if (!is_later || !body_verifies(header)) return std::nullopt;
  const uint32_t epoch = header.epoch.value - (header.kind == SlotKind::kOpening ? 1 : 0);
  return WalEnd{.position = at,
                .next_seq = header.seq,
                .next_lsn = header.lsn,
                .previous_crc = header.previous_crc,
                .epoch = base::Epoch(epoch)};
}

std::optional<WalEnd> StoredCell::slot_after(WalPosition from, const WalEnd& due) const {
  for (const auto& [seq, source] : wal_) {
    if (seq < from.file_seq) continue;
    for (uint64_t offset = seq == from.file_seq ? from.offset : 0; offset + kSlotHeaderBytes <= file_bytes_;
         offset += base::limits::kBlockBytes) {
      if (const auto found = slot_at({seq, offset}, due)) return found;
    }
  }
  return std::nullopt;
}

}  // namespace polylog::storage
