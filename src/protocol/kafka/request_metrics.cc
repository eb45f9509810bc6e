#include "protocol/kafka/request_metrics.h"

namespace polylog::kafka {
namespace {

constexpr std::string_view kProtocol = "kafka";

std::string labels(std::string_view name, std::string_view value) {
  return base::label("protocol", kProtocol) + "," + base::label(name, value);
}

}  // namespace

RequestMetrics::RequestMetrics(base::Registry& registry)
    : messages_received(registry.counter("polylog_messages_received_total", "Messages that clients published",
                                         base::label("protocol", kProtocol))),
      messages_sent(registry.counter("polylog_messages_sent_total", "Messages sent to clients",
                                     base::label("protocol", kProtocol))),
      registry_(registry) {
  static constexpr std::array<std::string_view, kGroups> kNames = {"produce", "fetch",    "offsets",
                                                                   "group",   "metadata", "admin"};
  for (size_t i = 0; i < kGroups; ++i) {
    took_[i] = &registry.histogram("polylog_request_duration_seconds", "Time from a request's arrival to its answer",
                                   labels("group", kNames[i]));
  }
}

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

base::Counter& RequestMetrics::make(std::string_view kind, ErrorCode error) {
  return registry_.counter("polylog_requests_total", "Requests answered, by kind and error code",
                           labels("kind", kind) + "," + base::label("code", std::to_string(static_cast<int>(error))));
}

void RequestMetrics::note_answered(ApiKey key, ErrorCode error, base::Duration took) {
  took_[group_of(key)]->record_ns(took.count());
  const ApiRow* row = find_api(static_cast<int16_t>(key));
  base::Counter*& counter =
      error == ErrorCode::kNone ? succeeded_[static_cast<size_t>(row - kApiTable.data())] : failed_[{key, error}];
  if (counter == nullptr) counter = &make(row->name, error);
  counter->add();
}

void RequestMetrics::note_refused(ErrorCode error) { make("unknown", error).add(); }

}  // namespace polylog::kafka
