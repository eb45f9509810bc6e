#include "protocol/kafka/compression.h"

#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/wire.h"

namespace polylog::kafka {
namespace {

constexpr size_t kGrowBytesMin = 4096;
constexpr size_t kXerialVersionsBytes = 8;

constexpr size_t kPieceBytes = 256 * base::limits::kKiB;
constexpr size_t kReserveAllFromBytes = 1024 * 1024;

// The output of a streaming library: grows by doubling, up to the cap. From a megabyte on it reserves the cap at once: that
// is address space only, where copying to ever larger blocks would hold two of them in memory.
class Output {
 public:
  Output(std::vector<uint8_t>& out, size_t bytes_max, size_t packed_bytes) : out_(out), bytes_max_(bytes_max) {
    out_.clear();
    out_.resize(std::min(bytes_max_, std::max(kGrowBytesMin, packed_bytes * 2)));
  }
  base::MutView room() { return base::MutView(out_).subspan(used_); }
  void used(size_t bytes) { used_ += bytes; }
  bool is_full() const { return used_ == out_.size(); }
  bool grow() {
    if (out_.size() == bytes_max_) return false;
    if (out_.size() >= kReserveAllFromBytes) out_.reserve(bytes_max_);
    out_.resize(std::min(bytes_max_, out_.size() * 2));
    return true;
  }
  void finish() { out_.resize(used_); }

 private:
  std::vector<uint8_t>& out_;
  size_t bytes_max_;
  size_t used_ = 0;
};

// The output as a row of pieces, each given away when it is full; the same face as Output's.
class Pieces {
 public:
  Pieces(const TakePiece& take, size_t bytes_max) : take_(take), bytes_left_(bytes_max) { piece_.resize(kPieceBytes); }
  base::MutView room() { return base::MutView(piece_).first(piece_bytes_max()).subspan(used_); }
  void used(size_t bytes) { used_ += bytes; }
  bool is_full() const { return used_ == piece_bytes_max(); }
  bool grow() {
    give();
    return !stopped_ && bytes_left_ > 0;
  }
  void finish() { give(); }
  bool stopped() const { return stopped_; }

 private:
  size_t piece_bytes_max() const { return stopped_ ? 0 : std::min(piece_.size(), bytes_left_); }
  void give() {
    if (used_ > 0 && !stopped_) stopped_ = !take_(base::View(piece_).first(used_));
    bytes_left_ -= std::exchange(used_, 0);
  }

  const TakePiece& take_;
  std::vector<uint8_t> piece_;
  size_t bytes_left_;
  size_t used_ = 0;
  bool stopped_ = false;
};

// Runs `step(input, room) -> how far it got` until the input is used up and the stream says that it is complete.
// A step that neither takes nor gives anything while there is room will never get further.
struct Progress {
  size_t taken = 0;
  size_t given = 0;
  bool failed = false;
  bool complete = false;  // at the end of a member or frame
};
template <typename Out, typename Step>
UnpackStatus run(base::View packed, Out& out, Step step) {
  while (true) {
    if (out.is_full() && !out.grow()) {
      // Exactly at the cap: the end of the stream may still be to come, but no more output.
      std::array<uint8_t, 1> spare;
      const Progress last = step(packed, base::MutView(spare));
      if (last.failed) return UnpackStatus::kCorrupt;
      packed = packed.subspan(last.taken);
      if (last.given > 0) return UnpackStatus::kTooLarge;
      if (last.complete && packed.empty()) return UnpackStatus::kOk;
      if (last.taken == 0) return UnpackStatus::kCorrupt;
      continue;
    }
    const Progress progress = step(packed, out.room());
    if (progress.failed) return UnpackStatus::kCorrupt;
    packed = packed.subspan(progress.taken);
    out.used(progress.given);
    if (progress.complete && packed.empty()) return UnpackStatus::kOk;
    if (progress.taken == 0 && progress.given == 0 && !out.is_full()) return UnpackStatus::kCorrupt;
  }
}

template <typename Out>
UnpackStatus unpack_gzip(base::View packed, Out& out) {
  z_stream stream{};
  if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK) return UnpackStatus::kCorrupt;  // + 16: gzip, not zlib
  const std::unique_ptr<z_stream, int (*)(z_stream*)> closer(&stream, inflateEnd);
  return run(packed, out, [&](base::View in, base::MutView room) {
    stream.next_in = const_cast<uint8_t*>(in.data());  // zlib does not write to it
    stream.avail_in = static_cast<uInt>(in.size());
    stream.next_out = room.data();
    stream.avail_out = static_cast<uInt>(room.size());
    const int rc = inflate(&stream, Z_NO_FLUSH);
    Progress progress{.taken = in.size() - stream.avail_in, .given = room.size() - stream.avail_out};
    progress.complete = rc == Z_STREAM_END;
    progress.failed = rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR;
    if (progress.complete) inflateReset(&stream);  // another member may follow
    return progress;
  });
}

template <typename Out>
UnpackStatus unpack_lz4(base::View packed, Out& out) {
  LZ4F_dctx* context = nullptr;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION))) return UnpackStatus::kCorrupt;
  const std::unique_ptr<LZ4F_dctx, LZ4F_errorCode_t (*)(LZ4F_dctx*)> closer(context, LZ4F_freeDecompressionContext);
  return run(packed, out, [&](base::View in, base::MutView room) {
    Progress progress{.taken = in.size(), .given = room.size()};
    const size_t hint = LZ4F_decompress(context, room.data(), &progress.given, in.data(), &progress.taken, nullptr);
    progress.failed = LZ4F_isError(hint);
    progress.complete = hint == 0;
    return progress;
  });
}

