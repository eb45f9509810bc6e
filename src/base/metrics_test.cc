#include "base/metrics.h"

#include <doctest/doctest.h>

namespace polylog::base {
namespace {

std::string page(std::vector<Registry*> registries) { return Registry::render(registries); }
bool has(const std::string& text, std::string_view line) {
  return ("\n" + text).find("\n" + std::string(line) + "\n") != std::string::npos;
}

struct Part {
  explicit Part(Registry& registry) : hits(registry.counter("hits_total", "Hits")) {}
  Counter& hits;
};
struct OtherPart {
  explicit OtherPart(Registry& registry) : misses(registry.counter("misses_total", "Misses")) {}
  Counter& misses;
};

TEST_CASE("cells of the same name and labels are added up over the cores") {
  Registry a, b;
  a.counter("x_total", "X", label("kind", "p")).add(2);
  b.counter("x_total", "X", label("kind", "p")).add(3);
  b.counter("x_total", "X", label("kind", "q")).add();
  const std::string text = page({&a, &b});
  CHECK(has(text, "# TYPE x_total counter"));
  CHECK(has(text, "x_total{kind=\"p\"} 5"));
  CHECK(has(text, "x_total{kind=\"q\"} 1"));
}

TEST_CASE("a seconds counter takes nanoseconds and shows seconds") {
  Registry registry;
  registry.seconds_counter("busy_seconds_total", "Busy").add(1'500'000'000);
  CHECK(has(page({&registry}), "busy_seconds_total 1.500000"));
}

TEST_CASE("a histogram's buckets are powers of two of microseconds, and add up") {
  Registry registry;
  Histogram& histogram = registry.histogram("t_seconds", "T");
  histogram.record_ns(-5);
  histogram.record_ns(3'000);          // 3 us: below 4 us
  histogram.record_ns(INT64_MAX / 2);  // past the last bound
  const std::string text = page({&registry});
  CHECK(has(text, "t_seconds_bucket{le=\"0.000001\"} 1"));
  CHECK(has(text, "t_seconds_bucket{le=\"0.000002\"} 1"));
  CHECK(has(text, "t_seconds_bucket{le=\"0.000004\"} 2"));
  CHECK(has(text, "t_seconds_bucket{le=\"+Inf\"} 3"));
  CHECK(has(text, "t_seconds_count 3"));
}

TEST_CASE("a list is replaced as a whole, and merged by sum or by maximum") {
  Registry a, b;
  a.replace("lag", "Lag", {{"g=\"old\"", 9}});
  a.replace("lag", "Lag", {{"g=\"x\"", 1}});
  b.replace("lag", "Lag", {{"g=\"x\"", 2}});
  a.replace("worst", "Worst", {{"g=\"x\"", 4}}, Registry::Merge::kMax);
  b.replace("worst", "Worst", {{"g=\"x\"", 3}}, Registry::Merge::kMax);
  const std::string text = page({&a, &b});
  CHECK(text.find("old") == std::string::npos);
  CHECK(has(text, "lag{g=\"x\"} 3"));
  CHECK(has(text, "worst{g=\"x\"} 4"));
}

TEST_CASE("a label's value cannot break the page") {
  CHECK(label("g", "a\"b\\c") == "g=\"a\\\"b\\\\c\"");
  CHECK(label("g", "a\nb\xC3\x28") == "g=\"a%0Ab%C3(\"");
}

TEST_CASE("a registry has one part of each type") {
  Registry registry;
  registry.part<Part>().hits.add();
  registry.part<OtherPart>().misses.add(5);
  registry.part<Part>().hits.add();
  const std::string text = page({&registry});
  CHECK(has(text, "hits_total 2"));
  CHECK(has(text, "misses_total 5"));
}

}  // namespace
}  // namespace polylog::base
