// /v1/queues: queues, their counts and ready messages.
#include <fmt/format.h>

#include "protocol/amqp/field_table.h"
#include "protocol/amqp/queue_lookup.h"
#include "server/admin/resources/batch_page.h"
#include "server/admin/routes.h"

namespace polylog::server {
namespace {

using base::ErrorCode;
using base::Offset;
using broker::StreamKind;

constexpr int64_t kPeekDefault = 10, kPeekMax = 1000;
constexpr uint32_t kReadBytesMax = 1 * base::limits::kMiB;

Task<std::vector<broker::QueueStatsDone>> queue_stats(Call& call, std::vector<Record> queues) {
  Answers<broker::QueueStatsDone> stats(call.engine);
  for (const Record& queue : queues) stats.ask(queue->partitions[0], broker::QueueStatsRequest{queue->key()});
  co_return co_await stats;
}

// Members, without the braces. Counts are null where the cell does not say.
void put_queue(http::JsonWriter& out, const broker::StreamRecord& queue, const broker::QueueStatsDone& stats) {
  const auto type = queue.attributes.find(amqp::kTypeAttribute);
  const auto count = [&stats](uint32_t n) { return stats.result ? std::optional(n) : std::nullopt; };
  out.field("name", queue.name)
      .field("id", queue.id.to_string())
      .field("type", type == queue.attributes.end() ? "classic" : type->second)
      .field("durable", queue.durable)
      .field("auto_delete", queue.auto_delete)
      .field("exclusive", queue.exclusive_owner.has_value())
      .field("ready", count(stats.ready))
      .field("unacked", count(stats.open))
      .field("consumers", count(stats.consumers));
}

void put_value(http::JsonWriter& out, const amqp::FieldValue& value) {
  if (value.type == amqp::FieldType::kBool) {
    out.value(value.integer != 0);
  } else if (value.is_integer()) {
    out.value(value.integer);
  } else if (value.is_real()) {
    out.value(value.real);
  } else {
    out.value(amqp::to_text(value));
  }
}

void put_arguments(http::JsonWriter& out, const broker::StreamRecord& queue) {
  out.key("arguments").begin_object();
  const auto arguments = queue.attributes.find(amqp::kArgumentsAttribute);
  if (arguments != queue.attributes.end()) {
    amqp::TableReader reader(base::as_view(arguments->second));
    for (amqp::Field field; reader.next(field);) {
      out.key(field.key);
      put_value(out, field.value);
    }
  }
  out.end_object();
}

// The page's next queues, one more if there are.
std::vector<Record> queues_after(const Call& call, const Page& page) {
  std::vector<Record> queues;
  for (const Record& record : call.engine.broker().catalog().all()) {
    if (record->kind != StreamKind::kQueue || (!page.after.empty() && record->name <= page.after)) continue;
    queues.push_back(record);
    if (queues.size() > page.items_max) break;
  }
  return queues;
}

// Adds the messages of a run of ready entries, as far as they still are there.
Task<base::Result<>> read_run(Call& call, Record queue, Offset from, Offset end, BatchPage& page) {
  while (from < end && !page.full()) {
    ReadOrWait read(call.engine, queue->partitions[0],
                    {.partition = queue->key(), .from = from, .bytes_max = kReadBytesMax});
    const auto outcome = co_await read;
    if (outcome.item.error == ErrorCode::kOutOfRange || outcome.item.error == ErrorCode::kNotFound) break;
    if (outcome.item.error) co_return base::fail(*outcome.item.error, "the queue cannot be read now");
    if (outcome.item.batches.empty()) break;
    for (const broker::ReadBatch& batch : outcome.item.batches) {
      if (page.full()) break;
      if (const auto added = page.add(batch, from, end); !added) co_return added;
    }
    from = page.next();
  }
  co_return base::Result<>{};
}

}  // namespace

Task<Response> list_queues(Call& call) {
  ADMIN_TRY(const Page page, page_of(call));
  std::vector<Record> queues = queues_after(call, page);
  const bool more = queues.size() > page.items_max;
  if (more) queues.pop_back();
  const auto stats = co_await queue_stats(call, queues);
  http::JsonWriter out;
  out.begin_object().key("queues").begin_array();
  for (size_t i = 0; i < queues.size(); ++i) {
    out.begin_object();
    put_queue(out, *queues[i], stats[i]);
    out.end_object();
  }
  out.end_array().field("next", more ? std::optional(queues.back()->name) : std::nullopt).end_object();
  co_return json_response(out);
}

Task<Response> get_queue(Call& call) {
  ADMIN_TRY(const Record queue, call.find(StreamKind::kQueue));
  const auto stats = co_await queue_stats(call, {queue});
  http::JsonWriter out;
  out.begin_object();
  put_queue(out, *queue, stats[0]);
  put_arguments(out, *queue);
  out.end_object();
  co_return json_response(out);
}

Task<Response> peek_queue(Call& call) {
  ADMIN_TRY(const Record queue, call.find(StreamKind::kQueue));
  ADMIN_TRY(const int64_t max, call.number("max", kPeekDefault, {1, kPeekMax}));
  Answers<broker::PeekDone> peek(call.engine);
  peek.ask(queue->partitions[0], broker::PeekRequest{.queue = queue->key(), .count_max = static_cast<uint32_t>(max)});
  const broker::PeekDone ready = (co_await peek)[0];
  if (!ready.result) co_return refuse(ready.result.error());
  http::JsonWriter out;
  out.begin_object().field("queue", queue->name).key("messages").begin_array();
  BatchPage page(call.broker().encodings(), out, static_cast<size_t>(max));
  for (const auto& [first, last] : ready.ready) {
    const auto read = co_await read_run(call, queue, first, last.next(), page);
    if (!read) co_return refuse(read.error());
  }
  out.end_array().end_object();
  co_return json_response(out);
}

Task<Response> purge_queue(Call& call) {
  ADMIN_TRY(const Record queue, call.find(StreamKind::kQueue));
  Answers<broker::PurgeDone> purge(call.engine);
  purge.ask(queue->partitions[0], broker::PurgeRequest{queue->key()});
  const auto purged = (co_await purge)[0].count;
  if (!purged) co_return refuse(purged.error());
  http::JsonWriter out;
  out.begin_object().field("queue", queue->name).field("purged", *purged).end_object();
  co_return json_response(out);
}

Task<Response> delete_queue(Call& call) {
  ADMIN_TRY(const Record queue, call.find(StreamKind::kQueue));
  Answers<broker::CatalogDone> deletion(call.engine);
  deletion.change(broker::DeleteStream{queue->id});
  const auto result = (co_await deletion)[0].result;
  if (!result) co_return refuse(result.error());
  co_return Response{.status = 204};
}

}  // namespace polylog::server
