// From the engine's errors to Kafka's, one table each; and whether the connection survives.
// Not for: errors that a handler finds by itself, which it names directly.
#pragma once

#include "base/result.h"
#include "broker/groups/requests.h"
#include "protocol/kafka/error_codes.h"
#include "protocol/kafka/gen/api_table.h"

namespace polylog::kafka {

struct ErrorRow {
  ErrorCode code;
  bool connection_survives = true;
};
ErrorRow wire_error(base::ErrorCode error);

inline ErrorCode to_wire(base::ErrorCode error) { return wire_error(error).code; }
ErrorCode to_wire(broker::GroupError error);

// A code younger than the request's version becomes one that its client knows.
ErrorCode for_version(ErrorCode code, ApiKey key, int16_t version);

}  // namespace polylog::kafka