template <typename Out>
UnpackStatus unpack_zstd(base::View packed, Out& out) {
  const std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context(ZSTD_createDCtx(), ZSTD_freeDCtx);
  if (context == nullptr) return UnpackStatus::kCorrupt;
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, limits::kZstdWindowLogMax);
  return run(packed, out, [&](base::View in, base::MutView room) {
    ZSTD_inBuffer source{in.data(), in.size(), 0};
    ZSTD_outBuffer target{room.data(), room.size(), 0};
    const size_t hint = ZSTD_decompressStream(context.get(), &target, &source);
    return Progress{.taken = source.pos, .given = target.pos, .failed = ZSTD_isError(hint) != 0, .complete = hint == 0};
  });
}

UnpackStatus append_raw_snappy(base::View packed, std::vector<uint8_t>& out, size_t out_bytes_max) {
  const char* in = reinterpret_cast<const char*>(packed.data());
  size_t size = 0;
  if (!snappy::GetUncompressedLength(in, packed.size(), &size)) return UnpackStatus::kCorrupt;
  if (size > out_bytes_max - out.size()) return UnpackStatus::kTooLarge;
  // A copy element of 3 bytes gives at most 64: a longer promise is a lie, found before memory is taken for it.
  if (size / 64 > packed.size()) return UnpackStatus::kCorrupt;
  const size_t at = out.size();
  out.resize(at + size);
  const bool sound = snappy::RawUncompress(in, packed.size(), reinterpret_cast<char*>(out.data() + at));
  return sound ? UnpackStatus::kOk : UnpackStatus::kCorrupt;
}

// Calls `each(raw block)` until it does not return kOk.
template <typename Each>
UnpackStatus for_each_snappy_block(base::View packed, Each each) {
  if (!is_framed_snappy(packed)) return each(packed);
  base::Reader in(packed.subspan(kSnappyFrameMagic.size()));
  in.skip(kXerialVersionsBytes);
  while (in.ok() && !in.at_end()) {
    const base::View block = in.bytes(in.u32be());
    if (!in.ok()) break;
    const UnpackStatus status = each(block);
    if (status != UnpackStatus::kOk) return status;
  }
  return in.ok() ? UnpackStatus::kOk : UnpackStatus::kCorrupt;
}

UnpackStatus unpack_snappy(base::View packed, std::vector<uint8_t>& out, size_t out_bytes_max) {
  out.clear();
  return for_each_snappy_block(packed, [&](base::View block) { return append_raw_snappy(block, out, out_bytes_max); });
}

UnpackStatus pour_snappy(base::View packed, size_t out_bytes_max, const TakePiece& take) {
  std::vector<uint8_t> out;
  return for_each_snappy_block(packed, [&](base::View block) {
    out.clear();
    const UnpackStatus status = append_raw_snappy(block, out, out_bytes_max);
    if (status != UnpackStatus::kOk) return status;
    out_bytes_max -= out.size();
    return take(out) ? UnpackStatus::kOk : UnpackStatus::kStopped;
  });
}

UnpackStatus unpack_none(base::View packed, std::vector<uint8_t>& out, size_t out_bytes_max) {
  if (packed.size() > out_bytes_max) return UnpackStatus::kTooLarge;
  out.assign(packed.begin(), packed.end());
  return UnpackStatus::kOk;
}

template <typename Unpacker>
UnpackStatus stream(Unpacker unpacker, base::View packed, std::vector<uint8_t>& out, size_t out_bytes_max) {
  Output output(out, out_bytes_max, packed.size());
  const UnpackStatus status = unpacker(packed, output);
  output.finish();
  return status;
}

template <typename Unpacker>
UnpackStatus pour(Unpacker unpacker, base::View packed, size_t out_bytes_max, const TakePiece& take) {
  Pieces pieces(take, out_bytes_max);
  const UnpackStatus status = unpacker(packed, pieces);
  if (status == UnpackStatus::kOk) pieces.finish();
  return pieces.stopped() ? UnpackStatus::kStopped : status;
}

}  // namespace

bool is_framed_snappy(base::View packed) {
  return packed.size() >= kSnappyFrameMagic.size() &&
         base::equal(packed.first(kSnappyFrameMagic.size()), kSnappyFrameMagic);
}

UnpackStatus unpack(Compression compression, base::View packed, std::vector<uint8_t>& out, size_t out_bytes_max) {
  switch (compression) {
    case Compression::kNone: return unpack_none(packed, out, out_bytes_max);
    case Compression::kGzip: return stream(unpack_gzip<Output>, packed, out, out_bytes_max);
    case Compression::kSnappy: return unpack_snappy(packed, out, out_bytes_max);
    case Compression::kLz4: return stream(unpack_lz4<Output>, packed, out, out_bytes_max);
    case Compression::kZstd: return stream(unpack_zstd<Output>, packed, out, out_bytes_max);
  }
  return UnpackStatus::kCorrupt;
}

UnpackStatus unpack_in_pieces(Compression compression, base::View packed, const TakePiece& take, size_t out_bytes_max) {
  switch (compression) {
    case Compression::kNone:
      if (packed.size() > out_bytes_max) return UnpackStatus::kTooLarge;
      return take(packed) ? UnpackStatus::kOk : UnpackStatus::kStopped;
    case Compression::kGzip: return pour(unpack_gzip<Pieces>, packed, out_bytes_max, take);
    case Compression::kSnappy: return pour_snappy(packed, out_bytes_max, take);
    case Compression::kLz4: return pour(unpack_lz4<Pieces>, packed, out_bytes_max, take);
    case Compression::kZstd: return pour(unpack_zstd<Pieces>, packed, out_bytes_max, take);
  }
  return UnpackStatus::kCorrupt;
}

}  // namespace polylog::kafka
