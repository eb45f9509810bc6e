#include "storage/partition.h"

#include <doctest/doctest.h>

namespace polylog::storage {
namespace {

TEST_CASE("batches_are_found_by_offset_and_time_trimmed_whole_and_saved_bytes_load_equal") {
  Partition p({{}, 1}, false);
  for (int i = 0; i < 10; ++i) {
    AppendMutation m{.base_offset = p.appended(), .count = 3, .epoch = base::Epoch(static_cast<uint32_t>(1 + i / 4)), .max_ts = {i * 10}};
    m.pieces = {{{1, static_cast<uint64_t>(i)}, 5}};
    if (i == 4) m.pieces.push_back({{2, 0}, 7});
    p.apply_append(m, Lsn(static_cast<uint64_t>(i + 1)), base::Slice::copy_of(base::as_view("bytes")));
  }
  CHECK(p.find_by_time({0}) == nullptr);  // nothing is committed
  p.commit_to(Offset(30));
  CHECK(p.find(Offset(14))->base_offset == Offset(12));
  CHECK((p.find(Offset(30)) == nullptr && p.find(Offset(-1)) == nullptr));
  CHECK(p.find_by_time({41})->base_offset == Offset(15));
  CHECK(p.newest_by_time()->base_offset == Offset(27));
  CHECK(p.pieces_of(*p.find(Offset(12))).size() == 2);
  CHECK(p.epochs().size() == 3);
  CHECK(p.apply_trim(Offset(14), Lsn(11)).size() == 4);  // batch 4 holds 14 and stays
  CHECK((p.find(Offset(12)) != nullptr && p.find(Offset(11)) == nullptr && p.start() == Offset(14)));
  base::Writer out, again;
  p.save(out);
  Partition loaded({{}, 1}, false);
  base::Reader in(out.view());
  REQUIRE(loaded.load(in, p.stamp()));
  loaded.save(again);
  CHECK(base::equal(out.view(), again.view()));
  CHECK(loaded.stored_bytes() == p.stored_bytes());
  for (size_t size = 0; size < out.size(); ++size) {
    Partition cut({{}, 1}, false);
    base::Reader part(out.view().first(size));
    CHECK(!cut.load(part, {}));
  }
}

}  // namespace
}  // namespace polylog::storage
