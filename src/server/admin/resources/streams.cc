// /v1/streams: streams, which are also topics and stream queues. Their settings are those of topic_config.h; what a value
// may be is checked there.
#include <fmt/format.h>

#include <algorithm>

#include "protocol/kafka/config_changes.h"
#include "protocol/kafka/topic_config.h"
#include "protocol/kafka/topics.h"
#include "server/admin/resources/partitions.h"
#include "server/admin/routes.h"

namespace polylog::server {
namespace {

using base::ErrorCode;
using broker::StreamKind;

// Members, without the braces.
void put_stream(http::JsonWriter& out, const broker::StreamRecord& stream) {
  out.field("name", stream.name)
      .field("id", stream.id.to_string())
      .field("partition_count", stream.partitions.size())
      .field("durable", stream.durable)
      .field("auto_delete", stream.auto_delete)
      .field("exclusive", stream.exclusive_owner.has_value());
}

void put_settings(http::JsonWriter& out, const broker::StreamRecord& stream, const kafka::Config& config) {
  out.key("settings").begin_array();
  for (const kafka::TopicConfigRow& row : kafka::topic_configs()) {
    if (row.effect == kafka::Effect::kIgnored) continue;
    const auto own = kafka::own_value(stream, row.name);
    const std::string fallback = kafka::default_of(row, config, stream);
    out.begin_object()
        .field("name", row.name)
        .field("value", own ? std::string(*own) : fallback)
        .field("default", fallback)
        .field("source", own ? "stream" : "default")
        .field("acts", row.effect == kafka::Effect::kActs)
        .field("help", row.documentation)
        .end_object();
  }
  out.end_array();
}

void put_partitions(http::JsonWriter& out, const broker::StreamRecord& stream, size_t first,
                    const std::vector<broker::PartitionStatsDone::Item>& stats) {
  out.key("partitions").begin_array();
  for (size_t i = 0; i < stats.size(); ++i) {
    const bool known = !stats[i].error;
    const auto number = [known](auto value) { return known ? std::optional(value) : std::nullopt; };
    out.begin_object()
        .field("partition", first + i)
        .field("cell", stream.partitions[first + i].value)
        .field("start", number(stats[i].start.value))
        .field("end", number(stats[i].committed.value))
        .field("stored_bytes", number(stats[i].size_bytes))
        .field("batches", number(stats[i].batches))
        .field("error", known ? std::nullopt : std::optional(base::name_of(*stats[i].error)))
        .end_object();
  }
  out.end_array();
}

Task<Response> describe(Call& call, Record stream, int status, size_t first, size_t count) {
  first = std::min(first, stream->partitions.size());
  count = std::min(count, stream->partitions.size() - first);
  const auto stats = co_await partition_stats(call, stream, first, count);
  http::JsonWriter out;
  out.begin_object();
  put_stream(out, *stream);
  put_settings(out, *stream, call.state.kafka->config());
  put_partitions(out, *stream, first, stats);
  out.end_object();
  co_return json_response(out, status);
}

// A setting's value in JSON: text, a number, true or false; null: the default again.
base::Result<kafka::ConfigChange> change_of(const std::string& name, const http::Json& value) {
  if (value.is_null()) {
    return kafka::ConfigChange{.name = name, .operation = kafka::ConfigOperation::kDelete, .value = {}};
  }
  if (value.array() != nullptr || value.object() != nullptr) {
    return base::fail(ErrorCode::kInvalid, fmt::format("{}: a setting is text, a number, true, false or null", name));
  }
  return kafka::ConfigChange{.name = name, .value = value.plain()};
}

base::Result<kafka::Attributes> attributes_after(const broker::StreamRecord& stream, const http::Json* settings,
                                                 const kafka::Config& config) {
  if (settings == nullptr) return stream.attributes;
  if (settings->object() == nullptr) return base::fail(ErrorCode::kInvalid, "settings is not an object");
  kafka::ConfigChanges changes;
  for (const auto& [name, value] : *settings->object()) {
    TRY_ASSIGN(kafka::ConfigChange change, change_of(name, value));
    changes.changes.push_back(std::move(change));
  }
  auto attributes = kafka::attributes_after(stream, changes, config);
  if (!attributes) return base::fail(ErrorCode::kInvalid, attributes.error().why);
  return std::move(*attributes);
}

base::Result<int64_t> partition_count_of(const http::Json* count, int64_t fallback) {
  if (count == nullptr) return fallback;
  if (const auto whole = count->integer(); whole && *whole > 0 && *whole <= kafka::limits::kTopicPartitionsMax) {
    return *whole;
  }
  return base::fail(ErrorCode::kInvalid,
                    fmt::format("partitions: a whole number from 1 to {}", kafka::limits::kTopicPartitionsMax));
}

base::Result<broker::CreateStream> creation_of(const Call& call, const http::Json& body) {
  const http::Json* name = body.find("name");
  if (name == nullptr || name->text() == nullptr || !kafka::is_valid_topic_name(*name->text())) {
    return base::fail(ErrorCode::kInvalid, "name: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'");
  }
  broker::StreamRecord wanted{.id = {}, .name = *name->text()};
  TRY_ASSIGN(const int64_t partitions,
             partition_count_of(body.find("partitions"), call.state.kafka->config().num_partitions));
  TRY_ASSIGN(wanted.attributes, attributes_after(wanted, body.find("settings"), call.state.kafka->config()));
  return broker::CreateStream{.wanted = std::move(wanted), .partition_count = static_cast<uint32_t>(partitions)};
}

Task<broker::CatalogDone> change_catalog(Call& call, broker::CatalogRequest request) {
  Answers<broker::CatalogDone> done(call.engine);
  done.change(std::move(request));
  co_return (co_await done)[0];
}

}  // namespace

Task<Response> list_streams(Call& call) {
  ADMIN_TRY(const Page page, page_of(call));
  http::JsonWriter out;
  out.begin_object().key("streams").begin_array();
  size_t count = 0;
  std::optional<std::string> next;
  std::string last;
  for (const Record& record : call.broker().catalog().all()) {
    if (record->kind != StreamKind::kStream || (!page.after.empty() && record->name <= page.after)) continue;
    if (count++ == page.items_max) {
      next = last;
      break;
    }
    out.begin_object();
    put_stream(out, *record);
    out.end_object();
    last = record->name;
  }
  out.end_array().field("next", next).end_object();
  co_return json_response(out);
}

Task<Response> get_stream(Call& call) {
  ADMIN_TRY(const Record stream, call.find(StreamKind::kStream));
  ADMIN_TRY(const int64_t first, call.number("from_partition", 0, {}));
  ADMIN_TRY(const int64_t max, call.number("max", kPageItemsDefault, {1, kPageItemsMax}));
  co_return co_await describe(call, stream, 200, static_cast<size_t>(first), static_cast<size_t>(max));
}

Task<Response> create_stream(Call& call) {
  ADMIN_TRY(const http::Json body, call.body({"name", "partitions", "settings"}));
  ADMIN_TRY(auto request, creation_of(call, body));
  const auto done = co_await change_catalog(call, std::move(request));
  if (!done.result) co_return refuse(done.result.error());
  co_return co_await describe(call, done.record, 201, 0, kPageItemsDefault);
}

Task<Response> alter_stream(Call& call) {
  ADMIN_TRY(Record stream, call.find(StreamKind::kStream));
  ADMIN_TRY(const http::Json body, call.body({"partitions", "settings"}));
  const auto current = static_cast<int64_t>(stream->partitions.size());
  ADMIN_TRY(const int64_t partitions, partition_count_of(body.find("partitions"), current));
  ADMIN_TRY(auto attributes, attributes_after(*stream, body.find("settings"), call.state.kafka->config()));
  if (partitions < current) {
    co_return refuse(400, "invalid", fmt::format("partitions: there are {}, and they can only grow", current));
  }
  if (attributes != stream->attributes) {
    const auto done = co_await change_catalog(
        call, broker::AlterStream{
                  .id = stream->id, .expected_version = stream->version, .attributes = std::move(attributes)});
    if (!done.result) co_return refuse(done.result.error());
    stream = done.record;
  }
  if (partitions > current) {
    const auto done = co_await change_catalog(
        call, broker::AddPartitions{.id = stream->id, .partition_count = static_cast<uint32_t>(partitions)});
    if (!done.result) co_return refuse(done.result.error());
    stream = done.record;
  }
  co_return co_await describe(call, stream, 200, 0, kPageItemsDefault);
}

Task<Response> delete_stream(Call& call) {
  ADMIN_TRY(const Record stream, call.find(StreamKind::kStream));
  const auto done = co_await change_catalog(call, broker::DeleteStream{stream->id});
  if (!done.result) co_return refuse(done.result.error());
  co_return Response{.status = 204};
}

}  // namespace polylog::server
