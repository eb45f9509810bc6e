#include "storage/cold_reads.h"

#include <fmt/format.h>

#include "base/crc32c.h"

namespace polylog::storage {
namespace {

constexpr uint64_t kGatherBytesMax = base::limits::kMiB;
constexpr uint64_t kGatherGapBytesMax = 64 * base::limits::kKiB;

// One batch's place in the work: which of the batches, and its pieces.
struct Wanted {
  size_t index;
  std::vector<Piece> pieces;
};

struct Job {
  std::vector<StoredBatch> batches;
  std::vector<Wanted> wanted;
  std::map<uint64_t, std::shared_ptr<io::File>> files;  // pins
  base::Result<> result;

  base::Result<base::Slice> read_run(const Piece& first, uint64_t end_offset) {
    const auto& file = files.at(first.at.file_seq);
    base::Chunk* chunk = base::Chunk::allocate(end_offset - first.at.offset);
    base::Slice slice(chunk, chunk->data(), chunk->size());
    chunk->unref();
    TRY(file->read_at({chunk->data(), chunk->size()}, first.at.offset));
    return slice;
  }

  base::Result<> keep(const Wanted& want, base::Slice bytes) {
    StoredBatch& batch = batches[want.index];
    if (base::crc32c(bytes.view()) != batch.ref.crc)
      return base::fail(base::ErrorCode::kCorrupt,
                        fmt::format("{} at offset {}: the batch at {} does not verify",
                                    WalFiles::name_of(batch.ref.at.file_seq), batch.ref.at.offset,
                                    batch.ref.base_offset.value));
    batch.bytes = std::move(bytes);
    return {};
  }

  base::Result<> read_pieces(const Wanted& want) {
    std::vector<uint8_t> whole;
    for (const Piece& piece : want.pieces) {
      TRY_ASSIGN(const base::Slice part, read_run(piece, piece.at.offset + piece.bytes));
      whole.insert(whole.end(), part.data(), part.data() + part.size());
    }
    return keep(want, base::Slice::copy_of(whole));
  }

  base::Result<> run() {
    for (size_t first = 0; first < wanted.size();) {
      if (wanted[first].pieces.size() > 1) {
        TRY(read_pieces(wanted[first++]));
        continue;
      }
      const Piece& head = wanted[first].pieces.front();
      uint64_t end = head.at.offset + head.bytes;
      size_t next = first + 1;
      for (; next < wanted.size(); ++next) {
        const Piece& piece = wanted[next].pieces.front();
        if (wanted[next].pieces.size() > 1 || piece.at.file_seq != head.at.file_seq || piece.at.offset < end ||
            piece.at.offset - end > kGatherGapBytesMax ||
            piece.at.offset + piece.bytes - head.at.offset > kGatherBytesMax)
          break;
        end = piece.at.offset + piece.bytes;
      }
      TRY_ASSIGN(const base::Slice span, read_run(head, end));
      for (; first < next; ++first) {
        const Piece& piece = wanted[first].pieces.front();
        TRY(keep(wanted[first], span.sub(piece.at.offset - head.at.offset, piece.bytes)));
      }
    }
    return {};
  }
};

}  // namespace

void ColdReads::load(const Partition& partition, std::vector<StoredBatch> batches, Done done) {
  auto job = std::make_shared<Job>();
  job->batches = std::move(batches);
  for (size_t i = 0; i < job->batches.size(); ++i) {
    if (!job->batches[i].bytes.empty()) continue;
    job->wanted.push_back({i, partition.pieces_of(job->batches[i].ref)});
    for (const Piece& piece : job->wanted.back().pieces) job->files[piece.at.file_seq] = files_.file(piece.at.file_seq);
  }
  worker_->submit([job] { job->result = job->run(); },
                  [job, done = std::move(done)] {
                    job->files.clear();
                    if (job->result) {
                      done(std::move(job->batches));
                    } else {
                      done(std::unexpected(job->result.error()));
                    }
                  });
}

}  // namespace polylog::storage
