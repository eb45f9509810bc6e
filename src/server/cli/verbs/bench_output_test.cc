#include "server/cli/verbs/bench_output.h"

#include <doctest/doctest.h>

#include "http/json/value.h"

namespace polylog::server {
namespace {

load::Results results_with_an_outage() {
  load::Results results{.protocol = "amqp", .target = "h:1", .name = "q", .profile = "1k"};
  results.due_rate = 1000;
  results.received_rate = 1000;
  results.deliver_latency.add(2'000'000);
  results.lost = 3;
  results.outages.push_back({.began_ns = 1'500'000'000, .connected_ns = 1'700'000'000, .silence_ack_ns = 250'000'000});
  return results;
}

TEST_CASE("bench output: JSON has the figures, and null for what did not happen") {
  const auto json = http::parse_json(bench_json(results_with_an_outage()));
  REQUIRE(json);
  CHECK(json->find("lost")->integer() == 3);
  CHECK(json->find("server")->is_null());
  CHECK(json->find("last_error")->is_null());
  CHECK(json->find("deliver_latency_ms")->find("p99.99") != nullptr);
  CHECK(json->find("acknowledge_latency_ms")->find("p99.99") == nullptr);
  const auto& outage = json->find("outages")->array()->front();
  CHECK(outage.find("connected_after_ms")->number() == 200);
  CHECK(outage.find("received_after_ms")->is_null());
  CHECK(outage.find("recovered")->boolean() == false);
}

TEST_CASE("bench output: text says what was lost and how long nothing was acknowledged") {
  const std::string text = bench_text(results_with_an_outage());
  CHECK(text.find("nothing acknowledged for 250 ms, until the end") != std::string::npos);
  CHECK(text.find("note: 3 messages acknowledged and never received") != std::string::npos);
  CHECK(text.find("p99.99") != std::string::npos);
}

}  // namespace
}  // namespace polylog::server
