// What administrators' tools ask of every broker and one broker alone answers at once: there are no replicas to move,
// no leaders to elect and no access rules yet.
#include <string>
#include <string_view>

#include "protocol/kafka/gen/create_acls.h"
#include "protocol/kafka/gen/delete_acls.h"
#include "protocol/kafka/gen/describe_acls.h"
#include "protocol/kafka/gen/elect_leaders.h"
#include "protocol/kafka/gen/list_partition_reassignments.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/session.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {
namespace {

constexpr int8_t kPreferred = 0, kUnclean = 1;
constexpr std::string_view kNoAccessRules = "there are no access rules: everybody may do everything";

ElectLeadersResponse::Partition election_reply(const Topic& topic, int32_t index) {
  const bool exists = topic != nullptr && index >= 0 && static_cast<size_t>(index) < topic->partitions.size();
  if (!exists) return {index, ErrorCode::kUnknownTopicOrPartition, "there is no such partition"};
  return {index, ErrorCode::kElectionNotNeeded, "the one broker leads it already"};
}

}  // namespace

void handle_describe_acls(Call call, base::View body) {
  DescribeAclsRequest request;
  if (!call.parse(body, request)) return;
  call.reply(
      DescribeAclsResponse{.error_code = ErrorCode::kSecurityDisabled, .error_message = std::string(kNoAccessRules)});
}

void handle_create_acls(Call call, base::View body) {
  CreateAclsRequest request;
  if (!call.parse(body, request)) return;
  const CreateAclsResponse::Result refused{ErrorCode::kSecurityDisabled, std::string(kNoAccessRules)};
  call.reply(CreateAclsResponse{.results = {request.creations.size(), refused}});
}

void handle_delete_acls(Call call, base::View body) {
  DeleteAclsRequest request;
  if (!call.parse(body, request)) return;
  const DeleteAclsResponse::FilterResult refused{ErrorCode::kSecurityDisabled, std::string(kNoAccessRules), {}};
  call.reply(DeleteAclsResponse{.filter_results = {request.filters.size(), refused}});
}

void handle_elect_leaders(Call call, base::View body) {
  ElectLeadersRequest request;
  if (!call.parse(body, request)) return;
  ElectLeadersResponse response;
  if (request.election_type != kPreferred && request.election_type != kUnclean) {
    response.error_code = ErrorCode::kInvalidRequest;
    return call.reply(response);
  }
  if (!request.topics) return call.reply(response);  // of all partitions, only those whose leader changed are named
  for (const ElectLeadersRequest::Topic& asked : *request.topics) {
    const Topic topic = find_topic(call.broker(), asked.name);
    auto& partitions = response.topics.emplace_back(std::string(asked.name)).partitions;
    for (const int32_t index : asked.partitions) partitions.push_back(election_reply(topic, index));
  }
  call.reply(response);
}

void handle_list_partition_reassignments(Call call, base::View body) {
  ListPartitionReassignmentsRequest request;
  if (!call.parse(body, request)) return;
  call.reply(ListPartitionReassignmentsResponse{});
}

}  // namespace polylog::kafka
