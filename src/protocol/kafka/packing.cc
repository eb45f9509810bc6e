#include "protocol/kafka/packing.h"

#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>

#include "base/wire.h"

namespace polylog::kafka {
namespace {

constexpr size_t kSnappyBlockBytes = 32 * base::limits::kKiB;  // as the framing's writers have it
constexpr int32_t kSnappyFrameVersion = 1;

bool pack_gzip(base::View in, std::vector<uint8_t>& out) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return false;
  out.resize(deflateBound(&stream, in.size()));
  stream.next_in = const_cast<uint8_t*>(in.data());  // zlib does not write to it
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  const bool done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return done;
}

void append_snappy(base::View in, std::vector<uint8_t>& out) {
  const size_t at = out.size();
  out.resize(at + snappy::MaxCompressedLength(in.size()));
  size_t size = 0;
  snappy::RawCompress(reinterpret_cast<const char*>(in.data()), in.size(), reinterpret_cast<char*>(out.data() + at),
                      &size);
  out.resize(at + size);
}

bool pack_snappy(base::View in, base::View like, std::vector<uint8_t>& out) {
  out.clear();
  if (!is_framed_snappy(like)) {
    append_snappy(in, out);
    return true;
  }
  base::Writer frame(out);
  frame.bytes(kSnappyFrameMagic);
  frame.u32be(kSnappyFrameVersion);
  frame.u32be(kSnappyFrameVersion);
  for (size_t at = 0; at < in.size(); at += kSnappyBlockBytes) {
    const size_t size_at = out.size();
    frame.u32be(0);
    append_snappy(in.subspan(at, std::min(kSnappyBlockBytes, in.size() - at)), out);
    frame.patch_u32be(size_at, static_cast<uint32_t>(out.size() - size_at - 4));
  }
  return true;
}

bool pack_lz4(base::View in, std::vector<uint8_t>& out) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  out.resize(LZ4F_compressFrameBound(in.size(), &preferences));
  const size_t size = LZ4F_compressFrame(out.data(), out.size(), in.data(), in.size(), &preferences);
  if (LZ4F_isError(size) != 0) return false;
  out.resize(size);
  return true;
}

bool pack_zstd(base::View in, std::vector<uint8_t>& out) {
  out.resize(ZSTD_compressBound(in.size()));
  const size_t size = ZSTD_compress(out.data(), out.size(), in.data(), in.size(), ZSTD_CLEVEL_DEFAULT);
  if (ZSTD_isError(size) != 0) return false;
  out.resize(size);
  return true;
}

}  // namespace

bool pack(Compression compression, base::View records, base::View like, std::vector<uint8_t>& out) {
  switch (compression) {
    case Compression::kNone: out.assign(records.begin(), records.end()); return true;
    case Compression::kGzip: return pack_gzip(records, out);
    case Compression::kSnappy: return pack_snappy(records, like, out);
    case Compression::kLz4: return pack_lz4(records, out);
    case Compression::kZstd: return pack_zstd(records, out);
  }
  return false;
}

}  // namespace polylog::kafka
