#include "storage/writers.h"

#include <doctest/doctest.h>

namespace polylog::storage {
namespace {

using base::ErrorCode;

TEST_CASE("repeats_are_known_for_five_batches_gaps_refused_epochs_fence_and_sequences_wrap") {
  WriterTable table;
  for (int i = 0; i < 7; ++i) table.note({1, 3, i * 2, i * 2 + 1}, base::Offset(i * 2), {i});
  for (int i = 2; i < 7; ++i) CHECK(table.check({1, 3, i * 2, i * 2 + 1})->base_offset == base::Offset(i * 2));
  CHECK(table.check({1, 3, 2, 3}).error().code == ErrorCode::kDuplicate);
  CHECK(!table.check({1, 3, 14, 15})->repeated);
  CHECK(table.check({1, 3, 15, 15}).error().code == ErrorCode::kOutOfOrder);
  CHECK(table.check({1, 2, 14, 14}).error().code == ErrorCode::kFenced);
  CHECK(table.check({1, 4, 14, 14}).error().code == ErrorCode::kOutOfOrder);
  CHECK(!table.check({1, 4, 0, 0})->repeated);
  CHECK(!table.check({2, 0, 50, 50})->repeated);
  table.note({1, 4, INT32_MAX, INT32_MAX}, base::Offset(1), {9});
  CHECK(!table.check({1, 4, 0, 0})->repeated);
  base::Writer out, again;
  table.save(out);
  WriterTable loaded;
  base::Reader in(out.view());
  REQUIRE(loaded.load(in));
  loaded.save(again);
  CHECK(base::equal(out.view(), again.view()));
  loaded.expire({10});
  CHECK(loaded.size() == 0);
}

}  // namespace
}  // namespace polylog::storage
