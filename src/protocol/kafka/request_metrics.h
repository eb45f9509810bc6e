// What is counted of requests, on one core: how many of each API by the first error of the answer, how long they took, and
// the messages in and out. A row begins with its first request, so there are as many as there are APIs and errors in use.
// Nothing here allocates after the first request of its kind.
#pragma once

#include <array>
#include <map>
#include <utility>

#include "base/time.h"
#include "broker/protocol_metrics.h"
#include "protocol/kafka/error_codes.h"
#include "protocol/kafka/gen/api_table.h"

namespace polylog::kafka {

class RequestMetrics : public broker::ProtocolMetrics {
 public:
  explicit RequestMetrics(base::Registry& registry);

  void note_answered(ApiKey key, ErrorCode error, base::Duration took);
  void note_refused(ErrorCode error);  // a frame that was not a request that is offered

 private:
  enum Group : uint8_t { kProduce, kFetch, kOffsets, kGroup, kMetadata, kAdmin };  // in the order of the names
  static Group group_of(ApiKey key);

  std::array<base::Counter*, kApiTable.size()> succeeded_{};
  std::map<std::pair<ApiKey, ErrorCode>, base::Counter*> failed_;
};

}  // namespace polylog::kafka
