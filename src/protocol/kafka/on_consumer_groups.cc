// Members of groups whose partitions the broker divides: ConsumerGroupHeartbeat, and ConsumerGroupDescribe for those who
// look at them. The group engine decides everything; these handlers check the form and translate.
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/groups/assignor.h"
#include "protocol/kafka/errors.h"
#include "protocol/kafka/gen/consumer_group_describe.h"
#include "protocol/kafka/gen/consumer_group_heartbeat.h"
#include "protocol/kafka/group_calls.h"
#include "protocol/kafka/group_states.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/operations.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {
namespace {

using base::PartitionKey;

// ---- ConsumerGroupHeartbeat

constexpr int16_t kMemberChoosesIdSince = 1;

std::optional<std::string> owned(std::optional<std::string_view> text) {
  return text ? std::optional<std::string>(*text) : std::nullopt;
}

bool is_given_empty(const std::optional<std::string_view>& text) { return text && text->empty(); }

bool says_subscription(const ConsumerGroupHeartbeatRequest& request) {
  const bool names = request.subscribed_topic_names && !request.subscribed_topic_names->empty();
  return names || (request.subscribed_topic_regex && !request.subscribed_topic_regex->empty());
}

bool has_bad_partition(const ConsumerGroupHeartbeatRequest& request) {
  if (!request.topic_partitions) return false;
  for (const auto& topic : *request.topic_partitions) {
    for (const int32_t partition : topic.partitions) {
      if (partition < 0) return true;
    }
  }
  return false;
}

// What is wrong with the form of a request; empty: nothing.
std::string_view fault_of(const ConsumerGroupHeartbeatRequest& request, int16_t version) {
  if (request.group_id.empty()) return "the group id is empty";
  if (is_given_empty(request.instance_id)) return "the instance id is empty";
  if (is_given_empty(request.rack_id)) return "the rack id is empty";
  if (request.member_epoch < broker::kAwayEpoch) return "no such member epoch";
  const bool joins = request.member_epoch == broker::kJoinEpoch;
  if (request.member_id.empty() && (!joins || version >= kMemberChoosesIdSince)) return "the member id is empty";
  if (request.member_epoch == broker::kAwayEpoch && !request.instance_id)
    return "only static members leave for a while";
  if (has_bad_partition(request)) return "no such partition";
  if (!joins) return {};
  if (request.rebalance_timeout_ms <= 0) return "who joins says its rebalance timeout";
  if (!request.topic_partitions || !request.topic_partitions->empty()) return "who joins owns no partitions";
  if (!says_subscription(request)) return "who joins says its topics";
  return {};
}

broker::ReconcileRequest reconcile_request(const Call& call, const ConsumerGroupHeartbeatRequest& request) {
  broker::ReconcileRequest asked{.group = std::string(request.group_id),
                                 .member_id = std::string(request.member_id),
                                 .epoch = request.member_epoch,
                                 .instance_id = owned(request.instance_id),
                                 .client_id = std::string(call.client_id),
                                 .client_host = host_of(call.session().peer()),
                                 .rack = owned(request.rack_id)};
  if (request.rebalance_timeout_ms >= 0) asked.rebalance_timeout_ms = request.rebalance_timeout_ms;
  if (request.subscribed_topic_names) {
    asked.streams.emplace(request.subscribed_topic_names->begin(), request.subscribed_topic_names->end());
  }
  asked.pattern = owned(request.subscribed_topic_regex);
  if (request.server_assignor) asked.assignor = broker::assignor_named(*request.server_assignor);
  if (!request.topic_partitions) return asked;
  asked.owned.emplace();
  for (const auto& topic : *request.topic_partitions) {
    for (const int32_t partition : topic.partitions) {
      asked.owned->push_back({topic.topic_id, static_cast<uint32_t>(partition)});
    }
  }
  return asked;
}

// Partitions, which are sorted, by topic.
template <typename Topic>
std::vector<Topic> by_topic(const std::vector<PartitionKey>& partitions) {
  std::vector<Topic> topics;
  for (const PartitionKey& key : partitions) {
    if (topics.empty() || topics.back().topic_id != key.stream) topics.emplace_back().topic_id = key.stream;
    topics.back().partitions.push_back(static_cast<int32_t>(key.index));
  }
  return topics;
}

ConsumerGroupHeartbeatResponse heartbeat_refusal(ErrorCode error, std::string_view why) {
  return {.error_code = error, .error_message = std::string(why)};
}

ConsumerGroupHeartbeatResponse heartbeat_response(const broker::ReconcileReply& reply) {
  if (reply.error != broker::GroupError::kNone) return heartbeat_refusal(to_wire(reply.error), name_of(reply.error));
  ConsumerGroupHeartbeatResponse response{
      .member_id = reply.member_id, .member_epoch = reply.epoch, .heartbeat_interval_ms = reply.heartbeat_interval_ms};
  if (reply.assignment) {
    using Response = ConsumerGroupHeartbeatResponse;
    response.assignment = Response::Assignment{by_topic<Response::TopicPartitions>(*reply.assignment)};
  }
  return response;
}

// ---- ConsumerGroupDescribe

using DescribedGroup = ConsumerGroupDescribeResponse::Group;
using DescribedMember = ConsumerGroupDescribeResponse::Member;
constexpr int8_t kConsumerMember = 1;

// Topics that were deleted meanwhile have no name any more and are left out.
ConsumerGroupDescribeResponse::Assignment assignment_of(const Call& call, const std::vector<PartitionKey>& partitions) {
  auto topics = by_topic<ConsumerGroupDescribeResponse::TopicPartitions>(partitions);
  std::erase_if(topics, [&](auto& topic) {
    const Topic known = find_topic(call.broker(), topic.topic_id);
    if (known != nullptr) topic.topic_name = known->name;
    return known == nullptr;
  });
  return {std::move(topics)};
}

DescribedMember member_reply(const Call& call, broker::DescribeManagedReply::Member& member) {
  return {.member_id = std::move(member.member_id),
          .instance_id = std::move(member.instance_id),
          .rack_id = std::move(member.rack),
          .member_epoch = member.epoch,
          .client_id = std::move(member.client_id),
          .client_host = std::move(member.client_host),
          .subscribed_topic_names = std::move(member.streams),
          .subscribed_topic_regex = std::move(member.pattern),
          .assignment = assignment_of(call, member.assigned),
          .target_assignment = assignment_of(call, member.target),
          .member_type = kConsumerMember};
}

void fill_group(const Call& call, DescribedGroup& described, broker::DescribeManagedReply::Group& group) {
  described.error_code = to_wire(group.error);
  described.group_state = std::string(state_name(group.phase));
  if (group.error == broker::GroupError::kGroupNotFound) described.error_message = "there is no such consumer group";
  if (group.error != broker::GroupError::kNone) return;
  described.group_epoch = group.epoch;
  described.assignment_epoch = group.target_epoch;
  described.assignor_name = std::string(name_of(group.assignor));
  for (auto& member : group.members) described.members.push_back(member_reply(call, member));
}

}  // namespace

