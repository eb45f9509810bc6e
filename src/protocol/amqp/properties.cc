#include "protocol/amqp/properties.h"

#include "base/check.h"
#include "protocol/amqp/field_table.h"
#include "protocol/amqp/strings.h"

namespace polylog::amqp {
namespace {

constexpr uint16_t kFlagContinued = 0x0001;
constexpr uint16_t kFlagUnused = 0x0002;

enum class Kind : uint8_t { kText, kTable, kU8, kU64 };

constexpr Kind kind_of(Property property) {
  switch (property) {
    case Property::kHeaders: return Kind::kTable;
    case Property::kDeliveryMode:
    case Property::kPriority: return Kind::kU8;
    case Property::kTimestamp: return Kind::kU64;
    case Property::kContentType:
    case Property::kContentEncoding:
    case Property::kCorrelationId:
    case Property::kReplyTo:
    case Property::kExpiration:
    case Property::kMessageId:
    case Property::kType:
    case Property::kUserId:
    case Property::kAppId:
    case Property::kClusterId: return Kind::kText;
  }
  return Kind::kText;
}

// First word; words after it must be empty.
uint16_t read_flags(base::Reader& in) {
  const uint16_t flags = in.u16be();
  if ((flags & kFlagUnused) != 0) in.set_failed();
  for (uint16_t word = flags; (word & kFlagContinued) != 0 && in.ok();) {
    word = in.u16be();
    if ((word & ~kFlagContinued) != 0) in.set_failed();
  }
  return flags;
}

void skip_value(base::Reader& in, Kind kind) {
  switch (kind) {
    case Kind::kText: read_shortstr(in); return;
    case Kind::kTable:
      if (!is_valid_table(read_table(in))) in.set_failed();
      return;
    case Kind::kU8: in.skip(1); return;
    case Kind::kU64: in.skip(8); return;
  }
}

template <typename T>
uint16_t flag_if(const std::optional<T>& value, Property property) {
  return value ? flag_of(property) : uint16_t{0};
}

uint16_t flags_of(const BasicProperties& p) {
  return flag_if(p.content_type, Property::kContentType) | flag_if(p.content_encoding, Property::kContentEncoding) |
         flag_if(p.headers, Property::kHeaders) | flag_if(p.delivery_mode, Property::kDeliveryMode) |
         flag_if(p.priority, Property::kPriority) | flag_if(p.correlation_id, Property::kCorrelationId) |
         flag_if(p.reply_to, Property::kReplyTo) | flag_if(p.expiration, Property::kExpiration) |
         flag_if(p.message_id, Property::kMessageId) | flag_if(p.timestamp, Property::kTimestamp) |
         flag_if(p.type, Property::kType) | flag_if(p.user_id, Property::kUserId) |
         flag_if(p.app_id, Property::kAppId) | flag_if(p.cluster_id, Property::kClusterId);
}

void write_text(base::Writer& out, const std::optional<std::string_view>& value) {
  if (value) write_shortstr(out, *value);
}

}  // namespace

std::optional<ContentHeaderView> parse_content_header(base::View payload) {
  base::Reader in(payload);
  ContentHeaderView header;
  header.class_id = in.u16be();
  header.weight = in.u16be();
  header.body_size = in.u64be();
  header.property_bytes = in.rest();
  if (!in.ok() || header.property_bytes.size() < sizeof(uint16_t)) return std::nullopt;
  return header;
}

std::optional<PropertiesView> PropertiesView::parse(base::View property_bytes) {
  PropertiesView view;
  view.bytes_ = property_bytes;
  base::Reader in(property_bytes);
  view.flags_ = read_flags(in);
  for (size_t i = 0; i < kPropertyCount && in.ok(); ++i) {
    const auto property = static_cast<Property>(i);
    if (!view.has(property)) continue;
    view.starts_[i] = static_cast<uint32_t>(property_bytes.size() - in.remaining());
    skip_value(in, kind_of(property));
  }
  if (!in.ok() || !in.at_end()) return std::nullopt;
  return view;
}

base::Reader PropertiesView::reader_at(Property property) const {
  return base::Reader(bytes_.subspan(starts_[static_cast<size_t>(property)]));
}

std::optional<std::string_view> PropertiesView::text(Property property) const {
  CHECK(kind_of(property) == Kind::kText, "not a property of type shortstr");
  if (!has(property)) return std::nullopt;
  base::Reader in = reader_at(property);
  return read_shortstr(in);
}

std::optional<base::View> PropertiesView::headers() const {
  if (!has(Property::kHeaders)) return std::nullopt;
  base::Reader in = reader_at(Property::kHeaders);
  return read_table(in);
}

std::optional<uint8_t> PropertiesView::delivery_mode() const {
  if (!has(Property::kDeliveryMode)) return std::nullopt;
  return reader_at(Property::kDeliveryMode).u8();
}

std::optional<uint8_t> PropertiesView::priority() const {
  if (!has(Property::kPriority)) return std::nullopt;
  return reader_at(Property::kPriority).u8();
}

std::optional<uint64_t> PropertiesView::timestamp() const {
  if (!has(Property::kTimestamp)) return std::nullopt;
  return reader_at(Property::kTimestamp).u64be();
}

BasicProperties PropertiesView::all() const {
  return {.content_type = text(Property::kContentType),
          .content_encoding = text(Property::kContentEncoding),
          .headers = headers(),
          .delivery_mode = delivery_mode(),
          .priority = priority(),
          .correlation_id = text(Property::kCorrelationId),
          .reply_to = text(Property::kReplyTo),
          .expiration = text(Property::kExpiration),
          .message_id = text(Property::kMessageId),
          .timestamp = timestamp(),
          .type = text(Property::kType),
          .user_id = text(Property::kUserId),
          .app_id = text(Property::kAppId),
          .cluster_id = text(Property::kClusterId)};
}

void encode(base::Writer& out, const BasicProperties& p) {
  out.u16be(flags_of(p));
  write_text(out, p.content_type);
  write_text(out, p.content_encoding);
  if (p.headers) write_table(out, *p.headers);
  if (p.delivery_mode) out.u8(*p.delivery_mode);
  if (p.priority) out.u8(*p.priority);
  write_text(out, p.correlation_id);
  write_text(out, p.reply_to);
  write_text(out, p.expiration);
  write_text(out, p.message_id);
  if (p.timestamp) out.u64be(*p.timestamp);
  write_text(out, p.type);
  write_text(out, p.user_id);
  write_text(out, p.app_id);
  write_text(out, p.cluster_id);
}

}  // namespace polylog::amqp
