// The commands that polylog serves: one row each, in ONE table. Versions come from the same specs as the codecs
// (gen/api_table.h); the ApiVersions answer and the support matrix of the docs derive from this table.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "protocol/kafka/gen/api_table.h"
#include "protocol/kafka/gen/api_versions.h"
#include "protocol/kafka/session.h"

namespace polylog::kafka {

struct Command {
  ApiKey key;
  void (*handle)(Call call, base::View body);
  bool before_login = false;  // answered whoever asks
};

std::span<const Command> commands();           // ascending by key
const Command* find_command(int16_t api_key);  // nullptr: not offered

ApiVersionsResponse api_versions_response();
// The answer to an ApiVersions request of a version nobody knows: error 35 in version 0, with the one row that helps.
Reply unsupported_api_versions_reply(int32_t correlation_id);

}  // namespace polylog::kafka
