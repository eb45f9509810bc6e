#include "protocol/kafka/request_metrics.h"

namespace polylog::kafka {
RequestMetrics::RequestMetrics(base::Registry& registry)
    : ProtocolMetrics(registry, "kafka", {"produce", "fetch", "offsets", "group", "metadata", "admin"}) {}

RequestMetrics::Group RequestMetrics::group_of(ApiKey key) {
  switch (key) {
    case ApiKey::kProduce: return kProduce;
    case ApiKey::kFetch: return kFetch;
    case ApiKey::kListOffsets:
    case ApiKey::kOffsetCommit:
    case ApiKey::kOffsetFetch:
    case ApiKey::kOffsetForLeaderEpoch: return kOffsets;
    case ApiKey::kFindCoordinator:
    case ApiKey::kJoinGroup:
    case ApiKey::kHeartbeat:
    case ApiKey::kLeaveGroup:
    case ApiKey::kSyncGroup: return kGroup;
    case ApiKey::kMetadata:
    case ApiKey::kApiVersions:
    case ApiKey::kDescribeCluster: return kMetadata;
    default: return kAdmin;
  }
}

void RequestMetrics::note_answered(ApiKey key, ErrorCode error, base::Duration took) {
  time_of(group_of(key)).record_ns(took.count());
  const ApiRow* row = find_api(static_cast<int16_t>(key));
  base::Counter*& counter =
      error == ErrorCode::kNone ? succeeded_[static_cast<size_t>(row - kApiTable.data())] : failed_[{key, error}];
  if (counter == nullptr) counter = &requests(row->name, static_cast<int>(error));
  counter->add();
}

void RequestMetrics::note_refused(ErrorCode error) { requests("unknown", static_cast<int>(error)).add(); }

}  // namespace polylog::kafka
