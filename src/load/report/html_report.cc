#include "load/report/html_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "load/clock.h"
#include "load/report/svg_plot.h"
#include "load/report/wording.h"

namespace polylog::load {
namespace {

constexpr const char* kBlue = "#1f6fb4";
constexpr const char* kGreen = "#2a9d4a";
constexpr const char* kRed = "#c8372d";
constexpr const char* kGrey = "#999";
constexpr const char* kStyle =
    "body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222}"
    "svg{width:100%;height:auto;font:12px system-ui,sans-serif}"
    "table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}"
    "td:first-child,th:first-child{text-align:left}.note{background:#fdf3d8;padding:.3em .8em}";

double ms_of(uint64_t ns) { return static_cast<double>(ns) / 1e6; }
double seconds_of(uint64_t ns) { return static_cast<double>(ns) / static_cast<double>(kSecondNs); }

// The time at which an outage was over, as far as it was.
double end_of(const Outage& outage) {
  const uint64_t last = std::max({outage.connected_ns, outage.acknowledged_ns, outage.received_ns});
  return seconds_of(outage.over() ? last : std::max(last, outage.began_ns + outage.silence_ack_ns));
}

template <typename Value>
Series over_time(const Results& results, const char* name, const char* color, Value value) {
  Series series{.name = name, .color = color, .points = {}};
  for (const Interval& interval : results.intervals) {
    series.points.emplace_back(interval.begin_seconds + interval.seconds / 2, value(interval));
  }
  return series;
}

Plot time_plot(const Results& results, Axis y) {
  Plot plot{.x = {"seconds"}, .y = std::move(y), .series = {}};
  for (const Outage& outage : results.outages) plot.bands.emplace_back(seconds_of(outage.began_ns), end_of(outage));
  return plot;
}

std::string rate_plot(const Results& results) {
  Plot plot = time_plot(results, {"messages/s"});
  const auto rate = [](uint64_t Interval::* count) {
    return [count](const Interval& each) { return static_cast<double>(each.*count) / each.seconds; };
  };
  if (results.due_rate > 0) plot.series.push_back(over_time(results, "due", kGrey, rate(&Interval::due)));
  plot.series.push_back(over_time(results, "acknowledged", kBlue, rate(&Interval::acknowledged)));
  plot.series.push_back(over_time(results, "received", kGreen, rate(&Interval::received)));
  return svg_plot(plot);
}

std::string latency_plot(const Results& results) {
  Plot plot = time_plot(results, {.label = "ms, from due to received", .logarithmic = true});
  const auto ms = [](uint64_t Interval::* ns) { return [ns](const Interval& each) { return ms_of(each.*ns); }; };
  plot.series.push_back(over_time(results, "p50", kGreen, ms(&Interval::p50_ns)));
  plot.series.push_back(over_time(results, "p99", kBlue, ms(&Interval::p99_ns)));
  plot.series.push_back(over_time(results, "max", kRed, ms(&Interval::max_ns)));
  return svg_plot(plot);
}

// How many of a hundred messages fell into each twentieth of a decade.
Series distribution(const char* name, const char* color, const Histogram& latencies) {
  constexpr double kBinsPerDecade = 20;
  Series series{.name = name, .color = color, .points = {}, .filled = true};
  const auto edge = [](double bin) { return std::pow(10, bin / kBinsPerDecade) / 1e6; };
  double last_bin = 0;
  latencies.for_each_bucket([&](uint64_t ns, uint64_t count) {
    const double bin = std::floor(std::log10(static_cast<double>(std::max<uint64_t>(ns, 1))) * kBinsPerDecade);
    const double share = 100 * static_cast<double>(count) / static_cast<double>(latencies.count());
    if (!series.points.empty() && bin == last_bin) {
      series.points.back().second += share;
      return;
    }
    // Bins that nothing fell into are at zero, not bridged.
    if (series.points.empty() || bin > last_bin + 1) {
      if (!series.points.empty()) series.points.emplace_back(edge(last_bin + 1), 0);
      series.points.emplace_back(edge(bin - 1), 0);
    }
    series.points.emplace_back(edge(bin), share);
    last_bin = bin;
  });
  if (!series.points.empty()) series.points.emplace_back(edge(last_bin + 1), 0);
  return series;
}

std::string distribution_plot(const Results& results) {
  return svg_plot({.x = {.label = "ms", .logarithmic = true},
                   .y = {"% of messages"},
                   .series = {distribution("due to received", kGreen, results.deliver_latency),
                              distribution("due to acknowledged", kBlue, results.acknowledge_latency)}});
}

// Against how many messages one is slower: 10 is p90, 100 is p99.
Series percentile_curve(const char* name, const char* color, const Histogram& latencies) {
  constexpr double kOneInMax = 1e5, kStep = 1.1;
  Series series{.name = name, .color = color, .points = {}};
  if (latencies.count() == 0) return series;
  const double one_in_max = std::min(kOneInMax, static_cast<double>(latencies.count()));
  for (double one_in = 1; one_in <= one_in_max; one_in *= kStep) {
    series.points.emplace_back(one_in, ms_of(latencies.percentile_ns(1 - 1 / one_in)));
  }
  return series;
}

std::string percentile_plot(const Results& results) {
  return svg_plot(
      {.x = {.label = "percentile",
             .logarithmic = true,
             .ticks =
                 {{1, "0"}, {2, "p50"}, {10, "p90"}, {100, "p99"}, {1e3, "p99.9"}, {1e4, "p99.99"}, {1e5, "p99.999"}}},
       .y = {.label = "ms", .logarithmic = true},
       .series = {percentile_curve("due to received", kGreen, results.deliver_latency),
                  percentile_curve("due to acknowledged", kBlue, results.acknowledge_latency)}});
}

std::string server_plots(const Results& results) {
  if (!results.server) return {};
  Plot cpu = time_plot(results, {"CPUs used"});
  cpu.series.push_back(over_time(results, "server", kBlue, [](const Interval& each) { return each.server_cpu; }));
  Plot memory = time_plot(results, {"MiB"});
  memory.series.push_back(over_time(results, "server", kBlue, [](const Interval& each) {
    return static_cast<double>(each.server_resident_bytes) / (1 << 20);
  }));
  return "<h2>Server: processor time</h2>\n" + svg_plot(cpu) + "<h2>Server: memory</h2>\n" + svg_plot(memory);
}

std::string table_row(const char* name, const Histogram& latencies) {
  std::string row = fmt::format("<tr><td>{}</td>", name);
  for (const auto& [percentile, part] : kPercentiles) {
    row += fmt::format("<td>{}</td>", duration_text(latencies.percentile_ns(part)));
  }
  return row + fmt::format("<td>{}</td></tr>\n", duration_text(latencies.max_ns()));
}

std::string latency_table(const Results& results) {
  std::string head = "<tr><th>latency from due to</th>";
  for (const auto& [percentile, part] : kPercentiles) head += fmt::format("<th>{}</th>", percentile);
  return "<table>\n" + head + "<th>max</th></tr>\n" + table_row("received", results.deliver_latency) +
         table_row("acknowledged", results.acknowledge_latency) + "</table>\n";
}

std::string paragraph(std::string_view text, const char* kind = "") {
  return fmt::format("<p{}>{}</p>\n", kind, escaped(text));
}

}  // namespace

std::string html_report(const Results& results) {
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>polylog bench: {}</title>"
      "<style>{}</style></head><body>\n<h1>polylog bench</h1>\n",
      escaped(results.target), kStyle);
  page += paragraph(setup_text(results)) + paragraph(rates_text(results)) + paragraph(messages_text(results));
  if (results.server) page += paragraph(server_text(results));
  for (const Outage& outage : results.outages) page += paragraph(outage_text(outage));
  for (const std::string& note : notes(results)) page += paragraph(note, " class=\"note\"");
  page += latency_table(results);
  page += "<h2>Rate</h2>\n" + rate_plot(results) + "<h2>Latency</h2>\n" + latency_plot(results);
  page += "<h2>Percentiles</h2>\n" + percentile_plot(results) + "<h2>Distribution</h2>\n" + distribution_plot(results);
  return page + server_plots(results) + "</body></html>\n";
}

}  // namespace polylog::load
