#include "broker/watches.h"

#include <doctest/doctest.h>

namespace polylog::broker {
namespace {

base::PartitionKey key(uint32_t index) { return {{}, index}; }
ReplyTo watcher(uint64_t session, uint64_t token) { return {{base::CoreId(0), session}, Token{token}}; }

TEST_CASE("a_watch_fires_once_for_whichever_partition_comes_first") {
  Watches watches;
  watches.add(watcher(1, 1), {key(1), key(2), key(1)});
  watches.add(watcher(1, 2), {key(2)});
  CHECK(watches.fire(key(3)).empty());
  CHECK(watches.fire(key(2)).size() == 2);
  CHECK(watches.fire(key(1)).empty());
  CHECK(watches.size() == 0);
}

TEST_CASE("removed_and_replaced_watches_and_those_of_closed_sessions_do_not_fire") {
  Watches watches;
  watches.add(watcher(1, 1), {key(1)});
  watches.remove(watcher(1, 1));
  watches.remove(watcher(1, 1));
  CHECK(watches.fire(key(1)).empty());
  watches.add(watcher(1, 1), {key(1)});
  watches.add(watcher(1, 1), {key(2)});
  CHECK(watches.fire(key(1)).empty());
  watches.add(watcher(1, 3), {key(1)});
  watches.add(watcher(2, 1), {key(1)});
  watches.remove_session(watcher(1, 0).session);
  REQUIRE(watches.size() == 1);
  CHECK(watches.fire(key(1)).front().session.number == 2);
  CHECK(watches.fire(key(2)).empty());
}

}  // namespace
}  // namespace polylog::broker
