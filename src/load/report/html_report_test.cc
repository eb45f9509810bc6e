#include "load/report/html_report.h"

#include <doctest/doctest.h>

#include "load/report/svg_plot.h"
#include "load/report/wording.h"

namespace polylog::load {
namespace {

constexpr uint64_t kMs = 1'000'000;

Results fixed_results() {
  Results results{.protocol = "kafka", .target = "h<1>:9092", .name = "t", .profile = "1k"};
  results.due_rate = 1000;
  results.acknowledged_rate = results.received_rate = 999;
  results.measured_seconds = 2;
  for (int i = 1; i <= 1000; ++i) {
    results.deliver_latency.add(static_cast<uint64_t>(i) * kMs / 100);
    results.acknowledge_latency.add(static_cast<uint64_t>(i) * kMs / 200);
  }
  for (int i = 0; i < 3; ++i) {
    results.intervals.push_back(
        {.begin_seconds = i * 0.5, .seconds = 0.5, .due = 500, .acknowledged = 500, .received = 500, .p50_ns = kMs});
  }
  results.outages.push_back({.began_ns = 500 * kMs,
                             .connected_ns = 700 * kMs,
                             .acknowledged_ns = 710 * kMs,
                             .received_ns = 720 * kMs,
                             .silence_ack_ns = 211 * kMs,
                             .silence_receive_ns = 222 * kMs});
  return results;
}

size_t count_of(const std::string& text, std::string_view what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) count++;
  return count;
}

TEST_CASE("html report: plots, figures and outages of a run are in it, and nothing from elsewhere") {
  const std::string page = html_report(fixed_results());
  CHECK(count_of(page, "<svg ") == 4);
  CHECK(count_of(page, "</svg>") == 4);
  CHECK(page.find("p99.99") != std::string::npos);
  CHECK(page.find("connected after 200 ms") != std::string::npos);
  CHECK(page.find("nothing acknowledged for 211 ms") != std::string::npos);
  CHECK(page.find("nothing received for 222 ms") != std::string::npos);
  CHECK(page.find("fill-opacity=\"0.15\"") != std::string::npos);  // the outage in the plots
  for (const char* elsewhere : {"http:", "https:", "src=", "href=", "<script", "@import", "url("}) {
    CHECK(page.find(elsewhere) == std::string::npos);
  }
}

TEST_CASE("html report: names are escaped, and no number is missing") {
  const std::string page = html_report(fixed_results());
  CHECK(page.find("h<1>") == std::string::npos);
  CHECK(page.find("h&lt;1&gt;:9092") != std::string::npos);
  for (const char* broken : {"nan", "inf"}) CHECK(page.find(std::string(broken) + ' ') == std::string::npos);
}

TEST_CASE("html report: a run that got nothing through still has its page; a server adds two plots") {
  Results results;
  CHECK(count_of(html_report(results), "<svg ") == 4);
  results.server = ServerUse{.pid = 1};
  CHECK(count_of(html_report(results), "<svg ") == 6);
}

TEST_CASE("svg plot: ticks are round and cover the range") {
  for (const double max : {0.0, 0.7, 1.0, 3.0, 99.0, 123456.0}) {
    const auto ticks = linear_ticks(max);
    CAPTURE(max);
    CHECK(ticks.size() >= 2);
    CHECK(ticks.size() <= 12);
    CHECK(ticks.front().at == 0);
    CHECK(ticks.back().at >= max);
  }
  const auto decades = decade_ticks(0.03, 20);
  REQUIRE(decades.size() == 5);
  CHECK(decades.front().label == "0.01");
  CHECK(decades.back().label == "100");
}

TEST_CASE("wording: durations have three digits and the notes say what to distrust") {
  CHECK(duration_text(420'000) == "420 us");
  CHECK(duration_text(1'310'000'000) == "1.31 s");
  CHECK(duration_text(12'340'000) == "12.3 ms");
  Results results = fixed_results();
  CHECK(notes(results).empty());
  results.received_rate = 900;
  results.lost = 1;
  results.client_cpu = 1;
  CHECK(notes(results).size() == 3);
  CHECK(notes(results)[0] == "1 message acknowledged and never received");
}

}  // namespace
}  // namespace polylog::load
