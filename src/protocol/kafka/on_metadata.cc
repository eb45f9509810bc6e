// Metadata and DescribeCluster. There is one broker so far: it leads everything. A topic that is created on the way is
// answered as it then is, not with "try again".
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/kafka/catalog_changes.h"
#include "protocol/kafka/errors.h"
#include "protocol/kafka/gen/describe_cluster.h"
#include "protocol/kafka/gen/metadata.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/leadership.h"
#include "protocol/kafka/operations.h"
#include "protocol/kafka/session.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {
namespace {

using TopicReply = MetadataResponse::Topic;

std::optional<std::string> rack_of(const Config& config) {
  return config.rack.empty() ? std::nullopt : std::optional(config.rack);
}

class MetadataCall final : public PendingCall {
 public:
  MetadataCall(const Call& call, const MetadataRequest& request)
      : call_(call),
        may_create_(call.config().auto_create_topics && request.allow_auto_topic_creation),
        wants_topic_operations_(request.include_topic_authorized_operations) {}

  void run(const MetadataRequest& request);
  void on_action(broker::Token token, broker::ActionBody&& body) override;

 private:
  void describe_asked(const MetadataRequest::Topic& asked, TopicReply& reply);
  void describe(const broker::StreamRecord& topic, TopicReply& reply);
  void create(size_t place);
  void go_on();
  void describe_brokers();

  Call call_;
  MetadataResponse response_;
  CatalogChanges creating_;
  size_t created_ = 0;
  bool may_create_;
  bool wants_topic_operations_;
};

bool wants_all(const MetadataRequest& request, int16_t version) {
  return !request.topics || (version == 0 && request.topics->empty());
}

bool is_by_id(const MetadataRequest::Topic& asked) {
  return !asked.name || (asked.name->empty() && !asked.topic_id.is_nil());  // Java leaves the name empty
}

void MetadataCall::run(const MetadataRequest& request) {
  describe_brokers();
  if (request.include_cluster_authorized_operations) response_.cluster_authorized_operations = kClusterOperations;
  if (wants_all(request, call_.version())) {
    for (const Topic& topic : all_topics(call_.broker())) describe(*topic, response_.topics.emplace_back());
    return call_.reply(response_);
  }
  std::set<std::string_view> names;  // each topic once: it may have very many partitions
  std::set<base::Uuid> ids;
  for (const MetadataRequest::Topic& asked : *request.topics) {
    if (!(is_by_id(asked) ? ids.insert(asked.topic_id).second : names.insert(*asked.name).second)) continue;
    TopicReply& reply = response_.topics.emplace_back();
    describe_asked(asked, reply);
    if (reply.error_code == ErrorCode::kUnknownTopicOrPartition && may_create_) create(response_.topics.size() - 1);
  }
  go_on();
}

void MetadataCall::go_on() {
  creating_.send(call_, shared_from_this());
  if (creating_.empty()) call_.reply(response_);
}

void MetadataCall::describe_brokers() {
  const Config& config = call_.config();
  response_.brokers.push_back({config.node_id, config.advertised.host, config.advertised.port, rack_of(config)});
  response_.cluster_id = config.cluster_id;
  response_.controller_id = config.node_id;
}

void MetadataCall::describe_asked(const MetadataRequest::Topic& asked, TopicReply& reply) {
  if (is_by_id(asked)) {
    reply.topic_id = asked.topic_id;
    const Topic topic = find_topic(call_.broker(), asked.topic_id);
    if (topic != nullptr) return describe(*topic, reply);
    reply.error_code = ErrorCode::kUnknownTopicId;
    return;
  }
  reply.name = std::string(*asked.name);
  const Topic topic = find_topic(call_.broker(), *asked.name);
  if (topic != nullptr) return describe(*topic, reply);
  reply.error_code = is_valid_topic_name(*asked.name) ? ErrorCode::kUnknownTopicOrPartition : ErrorCode::kInvalidTopic;
}

void MetadataCall::describe(const broker::StreamRecord& topic, TopicReply& reply) {
  reply.error_code = ErrorCode::kNone;
  reply.name = topic.name;
  reply.topic_id = topic.id;
  if (wants_topic_operations_) reply.topic_authorized_operations = kTopicOperations;
  for (size_t i = 0; i < topic.partitions.size(); ++i) {
    reply.partitions.push_back(leadership_of<MetadataResponse::Partition>(call_, topic, i));
  }
}

void MetadataCall::create(size_t place) {
  TopicReply& reply = response_.topics[place];
  if (collides_with_topic(call_.broker(), *reply.name)) {
    reply.error_code = ErrorCode::kInvalidTopic;
  } else if (created_ == limits::kCreatedTopicsMax) {
    reply.error_code = ErrorCode::kLeaderNotAvailable;  // clients ask again
  } else {
    ++created_;
    creating_.add(place, broker::CreateStream{.wanted = {.name = *reply.name},
                                              .partition_count = static_cast<uint32_t>(call_.config().num_partitions)});
  }
}

void MetadataCall::on_action(broker::Token token, broker::ActionBody&& body) {
  const auto& done = std::get<broker::CatalogDone>(body);
  TopicReply& reply = response_.topics[creating_.take(token)];
  const bool exists = done.result || done.result.error().code == base::ErrorCode::kExists;
  if (!exists) {
    reply.error_code = ErrorCode::kLeaderNotAvailable;  // the disk is full, or there are too many; clients ask again
  } else if (done.record->kind != broker::StreamKind::kStream) {
    reply.error_code = ErrorCode::kInvalidTopic;  // a queue has the name
  } else {
    describe(*done.record, reply);
  }
  go_on();
}

// Versions 10 and 11 have the field for ids, but must be asked by name.
bool is_well_formed(const MetadataRequest& request, int16_t version) {
  if (version >= 12 || !request.topics) return true;
  for (const MetadataRequest::Topic& topic : *request.topics) {
    if (!topic.name || !topic.topic_id.is_nil()) return false;
  }
  return true;
}

}  // namespace

void handle_metadata(Call call, base::View body) {
  MetadataRequest request;
  if (!call.parse(body, request)) return;
  if (!is_well_formed(request, call.version())) return call.close("a Metadata request by topic id before version 12");
  std::make_shared<MetadataCall>(call, request)->run(request);
}

void handle_describe_cluster(Call call, base::View body) {
  constexpr int8_t kBrokers = 1, kControllers = 2;
  DescribeClusterRequest request;
  if (!call.parse(body, request)) return;
  const Config& config = call.config();
  DescribeClusterResponse response{
      .endpoint_type = request.endpoint_type, .cluster_id = config.cluster_id, .controller_id = config.node_id};
  if (request.endpoint_type != kBrokers) {
    response.error_code = request.endpoint_type == kControllers ? ErrorCode::kMismatchedEndpointType
                                                                : ErrorCode::kUnsupportedEndpointType;
    response.error_message = "this is a broker's endpoint";
    return call.reply(response);
  }
  response.brokers.push_back({config.node_id, config.advertised.host, config.advertised.port, rack_of(config)});
  if (request.include_cluster_authorized_operations) response.cluster_authorized_operations = kClusterOperations;
  call.reply(response);
}

}  // namespace polylog::kafka
