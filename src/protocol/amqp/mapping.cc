#include "protocol/amqp/mapping.h"

#include <charconv>

#include "base/utf8.h"
#include "protocol/amqp/field_table.h"
#include "protocol/amqp/properties.h"
#include "protocol/amqp/strings.h"

namespace polylog::amqp {
namespace {

using broker::HeaderValue;
using broker::HubMessage;

constexpr std::string_view kKeyHeader = "x-polylog-key";
constexpr std::string_view kNullBodyHeader = "x-polylog-null-body";
constexpr std::string_view kClusterIdHeader = "cluster-id";
constexpr std::string_view kStreamOffsetHeader = "x-stream-offset";
constexpr int64_t kMsPerSecond = 1000;

HeaderValue to_hub_value(const FieldValue& value) {
  switch (value.type) {
    case FieldType::kBool: return value.integer != 0;
    case FieldType::kInt8:
    case FieldType::kUint8:
    case FieldType::kInt16:
    case FieldType::kUint16:
    case FieldType::kInt32:
    case FieldType::kUint32:
    case FieldType::kInt64:
    case FieldType::kInt64Alias: return value.integer;
    case FieldType::kFloat:
    case FieldType::kDouble: return value.real;
    case FieldType::kTimestamp: return base::WallTime{value.integer * kMsPerSecond};
    case FieldType::kLongstr: return std::string(value.text());
    case FieldType::kBytes: return broker::Binary{std::string(value.text())};
    case FieldType::kVoid: return std::monostate{};
    case FieldType::kDecimal:
    case FieldType::kArray:
    case FieldType::kTable: return to_text(value);
  }
  return std::monostate{};
}

void headers_to_hub(base::View table, HubMessage& message) {
  TableReader reader(table);
  for (Field field; reader.next(field);) {
    if (field.key == kKeyHeader && (field.value.is_text() || field.value.type == FieldType::kBytes)) {
      message.key = std::string(field.value.text());
    } else if (field.key == kNullBodyHeader && field.value.type == FieldType::kBool) {
      if (field.value.integer != 0 && message.body && message.body->empty()) message.body.reset();
    } else {
      message.headers.push_back({std::string(field.key), to_hub_value(field.value)});
    }
  }
}

std::optional<std::string> owned(std::optional<std::string_view> text) {
  if (!text) return std::nullopt;
  return std::string(*text);
}

std::optional<int64_t> parse_ms(std::optional<std::string_view> text) {
  int64_t value = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc{}) return std::nullopt;
  return value;
}

void put_hub_value(TableWriter& table, std::string_view name, const HeaderValue& value) {
  struct Put {
    TableWriter& table;
    std::string_view name;
    void operator()(std::monostate) { table.put_void(name); }
    void operator()(bool v) { table.put_bool(name, v); }
    void operator()(int64_t v) { table.put_i64(name, v); }
    void operator()(double v) { table.put_double(name, v); }
    void operator()(base::WallTime v) { table.put_timestamp(name, static_cast<uint64_t>(v.ms / kMsPerSecond)); }
    void operator()(const std::string& v) { table.put_text(name, v); }
    void operator()(const broker::Binary& v) { table.put_bytes(name, base::as_view(v.bytes)); }
  };
  std::visit(Put{table, clip_to_shortstr(name)}, value);
}

// A text property of the hub, or its header where it does not fit.
std::optional<std::string_view> short_text(const std::optional<std::string>& text, std::string_view header_name,
                                           TableWriter& headers) {
  if (!text) return std::nullopt;
  if (text->size() <= kShortstrBytesMax) return *text;
  headers.put_text(header_name, *text);
  return std::nullopt;
}

void put_key(TableWriter& headers, const std::string& key) {
  if (base::is_utf8(key)) {
    headers.put_text(kKeyHeader, key);
  } else {
    headers.put_bytes(kKeyHeader, base::as_view(key));
  }
}

}  // namespace

