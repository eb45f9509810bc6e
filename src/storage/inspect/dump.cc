#include "storage/inspect/dump.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/crc32c.h"
#include "storage/inspect/describe.h"
#include "storage/inspect/findings.h"
#include "storage/local_meta_store.h"
#include "storage/segment.h"
#include "storage/wal_files.h"

namespace polylog::storage {
namespace {

std::string name_in(const std::string& path) { return path.substr(path.rfind('/') + 1); }

class Dump {
 public:
  explicit Dump(const DumpOptions& options) : options_(options) {}

  base::Result<> run() {
    std::string name = name_in(options_.path);
    if (name.ends_with(".new")) name.resize(name.size() - 4);
    TRY_ASSIGN(file_, options_.disk.open(options_.path, io::OpenMode::kRead));
    TRY_ASSIGN(size_, file_->size());
    if (name.starts_with("checkpoint-") && name.ends_with(".plc")) return checkpoint();
    if (name.starts_with("wal-") && name.ends_with(".plw")) return wal();
    if (name == "meta.plm") return meta();
    if (const auto extent = parse_extent_name(name)) {
      TRY(extent_head(*extent));
      return extent->kind == ExtentKind::kPack ? base::Result<>{} : segment(*extent);
    }
    return base::fail(base::ErrorCode::kInvalid,
                      fmt::format("{} is not the name of a WAL file, checkpoint, pack, segment or meta.plm", name));
  }

 private:
  void line(uint64_t offset, std::string_view kind, std::string text) {
    wants_more_ = wants_more_ && options_.line({offset, kind, std::move(text)});
  }

  // --- the log
  base::Result<> wal() {
    std::vector<uint8_t> head;
    bool damage_told = false;  // of the blocks right before
    for (uint64_t at = 0; at + kSlotHeaderBytes <= size_ && wants_more_;) {
      head.resize(std::min<uint64_t>(base::limits::kBlockBytes, size_ - at));
      TRY(file_->read_at(head, at));
      SlotHeader header;
      uint32_t crc = 0;
      if (decode_slot_header(head, header, crc)) {
        TRY_ASSIGN(const bool is_whole, slot(at, header));
        at += is_whole ? header.disk_bytes() : base::limits::kBlockBytes;
        damage_told = false;
        continue;
      }
      const bool is_empty = std::ranges::all_of(head, [](uint8_t byte) { return byte == 0; });
      if (!is_empty && !damage_told) line(at, "damage", "no slot begins here, and it is not empty");
      damage_told = !is_empty;
      at += base::limits::kBlockBytes;
    }
    return {};
  }

  base::Result<bool> slot(uint64_t at, const SlotHeader& header) {
    const bool elsewhere = header.position.offset != at ||
                           !name_in(options_.path).starts_with(WalFiles::name_of(header.position.file_seq));
    line(at, "slot", describe(header) + (elsewhere ? " (left from another place)" : ""));
    std::vector<uint8_t> body(std::min<uint64_t>(header.body_bytes(), size_ - at - kSlotHeaderBytes));
    TRY(file_->read_at(body, at + kSlotHeaderBytes));
    if (body.size() != header.body_bytes() || base::crc32c(body) != header.body_crc) {
      line(at, "damage", "the slot's body does not verify");
      return false;
    }
    const uint64_t mutations_at = at + kSlotHeaderBytes + header.batch_bytes;
    const View mutations = View(body).subspan(header.batch_bytes);
    base::Reader reader(mutations);
    Mutation mutation;
    uint64_t position = mutations_at;
    for (Lsn lsn = header.lsn; next_mutation(reader, mutation) && wants_more_; lsn = lsn.next()) {
      line(position, "mutation", fmt::format("lsn {} {}", lsn.value, describe_any(mutation)));
      position += kMutationHeaderBytes + mutation.payload.size();
    }
    if (!reader.ok()) line(position, "damage", "the mutations do not fill the slot");
    return true;
  }

  std::string describe_any(const Mutation& mutation) const {
    return mutation.type >= MutationType::kFirstOfEngine ? options_.describe_engine_mutation(mutation)
                                                         : describe_mutation(mutation);
  }

  // --- checkpoints
  base::Result<> checkpoint() {
    size_t number = 0;
    const auto head = read_checkpoint(
        options_.disk, options_.path,
        [&](const CheckpointObject& object) -> base::Result<> {
          const std::string what =
              is_of_partition(object) ? describe_partition(object) : options_.describe_engine_object(object);
          line(number++, "object", fmt::format("stamp {} version {} {}", object.stamp.value, object.version, what));
          if (!wants_more_) return base::fail(base::ErrorCode::kStopping);
          return {};
        },
        [&](uint64_t offset, std::string_view what) {
          line(offset, "damage", std::string(what));
          return wants_more_;
        });
    if (!head) return told(head.error());
    const WalEnd& start = head->replay_start;
    line(0, "checkpoint",
         fmt::format("cell {} epoch {} replay from file {:016x} offset {} seq {} lsn {} time {}", head->cell.value,
                     start.epoch.value, start.position.file_seq, start.position.offset, start.next_seq.value,
                     start.next_lsn.value, head->leader_ts.ms));
    return {};
  }

