#include "load/lane.h"

#include <doctest/doctest.h>

namespace polylog::load {
namespace {

using Arrival = Lane::Arrival;

Lane lane_that_sent(uint64_t count) {
  Lane lane;
  for (uint64_t i = 0; i < count; ++i) lane.next(i);
  return lane;
}

TEST_CASE("sequence set: what is out of step is known, what has passed costs nothing") {
  SequenceSet set;
  for (uint64_t i = 0; i < 1000; ++i) CHECK(set.add(i));
  CHECK_FALSE(set.add(999));
  CHECK_FALSE(set.add(0));
  CHECK(set.add(5000));
  CHECK(set.has(5000));
  CHECK_FALSE(set.has(4999));
  CHECK(set.count() == 1001);
}

TEST_CASE("sequence set: missing members are counted, wherever the sets have got to") {
  SequenceSet all, some;
  for (uint64_t i = 0; i < 300; ++i) all.add(i);
  CHECK(all.missing_in(some) == 300);
  for (uint64_t i = 0; i < 300; ++i) {
    if (i != 7 && i != 63 && i != 64 && i != 299) some.add(i);
  }
  CHECK(all.missing_in(some) == 4);
  CHECK(some.missing_in(all) == 0);
}

TEST_CASE("lane: a lost message is one that was acknowledged and did not come") {
  Lane lane = lane_that_sent(5);
  for (const uint64_t sequence : {0, 1, 2, 3}) CHECK(lane.acknowledge(sequence));
  for (const uint64_t sequence : {0, 1, 3, 4}) CHECK(lane.receive(sequence) == Arrival::kInOrder);
  CHECK(lane.missing() == 1);
  CHECK(lane.receive(2) == Arrival::kOutOfOrder);
  CHECK(lane.missing() == 0);
  CHECK(lane.sent() - lane.acknowledged() == 1);
}

TEST_CASE("lane: duplicates and messages that were never sent are told apart") {
  Lane lane = lane_that_sent(3);
  CHECK(lane.receive(1) == Arrival::kInOrder);
  CHECK(lane.receive(1) == Arrival::kDuplicate);
  CHECK(lane.receive(0) == Arrival::kOutOfOrder);
  CHECK(lane.receive(0) == Arrival::kDuplicate);
  CHECK(lane.receive(3) == Arrival::kUnknown);
  CHECK(lane.received() == 2);
}

TEST_CASE("lane: what is given back is sent again, in order, with its own due time") {
  Lane lane = lane_that_sent(6);
  const Message late[] = {{4, 40}, {5, 50}};
  const Message early[] = {{1, 10}, {2, 20}};
  lane.give_back(late);
  lane.give_back(early);
  for (const uint64_t sequence : {1, 2, 4, 5}) {
    const auto message = lane.take_given_back();
    REQUIRE(message);
    CHECK(message->sequence == sequence);
    CHECK(message->due_ns == sequence * 10);
  }
  CHECK_FALSE(lane.take_given_back());
}

}  // namespace
}  // namespace polylog::load
