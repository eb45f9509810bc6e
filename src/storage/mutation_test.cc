#include "storage/mutation.h"

#include <doctest/doctest.h>

namespace polylog::storage {
namespace {

TEST_CASE("an_append_round_trips_with_one_and_with_255_pieces_and_no_prefix_decodes") {
  for (const size_t count : {size_t{1}, kPiecesPerBatchMax}) {
    AppendMutation m{.partition = {{}, 5},
                     .base_offset = base::Offset(10),
                     .count = 3,
                     .crc = 7,
                     .encoding = 2,
                     .writer = WriterStamp{1, 2, 3, 4}};
    for (size_t i = 0; i < count; ++i) m.pieces.push_back({{i, i * 2}, static_cast<uint32_t>(i + 1)});
    base::Writer out;
    encode(out, m);
    const auto again = decode_append(out.view());
    REQUIRE(again);
    CHECK(again->pieces == m.pieces);
    CHECK(again->writer->last_sequence == 4);
    CHECK(again->base_offset == m.base_offset);
    size_t accepted = 0;
    for (size_t size = 0; size < out.size(); ++size) accepted += decode_append(out.view().first(size)).has_value();
    CHECK(accepted == 1);  // exactly without its optional field
    out.u8(99);
    out.u8(0);
    CHECK(!decode_append(out.view()));  // a field of the future
  }
}

TEST_CASE("mutations_follow_each_other_and_damage_stops_the_reader") {
  base::Writer out;
  encode_mutation(out, {MutationType::kTrim, 1, base::as_view("abc")});
  encode_mutation(out, {MutationType::kDrop, 2, {}});
  base::Reader in(out.view());
  Mutation m;
  CHECK((next_mutation(in, m) && base::as_text(m.payload) == "abc" && next_mutation(in, m) && m.version == 2));
  CHECK((!next_mutation(in, m) && in.ok()));
  base::Reader cut(out.view().first(out.size() - 1));
  CHECK((next_mutation(cut, m) && !next_mutation(cut, m) && !cut.ok()));
}

}  // namespace
}  // namespace polylog::storage
