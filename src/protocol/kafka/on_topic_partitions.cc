// DescribeTopicPartitions: Metadata of topics page by page. Topics come sorted by name, partitions by number; a page that
// is full names where the next one begins.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/kafka/gen/describe_topic_partitions.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/leadership.h"
#include "protocol/kafka/limits.h"
#include "protocol/kafka/operations.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {
namespace {

using Request = DescribeTopicPartitionsRequest;
using Response = DescribeTopicPartitionsResponse;

// Sorted, each once; none asked for means all.
std::vector<std::string> names_asked(const Call& call, const Request& request) {
  std::vector<std::string> names;
  for (const Request::Topic& asked : request.topics) names.emplace_back(asked.name);
  if (request.topics.empty()) {
    for (const Topic& topic : all_topics(call.broker())) names.push_back(topic->name);
  }
  std::ranges::sort(names);
  const auto repeated = std::ranges::unique(names);
  names.erase(repeated.begin(), repeated.end());
  return names;
}

// What still fits the page.
class Page {
 public:
  Page(const Call& call, int32_t partitions_max)
      : call_(call),
        partitions_left_(static_cast<size_t>(std::clamp(partitions_max, 1, limits::kDescribedPartitionsMax))) {}

  Response& response() { return response_; }
  bool is_full() const { return response_.next_cursor.has_value(); }

  // From partition `first` on.
  void add(const std::string& name, size_t first) {
    if (partitions_left_ == 0) return end_at(name, first);
    Response::Topic& reply = response_.topics.emplace_back();
    reply.name = name;
    const Topic topic = find_topic(call_.broker(), name);
    if (topic == nullptr) {
      reply.error_code = is_valid_topic_name(name) ? ErrorCode::kUnknownTopicOrPartition : ErrorCode::kInvalidTopic;
      return;
    }
    reply.topic_id = topic->id;
    reply.topic_authorized_operations = kTopicOperations;
    size_t index = first;
    for (; index < topic->partitions.size() && partitions_left_ > 0; ++index, --partitions_left_) {
      Response::Partition& partition =
          reply.partitions.emplace_back(leadership_of<Response::Partition>(call_, *topic, index));
      // Nullable in the protocol, but Kafka's own clients walk them without a look.
      partition.eligible_leader_replicas.emplace();
      partition.last_known_elr.emplace();
    }
    if (index < topic->partitions.size()) end_at(name, index);
  }

 private:
  void end_at(const std::string& name, size_t index) {
    response_.next_cursor = Response::Cursor{name, static_cast<int32_t>(index)};
  }

  const Call& call_;
  Response response_;
  size_t partitions_left_;
};

// The response has no place for an error but its topics.
Response refusal(const Request& request, ErrorCode code) {
  Response response;
  for (const Request::Topic& asked : request.topics) {
    response.topics.push_back({.error_code = code, .name = std::string(asked.name)});
  }
  return response;
}

}  // namespace

void handle_describe_topic_partitions(Call call, base::View body) {
  Request request;
  if (!call.parse(body, request)) return;
  const auto& cursor = request.cursor;
  if (cursor && cursor->partition_index < 0) return call.reply(refusal(request, ErrorCode::kInvalidRequest));
  Page page(call, request.response_partition_limit);
  for (const std::string& name : names_asked(call, request)) {
    if (cursor && name < cursor->topic_name) continue;
    const bool is_continued = cursor && name == cursor->topic_name;
    page.add(name, is_continued ? static_cast<size_t>(cursor->partition_index) : 0);
    if (page.is_full()) break;
  }
  call.reply(page.response());
}

}  // namespace polylog::kafka
