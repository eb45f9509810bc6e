// HubMessage: the one neutral form of a message, through which a reader of another wire format gets it. Computed at delivery,
// never stored. Every encoding maps to and from it; what it cannot express is counted and documented, never lost silently.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"

namespace polylog::broker {

// A header's value. Text is UTF-8 by convention of the sender, never checked; binary is anything else.
struct Binary {
  std::string bytes;
  friend bool operator==(const Binary&, const Binary&) = default;
};
using HeaderValue = std::variant<std::monostate, bool, int64_t, double, base::WallTime, std::string, Binary>;

struct Header {
  std::string name;
  HeaderValue value;
};

struct HubMessage {
  std::optional<std::string> body;  // nullopt: no body (a tombstone); empty: a body of no bytes
  std::optional<std::string> key;   // groups and compacts
  std::string subject;              // what it was routed by
  std::vector<Header> headers;      // in order; names may repeat
  std::optional<base::WallTime> timestamp;
  std::optional<uint8_t> priority;
  std::optional<bool> durable;
  std::optional<int64_t> time_to_live_ms;
  std::optional<std::string> message_id, correlation_id, reply_to, content_type, content_encoding, type, user_id,
      app_id;
};

}  // namespace polylog::broker
