// /v1/streams/{stream}/records: reading from a place on, with a long poll, and producing.
#include <fmt/format.h>

#include <algorithm>

#include "protocol/kafka/mapping.h"
#include "protocol/kafka/topic_config.h"
#include "server/admin/resources/batch_page.h"
#include "server/admin/resources/message_json.h"
#include "server/admin/resources/partitions.h"
#include "server/admin/routes.h"

namespace polylog::server {
namespace {

using base::ErrorCode;
using base::Offset;
using broker::StreamKind;

constexpr int64_t kRecordsDefault = 100, kRecordsMax = 10'000;
constexpr int64_t kWaitMsMax = 30'000;
constexpr uint32_t kReadBytesMax = 1 * base::limits::kMiB;

base::Result<int64_t> partition_of(const Call& call, const broker::StreamRecord& stream) {
  const auto count = static_cast<int64_t>(stream.partitions.size());
  if (call.parameter("partition") == nullptr && count > 1) {
    return base::fail(ErrorCode::kInvalid, fmt::format("say which partition: there are 0 to {}", count - 1));
  }
  return call.number("partition", 0, {0, count - 1});
}

struct ReadPlan {
  Record stream;
  uint32_t partition = 0;
  size_t records_max = 0;
  std::optional<base::MonoTime> deadline;  // waits until then when nothing is there
};

base::Result<ReadPlan> plan_of(Call& call) {
  ReadPlan plan;
  TRY_ASSIGN(plan.stream, call.find(StreamKind::kStream));
  TRY_ASSIGN(const int64_t partition, partition_of(call, *plan.stream));
  TRY_ASSIGN(const int64_t max, call.number("max", kRecordsDefault, {1, kRecordsMax}));
  TRY_ASSIGN(const int64_t wait_ms, call.number("wait_ms", 0, {0, kWaitMsMax}));
  plan.partition = static_cast<uint32_t>(partition);
  plan.records_max = static_cast<size_t>(max);
  if (wait_ms > 0) plan.deadline = call.broker().loop().now() + std::chrono::milliseconds(wait_ms);
  return plan;
}

base::Result<Place> start_of(const Call& call) {
  const std::string* from = call.parameter("from");
  return place_of(from == nullptr ? "earliest" : *from);
}

// Waits at most once for something to come; what came is then read.
Task<broker::ReadDone::Item> read_at(Call& call, const ReadPlan& plan, Offset from) {
  const broker::ReadRequest::Item item{
      .partition = plan.stream->key(plan.partition), .from = from, .bytes_max = kReadBytesMax};
  const base::CellId cell = plan.stream->partitions[plan.partition];
  ReadOrWait first(call.engine, cell, item, plan.deadline);
  auto outcome = co_await first;
  if (outcome.grown) {
    ReadOrWait again(call.engine, cell, item);
    outcome = co_await again;
  }
  co_return std::move(outcome.item);
}

std::string why_not_read(ErrorCode code, Offset from) {
  if (code == ErrorCode::kOutOfRange) return fmt::format("offset {} is not there any more", from.value);
  return code == ErrorCode::kNotFound ? "the stream was deleted" : "the partition cannot be read now";
}

// ---- producing

struct Batch {
  uint32_t partition = 0;
  std::vector<broker::HubMessage> messages;
};

base::Result<Batch> batch_of(const broker::StreamRecord& stream, const http::Json& body) {
  Batch batch;
  const auto count = static_cast<int64_t>(stream.partitions.size());
  if (const http::Json* partition = body.find("partition"); partition != nullptr && !partition->is_null()) {
    const auto index = partition->integer().value_or(-1);
    if (index < 0 || index >= count) {
      return base::fail(ErrorCode::kInvalid, fmt::format("partition: a whole number from 0 to {}", count - 1));
    }
    batch.partition = static_cast<uint32_t>(index);
  } else if (count > 1) {
    return base::fail(ErrorCode::kInvalid, fmt::format("say which partition: there are 0 to {}", count - 1));
  }
  const http::Json* records = body.find("records");
  if (records == nullptr || records->array() == nullptr || records->array()->empty() ||
      records->array()->size() > static_cast<size_t>(kRecordsMax)) {
    return base::fail(ErrorCode::kInvalid, fmt::format("records: an array of 1 to {}", kRecordsMax));
  }
  for (const http::Json& record : *records->array()) {
    TRY_ASSIGN(broker::HubMessage message, message_of(record));
    batch.messages.push_back(std::move(message));
  }
  return batch;
}

// The batch by the stream's own rules: its size, its keys, whose clock.
base::Result<broker::AppendRequest> append_of(Call& call, const broker::StreamRecord& stream, const Batch& batch) {
  const base::WallTime now = call.broker().loop().wall_now();
  auto built = call.broker().encodings().find(kafka::kEncodingTag)->from_hub(batch.messages, now);
  const kafka::TopicSettings settings = kafka::settings_of(stream, call.state.kafka->config());
  const auto checked = kafka::validate_batch(built.bytes, settings.rules(now.ms, true));
  if (!checked) {
    const bool large = checked.error().code == kafka::ErrorCode::kMessageTooLarge;
    return base::fail(large ? ErrorCode::kTooLarge : ErrorCode::kInvalid,
                      "the stream does not take this: " + std::string(checked.error().why));
  }
  if (settings.log_append_time) {
    kafka::set_log_append_time(built.bytes, now.ms);
    built.max_ts = now;
  }
  return broker::AppendRequest{.partition = stream.key(batch.partition),
                               .bytes = {},
                               .owned = base::Slice::copy_of(built.bytes),
                               .encoding = kafka::kEncodingTag,
                               .count = static_cast<uint32_t>(batch.messages.size()),
                               .max_ts = built.max_ts};
}

}  // namespace

Task<Response> read_records(Call& call) {
  ADMIN_TRY(const ReadPlan plan, plan_of(call));
  ADMIN_TRY(const Place place, start_of(call));
  ADMIN_TRY(const Offset from, co_await offset_of(call, plan.stream, plan.partition, place));
  const broker::ReadDone::Item read = co_await read_at(call, plan, from);
  if (read.error) co_return refuse(base::Error{*read.error, why_not_read(*read.error, from)});
  http::JsonWriter out;
  out.begin_object().field("stream", plan.stream->name).field("partition", plan.partition);
  out.field("start", read.start.value).field("end", read.committed.value).key("records").begin_array();
  BatchPage page(call.broker().encodings(), out, plan.records_max);
  Offset next = from;
  for (const broker::ReadBatch& batch : read.batches) {
    if (page.full()) break;
    const auto added = page.add(batch, from, read.committed);
    if (!added) co_return refuse(added.error());
    next = page.next();
  }
  out.end_array().field("next", next.value).end_object();
  co_return json_response(out);
}

Task<Response> produce_records(Call& call) {
  ADMIN_TRY(const Record stream, call.find(StreamKind::kStream));
  ADMIN_TRY(const http::Json body, call.body({"partition", "records"}));
  ADMIN_TRY(const Batch batch, batch_of(*stream, body));
  ADMIN_TRY(auto request, append_of(call, *stream, batch));
  // Pressure of any other kind passes: the append waits in its cell, within the bounds there.
  if (call.broker().disk_full())
    co_return refuse(503, "disk_full", "the disk is full; nothing is taken until it is not");
  Answers<broker::AppendDone> appended(call.engine);
  appended.ask(stream->partitions[batch.partition], std::move(request));
  const broker::AppendDone done = (co_await appended)[0];
  if (!done.base_offset) co_return refuse(done.base_offset.error());
  http::JsonWriter out;
  out.begin_object().field("stream", stream->name).field("partition", batch.partition);
  out.field("base_offset", done.base_offset->value).field("count", batch.messages.size()).end_object();
  co_return json_response(out, 201);
}

}  // namespace polylog::server