HubMessage to_hub(const RecordView& record) {
  HubMessage message;
  message.body = std::string(base::as_text(record.body));
  message.subject = record.routing_key;
  message.timestamp = record.arrived;
  const auto view = PropertiesView::parse(record.properties);
  if (!view) return message;
  const BasicProperties properties = view->all();
  if (properties.headers) headers_to_hub(*properties.headers, message);
  if (properties.timestamp) message.timestamp = {static_cast<int64_t>(*properties.timestamp) * kMsPerSecond};
  if (properties.delivery_mode) message.durable = *properties.delivery_mode == kDeliveryModePersistent;
  message.priority = properties.priority;
  message.time_to_live_ms = parse_ms(properties.expiration);
  message.message_id = owned(properties.message_id);
  message.correlation_id = owned(properties.correlation_id);
  message.reply_to = owned(properties.reply_to);
  message.content_type = owned(properties.content_type);
  message.content_encoding = owned(properties.content_encoding);
  message.type = owned(properties.type);
  message.user_id = owned(properties.user_id);
  message.app_id = owned(properties.app_id);
  if (properties.cluster_id) {
    message.headers.push_back({std::string(kClusterIdHeader), std::string(*properties.cluster_id)});
  }
  return message;
}

void encode_properties(base::Writer& out, const HubMessage& message) {
  base::Writer table;
  TableWriter headers(table);
  BasicProperties properties;
  properties.content_type = short_text(message.content_type, "x-content-type", headers);
  properties.content_encoding = short_text(message.content_encoding, "x-content-encoding", headers);
  properties.correlation_id = short_text(message.correlation_id, "x-correlation-id", headers);
  properties.reply_to = short_text(message.reply_to, "x-reply-to", headers);
  properties.message_id = short_text(message.message_id, "x-message-id", headers);
  properties.type = short_text(message.type, "x-type", headers);
  properties.user_id = short_text(message.user_id, "x-user-id", headers);
  properties.app_id = short_text(message.app_id, "x-app-id", headers);
  if (message.timestamp && message.timestamp->ms >= 0) {
    properties.timestamp = static_cast<uint64_t>(message.timestamp->ms / kMsPerSecond);
  }
  properties.priority = message.priority;
  if (message.durable) properties.delivery_mode = *message.durable ? kDeliveryModePersistent : 1;
  const std::string expiration = message.time_to_live_ms ? std::to_string(*message.time_to_live_ms) : "";
  if (message.time_to_live_ms) properties.expiration = expiration;
  if (message.key) put_key(headers, *message.key);
  if (!message.body) headers.put_bool(kNullBodyHeader, true);
  for (const broker::Header& header : message.headers) put_hub_value(headers, header.name, header.value);
  if (table.size() > 0) properties.headers = table.view();
  encode(out, properties);
}

void encode_with_stream_offset(base::Writer& out, base::View property_bytes, base::Offset offset) {
  const auto view = PropertiesView::parse(property_bytes);
  BasicProperties properties = view ? view->all() : BasicProperties{};
  base::Writer table;
  TableWriter headers(table);
  headers.put_i64(kStreamOffsetHeader, offset.value);
  if (properties.headers) {
    TableReader reader(*properties.headers);
    for (Field field; reader.next(field);) {
      if (field.key != kStreamOffsetHeader) headers.put_value(field.key, field.value);
    }
  }
  properties.headers = table.view();
  encode(out, properties);
}

void AmqpEncoding::place(base::MutView, base::Offset, base::Epoch) const {}

base::Result<> AmqpEncoding::to_hub(base::View batch, base::Offset base, const Visit& visit) const {
  if (!BatchView::validate(batch)) return base::fail(base::ErrorCode::kCorrupt, "not a batch of AMQP messages");
  const BatchView view(batch);
  for (uint32_t i = 0; i < view.count(); ++i) {
    visit(base + base::OffsetCount(i), amqp::to_hub(view.record(i)));
  }
  return {};
}

broker::Encoding::Built AmqpEncoding::from_hub(std::span<const HubMessage> messages, base::WallTime now) const {
  BatchBuilder builder;
  Built built{.bytes = {}, .max_ts = {-1}};
  for (const HubMessage& message : messages) {
    base::Writer properties;
    encode_properties(properties, message);
    builder.add({.arrived = now,
                 .exchange = {},
                 .routing_key = clip_to_shortstr(message.subject),
                 .properties = properties.view(),
                 .body = message.body ? base::as_view(*message.body) : base::View{}});
    built.max_ts = std::max(built.max_ts, message.timestamp.value_or(now));
  }
  const base::View bytes = builder.finish();
  built.bytes.assign(bytes.begin(), bytes.end());
  return built;
}

}  // namespace polylog::amqp
