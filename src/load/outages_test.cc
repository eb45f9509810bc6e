#include "load/outages.h"

#include <doctest/doctest.h>

namespace polylog::load {
namespace {

TEST_CASE("outages: one that ends has its lengths") {
  Outages outages(0);
  outages.on_acknowledged(100);
  outages.on_received(110);
  outages.on_down(200);
  outages.on_down(210);
  outages.on_up(900);
  CHECK(outages.open());
  outages.on_up(950);
  outages.on_acknowledged(1000);
  CHECK(outages.open());
  outages.on_received(1100);
  CHECK_FALSE(outages.open());
  REQUIRE(outages.all().size() == 1);
  const Outage& outage = outages.all()[0];
  CHECK(outage.began_ns == 200);
  CHECK(outage.connected_ns == 950);
  CHECK(outage.silence_ack_ns == 900);
  CHECK(outage.silence_receive_ns == 990);
  CHECK(outage.over());
}

TEST_CASE("outages: what a connection still had in its buffer is no recovery") {
  Outages outages(0);
  outages.on_acknowledged(100);
  outages.on_received(100);
  outages.on_down(200);      // the producer's
  outages.on_received(205);  // the consumer has not noticed yet
  outages.on_down(210);
  outages.on_up(500);
  outages.on_up(500);
  outages.on_acknowledged(510);
  CHECK(outages.open());
  outages.on_received(520);
  REQUIRE(outages.all().size() == 1);
  CHECK(outages.all()[0].received_ns == 520);
  CHECK(outages.all()[0].silence_receive_ns == 315);
}

TEST_CASE("outages: one that is not over by the end lasts until then") {
  Outages outages(0);
  outages.on_down(200);
  outages.finish(1000);
  REQUIRE(outages.all().size() == 1);
  CHECK_FALSE(outages.all()[0].over());
  CHECK(outages.all()[0].silence_ack_ns == 1000);
}

TEST_CASE("outages: two breaks with recovery between them are two") {
  Outages outages(0);
  for (const uint64_t begin : {1000, 2000}) {
    outages.on_down(begin);
    outages.on_up(begin + 10);
    outages.on_acknowledged(begin + 20);
    outages.on_received(begin + 30);
  }
  CHECK(outages.all().size() == 2);
}

}  // namespace
}  // namespace polylog::load
