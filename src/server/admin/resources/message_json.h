// Messages as JSON, both ways:
//
//   {"offset": 7, "timestamp_ms": 1767225600000, "key": "a", "value": {"base64": "/w=="},
//    "headers": [{"name": "n", "value": 1}], "properties": {"content_type": "text/plain"}}
//
// Bytes that are UTF-8 are text; others, and what a client likes to send so, are {"base64": "..."}; none at all is null.
// More than kShownBytesMax are not shown: {"omitted_bytes": N}.
// A header's value may also be a number, true, false, null or {"time_ms": N}. "properties" has what protocols with message
// properties set: subject, priority, durable, time_to_live_ms, message_id, correlation_id, reply_to, content_type,
// content_encoding, type, user_id, app_id; only those that are there.
#pragma once

#include "base/ids.h"
#include "base/limits.h"
#include "base/result.h"
#include "broker/message.h"
#include "http/json/value.h"
#include "http/json/writer.h"

namespace polylog::server {

inline constexpr size_t kShownBytesMax = 16 * base::limits::kMiB;  // of a key, a value, a header's value

// `appended` stands in for a timestamp that the message does not have.
void put_message(http::JsonWriter& out, base::Offset offset, const broker::HubMessage& message,
                 base::WallTime appended);

// kInvalid names the member that is wrong. Without "offset" and "properties", which nobody may set here.
base::Result<broker::HubMessage> message_of(const http::Json& json);

}  // namespace polylog::server
