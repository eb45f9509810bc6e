#include "protocol/amqp/tag_ring.h"

#include <doctest/doctest.h>

namespace polylog::amqp {
namespace {

using State = TagRing::State;

TEST_CASE("tag ring: tags are dense from 1 and find their entries across growth") {
  TagRing ring;
  for (int64_t i = 0; i < 1000; ++i) CHECK(ring.push(base::Offset(i * 2), 3) == static_cast<uint64_t>(i + 1));
  CHECK(ring.open_count() == 1000);
  for (uint64_t tag = 1; tag <= 1000; ++tag) {
    REQUIRE(ring.is_open(tag));
    CHECK(ring[tag].offset.value == static_cast<int64_t>(tag - 1) * 2);
    CHECK(ring[tag].holder == 3);
  }
  CHECK_FALSE(ring.is_open(0));
  CHECK_FALSE(ring.is_open(1001));
}

TEST_CASE("tag ring: settled tags are not open, and the front moves over them") {
  TagRing ring;
  for (int i = 0; i < 10; ++i) ring.push(base::Offset(i), 0);
  ring.set(2, State::kSettled);
  ring.trim();
  CHECK(ring.base() == 1);
  CHECK_FALSE(ring.is_open(2));
  ring.set(1, State::kSettled);
  ring.trim();
  CHECK(ring.base() == 3);
  CHECK_FALSE(ring.is_open(1));
  CHECK(ring.open_count() == 8);
}

TEST_CASE("tag ring: deliveries without acknowledgement take a tag and nothing else") {
  TagRing ring;
  CHECK(ring.push_settled() == 1);
  CHECK(ring.base() == 2);
  CHECK(ring.push(base::Offset(0), 0) == 2);
  CHECK(ring.push_settled() == 3);
  CHECK_FALSE(ring.is_open(3));
  ring.set(2, State::kSettled);
  ring.trim();
  CHECK(ring.base() == 4);
  CHECK(ring.push(base::Offset(1), 0) == 4);
}

TEST_CASE("tag ring: what a transaction took can come back") {
  TagRing ring;
  ring.push(base::Offset(5), 0);
  ring.set(1, State::kTaken);
  ring.trim();
  CHECK_FALSE(ring.is_open(1));
  CHECK(ring.base() == 1);
  ring.set(1, State::kOpen);
  CHECK(ring.is_open(1));
  CHECK(ring.open_count() == 1);
}

TEST_CASE("tag ring: a long run of deliver and settle stays small and keeps counting") {
  TagRing ring;
  for (uint64_t tag = 1; tag <= 100'000; ++tag) {
    REQUIRE(ring.push(base::Offset(static_cast<int64_t>(tag)), 0) == tag);
    ring.set(tag, State::kSettled);
    ring.trim();
    REQUIRE(ring.base() == tag + 1);
  }
  CHECK(ring.open_count() == 0);
}

TEST_CASE("tag ring: many may be open, are settled in any order, and leave a ring that goes on counting") {
  constexpr uint64_t kTags = 50'000;
  TagRing ring;
  for (int round = 0; round < 2; ++round) {
    const uint64_t first = ring.next();
    for (uint64_t i = 0; i < kTags; ++i) ring.push(base::Offset(static_cast<int64_t>(i)), 7);
    for (uint64_t i = 1; i < kTags; i += 2) ring.set(first + i, State::kSettled);
    ring.trim();
    CHECK(ring.base() == first);
    CHECK(ring.open_count() == kTags / 2);
    CHECK(ring[first + kTags - 2].offset.value == static_cast<int64_t>(kTags) - 2);
    for (uint64_t i = 0; i < kTags; i += 2) ring.set(first + i, State::kSettled);
    ring.trim();
    CHECK(ring.base() == first + kTags);
    CHECK(ring.open_count() == 0);
  }
}

}  // namespace
}  // namespace polylog::amqp
