#include "server/admin/resources/partitions.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/kafka/mapping.h"

namespace polylog::server {
namespace {

using base::ErrorCode;
using base::Offset;
using What = Place::What;

Task<base::Result<Offset>> find_offset(Call& call, Record stream, uint32_t partition,
                                       broker::FindOffsetRequest request) {
  Answers<broker::FindOffsetDone> found(call.engine);
  request.partition = stream->key(partition);
  found.ask(stream->partitions[partition], request);
  co_return (co_await found)[0].offset;
}

// The engine finds the batch; the record in it is found by its timestamp.
Task<base::Result<Offset>> offset_at_time(Call& call, Record stream, uint32_t partition, base::WallTime time) {
  using Ask = broker::FindOffsetRequest::What;
  const auto batch = co_await find_offset(call, stream, partition, {.what = Ask::kTime, .time = time});
  if (!batch) co_return batch;
  if (batch->value < 0) co_return co_await find_offset(call, stream, partition, {.what = Ask::kCommitted});
  ReadOrWait read(call.engine, stream->partitions[partition],
                  {.partition = stream->key(partition), .from = *batch, .bytes_max = 1});
  const auto outcome = co_await read;
  if (outcome.item.error) co_return base::fail(*outcome.item.error);
  for (const broker::ReadBatch& candidate : outcome.item.batches) {
    const auto record = kafka::find_by_time(call.broker().encodings(), candidate, time.ms, *batch);
    if (record) co_return record->offset;
  }
  co_return *batch;
}

}  // namespace

Task<std::vector<broker::PartitionStatsDone::Item>> partition_stats(Call& call, Record stream, size_t first,
                                                                    size_t count) {
  std::map<base::CellId, broker::PartitionStatsRequest> requests;
  for (size_t i = first; i < first + count; ++i) {
    requests[stream->partitions[i]].partitions.push_back(stream->key(static_cast<uint32_t>(i)));
  }
  Answers<broker::PartitionStatsDone> stats(call.engine);
  for (const auto& [cell, request] : requests) stats.ask(cell, request);
  const auto answers = co_await stats;
  std::vector<broker::PartitionStatsDone::Item> items(count);
  size_t answer = 0;
  for (const auto& [cell, request] : requests) {
    for (size_t i = 0; i < request.partitions.size(); ++i) {
      items[request.partitions[i].index - first] = answers[answer].items[i];
    }
    ++answer;
  }
  co_return items;
}

base::Result<Place> place_of(std::string_view text) {
  constexpr std::string_view kTimePrefix = "time:";
  if (text == "earliest") return Place{What::kEarliest};
  if (text == "latest") return Place{What::kLatest};
  if (text.starts_with(kTimePrefix)) {
    TRY_ASSIGN(const int64_t ms, number_of("time", text.substr(kTimePrefix.size()), {}));
    return Place{What::kTime, ms};
  }
  if (text.starts_with('-')) {
    TRY_ASSIGN(const int64_t count, number_of("position", text.substr(1), {}));
    return Place{What::kBeforeEnd, count};
  }
  const auto offset = number_of("position", text, {});
  if (offset) return Place{What::kOffset, *offset};
  return base::fail(ErrorCode::kInvalid,
                    fmt::format("'{}' is no position: use earliest, latest, an offset, -N for N before the end, or "
                                "time:MS in ms since 1970",
                                text));
}

Task<base::Result<Offset>> offset_of(Call& call, Record stream, uint32_t partition, Place place) {
  if (place.what == What::kTime) co_return co_await offset_at_time(call, stream, partition, {place.number});
  const auto stats = co_await partition_stats(call, stream, partition, 1);
  const auto& at = stats[0];
  if (at.error) co_return base::fail(*at.error, fmt::format("partition {} cannot be read now", partition));
  switch (place.what) {
    case What::kTime:
    case What::kEarliest: co_return at.start;
    case What::kLatest: co_return at.committed;
    case What::kBeforeEnd: co_return Offset(std::max(at.start.value, at.committed.value - place.number));
    case What::kOffset: break;
  }
  if (place.number < at.start.value || place.number > at.committed.value) {
    co_return base::fail(ErrorCode::kOutOfRange,
                         fmt::format("partition {} has the offsets {} to {} (the next one), not {}", partition,
                                     at.start.value, at.committed.value, place.number));
  }
  co_return Offset(place.number);
}

}  // namespace polylog::server