  // Damage is a line; what keeps a file from being read is an error.
  base::Result<> told(const base::Error& error) {
    if (error.code == base::ErrorCode::kStopping) return {};
    if (error.code != base::ErrorCode::kCorrupt) return std::unexpected(error);
    const Finding finding = to_finding(error, "");
    line(finding.offset.value_or(0), "damage", finding.what);
    return {};
  }

  // --- packs and segments
  base::Result<> extent_head(const ExtentName& name) {
    std::vector<uint8_t> head(std::min<uint64_t>(size_, kExtentHeadBytes));
    TRY(file_->read_at(head, 0));
    base::Reader in(head);
    in.skip(8);
    const base::CellId cell(in.u16le());
    const bool sound = in.ok() && check_extent_head(*file_, cell, name).has_value();
    line(0, sound ? "head" : "damage",
         sound ? fmt::format("{} {:016x} cell {} {} B of file", name.kind == ExtentKind::kPack ? "pack" : "segment",
                             name.id, cell.value, size_)
               : std::string("its head does not verify"));
    return {};
  }

  // The last fence says where the fences begin; their own crc is in the partition's state, not in the file.
  base::Result<> segment(const ExtentName& name) {
    if (size_ < kExtentHeadBytes + kSegmentFenceBytes) return {};
    std::vector<uint8_t> last(kSegmentFenceBytes);
    TRY(file_->read_at(last, size_ - last.size()));
    base::Reader in(last);
    in.skip(16);
    const uint64_t position = in.u64le();
    const uint64_t fences_at = position + uint64_t{in.u32le()} * kSegmentEntryBytes;
    if (position > size_ || fences_at >= size_ || (size_ - fences_at) % kSegmentFenceBytes != 0) {
      line(size_ - last.size(), "damage", "the last fence does not lead to the fences");
      return {};
    }
    std::vector<uint8_t> fences(size_ - fences_at);
    TRY(file_->read_at(fences, fences_at));
    SegmentReader::Source source{.ref = {.extent = name.id,
                                         .fences_at = fences_at,
                                         .fence_count = static_cast<uint32_t>(fences.size() / kSegmentFenceBytes),
                                         .fences_crc = base::crc32c(fences)},
                                 .file = file_};
    if (!fences_fit(fences, fences_at)) {
      line(fences_at, "damage", "the fences do not lead to the index");
      return {};
    }
    SegmentReader reader;
    return reader.for_each_block(source, [this](const SegmentReader::IndexBlock& block) { index_block(block); });
  }

  static bool fences_fit(View fences, uint64_t fences_at) {
    base::Reader in(fences);
    while (!in.at_end()) {
      in.skip(16);
      const uint64_t position = in.u64le();
      const uint64_t bytes = uint64_t{in.u32le()} * kSegmentEntryBytes;
      in.skip(12);
      if (position > fences_at || bytes > fences_at - position) return false;
    }
    return in.ok();
  }

  void index_block(const SegmentReader::IndexBlock& block) {
    if (!wants_more_) return;
    line(block.position, "index", fmt::format("{} entries from offset {}", block.entries, block.first.value));
    if (!block.batches) return line(block.position, "damage", to_finding(block.batches.error(), "").what);
    uint64_t at = block.position;
    for (const BatchRef& ref : *block.batches) {
      if (!wants_more_) return;
      line(at, "entry", describe(ref));
      if (!verifies(ref)) line(ref.at.offset, "damage", "a batch does not verify");
      at += kSegmentEntryBytes;
    }
  }

  bool verifies(const BatchRef& ref) const {
    if (ref.at.offset > size_ || ref.bytes > size_ - ref.at.offset) return false;
    std::vector<uint8_t> bytes(ref.bytes);
    return file_->read_at(bytes, ref.at.offset) && base::crc32c(bytes) == ref.crc;
  }

  // --- the meta store
  base::Result<> meta() {
    std::vector<uint8_t> bytes(size_);
    TRY(file_->read_at(bytes, 0));
    MetaScan scan;
    do {
      const auto scanned =
          scan_meta(bytes, options_.path, scan, [this](const MetaTxn& txn, const MetaScan& at) { record(txn, at); });
      if (!scanned) TRY(told(scanned.error()));
      if (scanned && scan.end < size_) line(scan.end, "damage", "a torn write");
    } while (wants_more_ && skip_meta_damage(bytes, scan));
    return {};
  }

  void record(const MetaTxn& txn, const MetaScan& at) {
    line(at.end, "record", fmt::format("sequence {} generation {}", at.next_sequence, at.generation));
    for (const auto& [key, value] : txn.puts)
      line(at.end, "put", fmt::format("{} = {}", key, options_.describe_value(key, value)));
    for (const std::string& key : txn.removes) line(at.end, "remove", key);
  }

  const DumpOptions& options_;
  std::shared_ptr<io::File> file_;
  uint64_t size_ = 0;
  bool wants_more_ = true;
};

}  // namespace

base::Result<> dump_file(const DumpOptions& options) { return Dump(options).run(); }

}  // namespace polylog::storage
