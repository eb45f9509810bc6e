#include "protocol/kafka/repack.h"

#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/check.h"
#include "base/crc32c.h"
#include "base/wire.h"

namespace polylog::kafka {
namespace {

constexpr size_t kSnappyBlockBytes = 32 * base::limits::kKiB;
constexpr std::array<uint8_t, 16> kSnappyFraming{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
constexpr int kGzipWindow = MAX_WBITS + 16;  // 16: with gzip's header
constexpr int kGzipMemory = 8;

// The output is as large as the library may ever need, so that packing cannot fail for want of room.
std::vector<uint8_t> pack_gzip(base::View plain) {
  z_stream stream{};
  CHECK(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, kGzipMemory, Z_DEFAULT_STRATEGY) == Z_OK,
        "zlib has memory");
  std::vector<uint8_t> out(deflateBound(&stream, plain.size()));
  stream.next_in = const_cast<uint8_t*>(plain.data());  // zlib does not write to it
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END, "the bound is enough");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::vector<uint8_t> pack_snappy(base::View plain) {
  base::Writer out;
  out.bytes(kSnappyFraming);
  std::string packed;
  while (!plain.empty()) {
    const base::View block = plain.first(std::min(plain.size(), kSnappyBlockBytes));
    snappy::Compress(reinterpret_cast<const char*>(block.data()), block.size(), &packed);
    out.u32be(static_cast<uint32_t>(packed.size()));
    out.text(packed);
    plain = plain.subspan(block.size());
  }
  return std::move(out.buffer());
}

std::vector<uint8_t> pack_lz4(base::View plain) {
  LZ4F_preferences_t preferences{};
  preferences.frameInfo.blockSizeID = LZ4F_max64KB;
  preferences.frameInfo.blockMode = LZ4F_blockIndependent;
  std::vector<uint8_t> out(LZ4F_compressFrameBound(plain.size(), &preferences));
  const size_t size = LZ4F_compressFrame(out.data(), out.size(), plain.data(), plain.size(), &preferences);
  CHECK(!LZ4F_isError(size), "the bound is enough");
  out.resize(size);
  return out;
}

std::vector<uint8_t> pack_zstd(base::View plain) {
  std::vector<uint8_t> out(ZSTD_compressBound(plain.size()));
  const size_t size = ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), ZSTD_CLEVEL_DEFAULT);
  CHECK(!ZSTD_isError(size), "the bound is enough");
  out.resize(size);
  return out;
}

// A batch with the header of `batch`, told of its new records.
base::Slice with_records(base::View batch, Compression compression, base::View records) {
  using namespace batch_layout;
  base::Writer out;
  out.buffer().reserve(kRecordsAt + records.size());
  out.bytes(batch.first(kRecordsAt));
  out.bytes(records);
  out.patch_u32be(kBatchLengthAt, static_cast<uint32_t>(out.size() - kLengthFieldEnd));
  uint8_t& codec_byte = out.buffer()[kAttributesAt + 1];
  codec_byte = static_cast<uint8_t>((codec_byte & ~BatchHeader::kCompressionMask) | static_cast<uint8_t>(compression));
  out.patch_u32be(kCrcAt, base::crc32c(out.view().subspan(kAttributesAt)));
  return base::Slice::copy_of(out.view());
}

}  // namespace

std::vector<uint8_t> pack(Compression compression, base::View plain) {
  switch (compression) {
    case Compression::kNone: return {plain.begin(), plain.end()};
    case Compression::kGzip: return pack_gzip(plain);
    case Compression::kSnappy: return pack_snappy(plain);
    case Compression::kLz4: return pack_lz4(plain);
    case Compression::kZstd: return pack_zstd(plain);
  }
  return {};
}

base::Slice repack_batch(base::View batch, base::View records, Compression compression) {
  if (compression == Compression::kNone) return with_records(batch, compression, records);
  return with_records(batch, compression, pack(compression, records));
}

}  // namespace polylog::kafka
