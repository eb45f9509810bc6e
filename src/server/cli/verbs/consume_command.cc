// polylog stream consume and tail: pages of records of one or several partitions, in turn; of one partition in order.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "server/cli/terminal/progress.h"
#include "server/cli/verbs/context.h"
#include "server/cli/verbs/record_format.h"

namespace polylog::server {
namespace {

constexpr int64_t kPageRecords = 1000;
constexpr int64_t kWaitMs = 25'000;     // for more, with one partition
constexpr int64_t kWaitOfManyMs = 250;  // with several, on one after the other
constexpr int64_t kPartitionsMax = 100'000;

struct Source {
  int64_t partition = 0;
  std::string from;             // for the next page
  std::optional<int64_t> stop;  // the end when it began; none: follows
  bool done = false;
};

struct Consumer {
  Context& context;
  RecordFormat format = RecordFormat::kValue;
  bool follow = false;
  int64_t records_max = INT64_MAX;
  std::vector<Source> sources = {};
  std::optional<Progress> progress = {};
  int64_t records = 0, bytes = 0;
  int64_t expected = 0;  // without --follow: what lay in the partitions read so far, when it began
  const bool for_terminal = isatty(STDOUT_FILENO) != 0;

  void begin(Source& source, const http::Json& first_page) {
    source.stop = at(first_page, "end").integer();
    const http::Json::Array& first = items(first_page, "records");
    if (source.stop && !first.empty()) expected += *source.stop - at(first[0], "offset").integer().value_or(0);
  }

  std::optional<double> part_done() const {
    const int64_t all = follow ? records_max : std::min(expected, records_max);
    if (all == 0 || all == INT64_MAX) return std::nullopt;
    return static_cast<double>(records) / static_cast<double>(all);
  }

  bool done() const { return records >= records_max || std::ranges::all_of(sources, &Source::done); }

  // Writes a page of a partition; whether there was anything.
  base::Result<bool> read(Source& source, int64_t wait_ms) {
    const int64_t max = std::min(kPageRecords, records_max - records);
    TRY_ASSIGN(const http::Json page,
               context.client.get(context.path_of("streams", "/records"),
                                  fmt::format("partition={}&from={}&max={}&wait_ms={}", source.partition,
                                              http::percent_encode(source.from), max, wait_ms)));
    if (!follow && !source.stop) begin(source, page);
    std::string lines;
    bool any = false;
    for (const http::Json& record : items(page, "records")) {
      if (source.stop && at(record, "offset").integer().value_or(0) >= *source.stop) break;
      const auto line = line_of(record, format, for_terminal);
      if (!line) {
        print(lines);
        return std::unexpected(line.error());
      }
      lines += *line;
      ++records;
      any = true;
    }
    bytes += static_cast<int64_t>(lines.size());
    if (progress && !for_terminal) progress->set(records, bytes, part_done());
    print(lines);
    const int64_t next = at(page, "next").integer().value_or(0);
    const bool moved = source.from != std::to_string(next);
    source.from = std::to_string(next);
    source.done = source.stop && next >= *source.stop;
    return any || moved;
  }
};

// Which partitions, and where from.
base::Result<> choose_sources(Consumer& consumer, const std::string& from) {
  Context& context = consumer.context;
  TRY_ASSIGN(std::vector<int64_t> partitions, context.arguments.numbers("--partition", 0, kPartitionsMax));
  if (partitions.empty()) {
    TRY_ASSIGN(const http::Json stream, context.client.get(context.path_of("streams"), "max=1"));
    const int64_t count = at(stream, "partition_count").integer().value_or(1);
    for (int64_t i = 0; i < count; ++i) partitions.push_back(i);
  }
  for (const int64_t partition : partitions) {
    consumer.sources.push_back({.partition = partition, .from = from, .stop = {}});
  }
  return {};
}

base::Result<> consume(Consumer& consumer) {
  while (!consumer.done()) {
    bool any = false;
    for (Source& source : consumer.sources) {
      if (source.done || consumer.done()) continue;
      TRY_ASSIGN(const bool read, consumer.read(source, 0));
      any = any || read;
    }
    if (any || !consumer.follow || consumer.done()) continue;
    const bool one = consumer.sources.size() == 1;
    for (Source& source : consumer.sources) {
      TRY_ASSIGN(any, consumer.read(source, one ? kWaitMs : kWaitOfManyMs));
      if (any || consumer.done()) break;
    }
  }
  if (consumer.progress) consumer.progress->clear();
  return {};
}

}  // namespace

base::Result<> run_stream_consume(Context& context) {
  Consumer consumer{.context = context, .follow = context.arguments.has("--follow")};
  TRY_ASSIGN(consumer.format, format_of(context.arguments, context.json));
  TRY_ASSIGN(const auto max, context.arguments.number("--max", 1, INT64_MAX));
  consumer.records_max = max.value_or(INT64_MAX);
  consumer.progress.emplace("consumed");
  TRY(choose_sources(consumer, context.arguments.text("--from").value_or("earliest")));
  return consume(consumer);
}

base::Result<> run_stream_tail(Context& context) {
  Consumer consumer{.context = context, .follow = true};
  TRY_ASSIGN(consumer.format, format_of(context.arguments, context.json));
  TRY_ASSIGN(const auto lines, context.arguments.number("--lines", 0, INT32_MAX));
  TRY(choose_sources(consumer, fmt::format("-{}", lines.value_or(10))));
  return consume(consumer);
}

}  // namespace polylog::server