void handle_consumer_group_heartbeat(Call call, base::View body) {
  ConsumerGroupHeartbeatRequest request;
  if (!call.parse(body, request)) return;
  if (const std::string_view fault = fault_of(request, call.version()); !fault.empty()) {
    return call.reply(heartbeat_refusal(ErrorCode::kInvalidRequest, fault));
  }
  if (request.server_assignor && !broker::assignor_named(*request.server_assignor)) {
    return call.reply(heartbeat_refusal(ErrorCode::kUnsupportedAssignor, "the assignors are uniform and range"));
  }
  const auto cell = open_cell_of_group(call.broker(), request.group_id);
  if (!cell) return call.reply(heartbeat_refusal(kGroupUnavailable, "the storage of this group is closed"));
  ask_group<broker::ReconcileReply>(call, *cell, reconcile_request(call, request),
                                    [call](broker::ReconcileReply& reply) { call.reply(heartbeat_response(reply)); });
}

void handle_consumer_group_describe(Call call, base::View body) {
  ConsumerGroupDescribeRequest request;
  if (!call.parse(body, request)) return;
  auto gather = std::make_shared<Gather<ConsumerGroupDescribeResponse>>(call);
  auto& groups = gather->response().groups;
  const int32_t operations = request.include_authorized_operations ? kGroupOperations : INT32_MIN;
  std::set<std::string_view> seen;
  for (const std::string_view name : request.group_ids) {
    if (!seen.insert(name).second) continue;
    groups.push_back({.group_id = std::string(name), .authorized_operations = operations});
    const auto cell = open_cell_of_group(call.broker(), name);
    if (name.empty()) groups.back().error_code = ErrorCode::kInvalidGroupId;
    if (!cell) groups.back().error_code = kGroupUnavailable;
    if (groups.back().error_code != ErrorCode::kNone) continue;
    gather->ask<broker::DescribeManagedReply>(*cell, broker::DescribeManagedRequest{{std::string(name)}},
                                              [call, index = groups.size() - 1](ConsumerGroupDescribeResponse& response,
                                                                                broker::DescribeManagedReply& reply) {
                                                fill_group(call, response.groups[index], reply.groups.front());
                                              });
  }
  gather->reply_if_answered();
}

}  // namespace polylog::kafka
