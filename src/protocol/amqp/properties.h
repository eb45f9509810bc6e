// Content header payload and the 14 properties of class basic. Views borrow the payload. Keep what the publisher sent:
// property bytes are relayed as they are wherever nothing is changed.
//
//   0       2        4           12      14
//   +-------+--------+-----------+-------+---------------------------+
//   | class | weight | body size | flags | properties that are there |
//   | u16   | u16    | u64       | u16   |                           |
//   +-------+--------+-----------+-------+---------------------------+
//                                 `------ "property bytes" ---------'
//
//   flags   bit 15 content-type ... bit 2 cluster-id, in the order of enum Property; bit 1 is nobody's.
//           bit 0: another flags word follows. Class basic has nothing to say there, so further words must be zero.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/wire.h"

namespace polylog::amqp {

struct ContentHeaderView {
  uint16_t class_id = 0;
  uint16_t weight = 0;
  uint64_t body_size = 0;
  base::View property_bytes = {};
};
std::optional<ContentHeaderView> parse_content_header(base::View payload);

enum class Property : uint8_t {
  kContentType,
  kContentEncoding,
  kHeaders,
  kDeliveryMode,
  kPriority,
  kCorrelationId,
  kReplyTo,
  kExpiration,
  kMessageId,
  kTimestamp,
  kType,
  kUserId,
  kAppId,
  kClusterId,
};
inline constexpr size_t kPropertyCount = 14;

constexpr uint16_t flag_of(Property property) { return static_cast<uint16_t>(0x8000 >> static_cast<int>(property)); }
static_assert(flag_of(Property::kClusterId) == 0x0004);

inline constexpr uint8_t kDeliveryModePersistent = 2;

struct BasicProperties {
  std::optional<std::string_view> content_type;
  std::optional<std::string_view> content_encoding;
  std::optional<base::View> headers;  // a table view, see field_table.h
  std::optional<uint8_t> delivery_mode;
  std::optional<uint8_t> priority;
  std::optional<std::string_view> correlation_id;
  std::optional<std::string_view> reply_to;
  std::optional<std::string_view> expiration;  // milliseconds, as decimal digits
  std::optional<std::string_view> message_id;
  std::optional<uint64_t> timestamp;  // seconds
  std::optional<std::string_view> type;
  std::optional<std::string_view> user_id;
  std::optional<std::string_view> app_id;
  std::optional<std::string_view> cluster_id;
};

// One pass finds where each property begins and that nothing is left over; values are read when asked for.
class PropertiesView {
 public:
  // Nothing if the bytes do not follow the format, the headers table included.
  static std::optional<PropertiesView> parse(base::View property_bytes);

  bool has(Property property) const { return (flags_ & flag_of(property)) != 0; }
  std::optional<std::string_view> text(Property property) const;  // any of the ten shortstr properties
  std::optional<base::View> headers() const;
  std::optional<uint8_t> delivery_mode() const;
  std::optional<uint8_t> priority() const;
  std::optional<uint64_t> timestamp() const;
  bool is_persistent() const { return delivery_mode() == kDeliveryModePersistent; }

  base::View property_bytes() const { return bytes_; }
  BasicProperties all() const;

 private:
  base::Reader reader_at(Property property) const;

  base::View bytes_;
  uint16_t flags_ = 0;
  std::array<uint32_t, kPropertyCount> starts_{};  // from the beginning of bytes_; of those that are there
};

// Writes flags and properties: what write_content_header() takes as property bytes. A text longer than a shortstr is
// clipped: who converts from another protocol checks (and counts) that first.
void encode(base::Writer& out, const BasicProperties& properties);

}  // namespace polylog::amqp
