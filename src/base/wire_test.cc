#include "base/wire.h"

#include <doctest/doctest.h>

#include "base/crc32c.h"

namespace polylog::base {
namespace {

TEST_CASE("numbers_round_trip_at_their_limits_and_errors_stick") {
  for (const int64_t v : {int64_t{0}, int64_t{-1}, int64_t{63}, int64_t{64}, INT64_MAX, INT64_MIN}) {
    Writer w;
    w.varint(v);
    w.i64be(v);
    w.i64le(v);
    w.uvarint(static_cast<uint64_t>(v));
    Reader r(w.view());
    CHECK((r.varint64() == v && r.i64be() == v && r.i64le() == v && r.uvarint64() == static_cast<uint64_t>(v)));
    CHECK((r.ok() && r.at_end()));
    CHECK((r.u8() == 0 && !r.ok()));
  }
  Writer w;
  w.uvarint(uint64_t{UINT32_MAX} + 1);
  Reader over(w.view());
  over.uvarint32();
  CHECK(!over.ok());
}

TEST_CASE("crc32c_matches_the_published_vectors_and_continues_over_any_split") {
  CHECK(crc32c(as_view("123456789")) == 0xE3069283u);
  CHECK(crc32c(std::vector<uint8_t>(32, 0)) == 0x8A9136AAu);
  const std::vector<uint8_t> bytes(1000, 0x5A);
  for (size_t at = 0; at <= bytes.size(); at += 37)
    CHECK(crc32c(View(bytes).subspan(at), crc32c(View(bytes).first(at))) == crc32c(bytes));
}

}  // namespace
}  // namespace polylog::base
