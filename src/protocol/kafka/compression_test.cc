#include "protocol/kafka/compression.h"

#include <doctest/doctest.h>
#include <lz4frame.h>
#include <snappy.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <string>

#include "base/wire.h"

namespace polylog::kafka {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes sample(size_t size) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>((i * i) >> 7);
  return bytes;
}

Bytes gzip(base::View plain) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  Bytes out(deflateBound(&stream, plain.size()) + 32);
  stream.next_in = const_cast<uint8_t*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Bytes raw_snappy(base::View plain) {
  std::string out;
  snappy::Compress(reinterpret_cast<const char*>(plain.data()), plain.size(), &out);
  return {out.begin(), out.end()};
}

Bytes framed_snappy(base::View plain) {
  base::Writer out;
  out.bytes(Bytes{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1});
  while (!plain.empty()) {
    const base::View block = plain.first(std::min<size_t>(plain.size(), 32768));
    const Bytes packed = raw_snappy(block);
    out.u32be(static_cast<uint32_t>(packed.size()));
    out.bytes(packed);
    plain = plain.subspan(block.size());
  }
  return out.buffer();
}

Bytes lz4(base::View plain) {
  Bytes out(LZ4F_compressFrameBound(plain.size(), nullptr));
  out.resize(LZ4F_compressFrame(out.data(), out.size(), plain.data(), plain.size(), nullptr));
  return out;
}

Bytes zstd(base::View plain) {
  Bytes out(ZSTD_compressBound(plain.size()));
  out.resize(ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3));
  return out;
}

struct Packer {
  const char* name;
  Compression compression;
  Bytes (*pack)(base::View);
};
constexpr Packer kPackers[] = {
    {"gzip", Compression::kGzip, gzip},
    {"raw snappy", Compression::kSnappy, raw_snappy},
    {"framed snappy", Compression::kSnappy, framed_snappy},
    {"lz4", Compression::kLz4, lz4},
    {"zstd", Compression::kZstd, zstd},
};

}  // namespace

TEST_CASE("every_codec_unpacks_what_its_library_packed") {
  for (const Packer& packer : kPackers) {
    CAPTURE(packer.name);
    for (const size_t size : {1, 100, 4096, 70'000, 1'000'000}) {
      const Bytes plain = sample(size);
      Bytes out;
      REQUIRE(unpack(packer.compression, packer.pack(plain), out) == UnpackStatus::kOk);
      CHECK(out == plain);
    }
  }
}

TEST_CASE("the_cap_on_output_holds_at_the_limit_and_one_past_it") {
  for (const Packer& packer : kPackers) {
    CAPTURE(packer.name);
    const Bytes plain = sample(50'000);
    const Bytes packed = packer.pack(plain);
    Bytes out;
    CHECK(unpack(packer.compression, packed, out, plain.size()) == UnpackStatus::kOk);
    CHECK(out == plain);
    CHECK(unpack(packer.compression, packed, out, plain.size() - 1) == UnpackStatus::kTooLarge);
    CHECK(out.capacity() <= 4 * plain.size());
  }
}

TEST_CASE("pieces_make_up_the_whole_and_end_at_the_cap_or_when_nobody_wants_more") {
  for (const Packer& packer : kPackers) {
    CAPTURE(packer.name);
    for (const size_t size : {size_t{1}, size_t{262'144}, size_t{262'145}, size_t{1'000'000}}) {
      const Bytes plain = sample(size), packed = packer.pack(plain);
      Bytes out;
      const TakePiece take = [&](base::View piece) {
        out.insert(out.end(), piece.begin(), piece.end());
        return true;
      };
      CHECK(unpack_in_pieces(packer.compression, packed, take, size) == UnpackStatus::kOk);
      CHECK(out == plain);
      CHECK(unpack_in_pieces(packer.compression, packed, take, size - 1) == UnpackStatus::kTooLarge);
      int pieces = 0;
      const TakePiece one = [&](base::View) { return ++pieces < 1; };
      CHECK(unpack_in_pieces(packer.compression, packed, one) == UnpackStatus::kStopped);
      CHECK(pieces == 1);
      const base::View cut = base::View(packed).first(packed.size() - 1);
      CHECK(unpack_in_pieces(packer.compression, cut, take) == UnpackStatus::kCorrupt);
    }
  }
}

TEST_CASE("a_bomb_fails_without_taking_its_size_in_memory") {
  const Bytes zeros(32 * base::limits::kMiB);
  for (const Packer& packer : kPackers) {
    CAPTURE(packer.name);
    Bytes out;
    CHECK(unpack(packer.compression, packer.pack(zeros), out, base::limits::kMiB) == UnpackStatus::kTooLarge);
    CHECK(out.capacity() <= 4 * base::limits::kMiB);
  }
}

TEST_CASE("input_cut_anywhere_is_corrupt") {
  const Bytes plain = sample(3000);
  for (const Packer& packer : kPackers) {
    CAPTURE(packer.name);
    const Bytes packed = packer.pack(plain);
    for (size_t size = 0; size < packed.size(); ++size) {
      const Bytes cut(packed.begin(), packed.begin() + static_cast<ptrdiff_t>(size));
      Bytes out;
      const UnpackStatus status = unpack(packer.compression, cut, out);
      const bool ends_between_blocks = status == UnpackStatus::kOk && out.size() < plain.size();
      CHECK((status == UnpackStatus::kCorrupt || ends_between_blocks));
    }
  }
}

TEST_CASE("gzip_may_have_several_members") {
  Bytes packed = gzip(base::as_view("one "));
  const Bytes second = gzip(base::as_view("two"));
  packed.insert(packed.end(), second.begin(), second.end());
  Bytes out;
  REQUIRE(unpack(Compression::kGzip, packed, out) == UnpackStatus::kOk);
  CHECK(base::as_text(out) == "one two");
}

TEST_CASE("junk_is_corrupt_for_every_codec") {
  const Bytes junk{0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0xFA, 0xF9, 0xF8, 0xF7};
  for (const Packer& packer : kPackers) {
    CAPTURE(packer.name);
    Bytes out;
    CHECK(unpack(packer.compression, junk, out) == UnpackStatus::kCorrupt);
    CHECK(unpack(packer.compression, {}, out) == UnpackStatus::kCorrupt);
  }
}

}  // namespace polylog::kafka
