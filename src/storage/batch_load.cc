#include "storage/batch_load.h"

#include <fmt/format.h>

#include "base/crc32c.h"
#include "storage/extent_file.h"
#include "storage/wal_files.h"

namespace polylog::storage {
namespace {

constexpr uint64_t kGatherBytesMax = base::limits::kMiB;
constexpr uint64_t kGatherGapBytesMax = 64 * base::limits::kKiB;

std::string name_of(const WalPosition& at) {
  return in_pack(at) ? to_file_name({ExtentKind::kPack, at.file_seq & ~kPackBit}) : WalFiles::name_of(at.file_seq);
}

}  // namespace

void BatchLoad::add(StoredBatch batch, std::vector<Piece> pieces, const FileOf& file_of) {
  if (batch.bytes.empty()) {
    for (const Piece& piece : pieces)
      if (auto& file = files_[piece.at.file_seq]; !file) file = file_of(piece.at.file_seq);
    wanted_.push_back({batches_.size(), std::move(pieces)});
  }
  batches_.push_back(std::move(batch));
}

base::Result<base::Slice> BatchLoad::read_run(const Piece& first, uint64_t end_offset) {
  const auto& file = files_.at(first.at.file_seq);
  if (!file) return base::fail(base::ErrorCode::kIo, name_of(first.at) + " is not there any more");
  base::Chunk* chunk = base::Chunk::allocate(end_offset - first.at.offset);
  base::Slice slice(chunk, chunk->data(), chunk->size());
  chunk->unref();
  TRY(file->read_at({chunk->data(), chunk->size()}, first.at.offset));
  return slice;
}

base::Result<> BatchLoad::keep(const Wanted& want, base::Slice bytes) {
  StoredBatch& batch = batches_[want.index];
  if (base::crc32c(bytes.view()) != batch.ref.crc)
    return base::fail(base::ErrorCode::kCorrupt,
                      fmt::format("{} at offset {}: the batch at {} does not verify", name_of(batch.ref.at),
                                  batch.ref.at.offset, batch.ref.base_offset.value));
  batch.bytes = std::move(bytes);
  return {};
}

base::Result<> BatchLoad::read_in_pieces(const Wanted& want) {
  std::vector<uint8_t> whole;
  for (const Piece& piece : want.pieces) {
    TRY_ASSIGN(const base::Slice part, read_run(piece, piece.at.offset + piece.bytes));
    whole.insert(whole.end(), part.data(), part.data() + part.size());
  }
  return keep(want, base::Slice::copy_of(whole));
}

base::Result<> BatchLoad::run() {
  for (size_t first = 0; first < wanted_.size();) {
    if (wanted_[first].pieces.size() > 1) {
      TRY(read_in_pieces(wanted_[first++]));
      continue;
    }
    const Piece& head = wanted_[first].pieces.front();
    uint64_t end = head.at.offset + head.bytes;
    size_t next = first + 1;
    for (; next < wanted_.size(); ++next) {
      const Piece& piece = wanted_[next].pieces.front();
      if (wanted_[next].pieces.size() > 1 || piece.at.file_seq != head.at.file_seq || piece.at.offset < end ||
          piece.at.offset - end > kGatherGapBytesMax ||
          piece.at.offset + piece.bytes - head.at.offset > kGatherBytesMax)
        break;
      end = piece.at.offset + piece.bytes;
    }
    TRY_ASSIGN(const base::Slice span, read_run(head, end));
    for (; first < next; ++first) {
      const Piece& piece = wanted_[first].pieces.front();
      TRY(keep(wanted_[first], span.sub(piece.at.offset - head.at.offset, piece.bytes)));
    }
  }
  return {};
}

}  // namespace polylog::storage
