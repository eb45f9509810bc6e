// Groups as administrators see them: DescribeGroups, ListGroups and DeleteGroups. Groups live in many cells: each cell
// is asked once, and the answer follows the order of the request, each group once.
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/kafka/errors.h"
#include "protocol/kafka/gen/delete_groups.h"
#include "protocol/kafka/gen/describe_groups.h"
#include "protocol/kafka/gen/list_groups.h"
#include "protocol/kafka/group_calls.h"
#include "protocol/kafka/group_states.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/operations.h"
#include "protocol/kafka/subscription.h"

namespace polylog::kafka {
namespace {

// What one cell is asked about, and where in the response each answer goes.
struct Share {
  std::vector<std::string> groups;
  std::vector<size_t> indexes;
};

// ---- DescribeGroups

constexpr int16_t kAbsentIsErrorSince = 6;

// Owns what DescribeGroupsResponse only borrows: metadata and assignments.
struct DescribedGroup {
  ErrorCode error = ErrorCode::kNone;
  broker::DescribeGroupsReply::Group group;
};

DescribeGroupsResponse::Group group_reply(const DescribedGroup& described, int16_t version, int32_t operations) {
  const broker::DescribeGroupsReply::Group& group = described.group;
  DescribeGroupsResponse::Group reply{.error_code = described.error,
                                      .group_id = group.name,
                                      .group_state = std::string(state_name(group.phase)),
                                      .protocol_type = group.protocol_type,
                                      .protocol_data = group.protocol,
                                      .authorized_operations = operations};
  if (reply.error_code == ErrorCode::kGroupIdNotFound) {
    if (version < kAbsentIsErrorSince) reply.error_code = ErrorCode::kNone;
    reply.error_message = "there is no such group";
  }
  for (const broker::DescribeGroupsReply::Member& member : group.members) {
    reply.members.push_back({.member_id = member.member_id,
                             .group_instance_id = member.instance_id,
                             .client_id = member.client_id,
                             .client_host = member.client_host,
                             .member_metadata = base::as_view(member.metadata),
                             .member_assignment = base::as_view(member.assignment)});
  }
  return reply;
}

class DescribeGroupsCall final : public PendingCall {
 public:
  DescribeGroupsCall(const Call& call, const DescribeGroupsRequest& request)
      : call_(call), operations_(request.include_authorized_operations ? kGroupOperations : INT32_MIN) {}

  void run(const DescribeGroupsRequest& request) {
    std::map<base::CellId, Share> shares;
    std::set<std::string_view> seen;
    for (const std::string_view name : request.groups) {
      if (!seen.insert(name).second) continue;
      const auto cell = open_cell_of_group(call_.broker(), name);
      if (cell) {
        shares[*cell].groups.emplace_back(name);
        shares[*cell].indexes.push_back(groups_.size());
      }
      groups_.push_back({.error = cell ? ErrorCode::kNone : kGroupUnavailable, .group = {.name = std::string(name)}});
    }
    for (auto& [cell, share] : shares) {
      const broker::ReplyTo reply_to = call_.expect(shared_from_this());
      waiting_.emplace(reply_to.token.value, std::move(share.indexes));
      call_.broker().submit(cell, reply_to,
                            broker::GroupRequest{broker::DescribeGroupsRequest{std::move(share.groups)}});
    }
    reply_if_answered();
  }

  void on_action(broker::Token token, broker::ActionBody&& body) override {
    auto& reply = std::get<broker::DescribeGroupsReply>(std::get<broker::GroupReply>(body));
    const std::vector<size_t> indexes = std::move(waiting_.extract(token.value).mapped());
    for (size_t i = 0; i < indexes.size(); ++i) {
      groups_[indexes[i]] = {to_wire(reply.groups[i].error), std::move(reply.groups[i])};
    }
    reply_if_answered();
  }

 private:
  void reply_if_answered() const {
    if (!waiting_.empty()) return;
    DescribeGroupsResponse response;
    for (const DescribedGroup& group : groups_) {
      response.groups.push_back(group_reply(group, call_.version(), operations_));
    }
    call_.reply(response);
  }

  Call call_;
  int32_t operations_;
  std::vector<DescribedGroup> groups_;
  std::map<uint64_t, std::vector<size_t>> waiting_;  // by token: places in groups_
};

// ---- ListGroups

void absorb_list(ListGroupsResponse& response, broker::ListGroupsReply& reply, const std::vector<std::string>& types) {
  const std::vector<std::string_view> words(types.begin(), types.end());
  for (broker::ListGroupsReply::Group& group : reply.groups) {
    if (!is_type_wanted(words, group.kind)) continue;
    if (group.kind == broker::GroupKind::kManaged) group.protocol_type = kConsumerProtocolType;
    response.groups.push_back({.group_id = std::move(group.name),
                               .protocol_type = std::move(group.protocol_type),
                               .group_state = std::string(state_name(group.phase)),
                               .group_type = std::string(type_name(group.kind))});
  }
  std::ranges::sort(response.groups, {}, &ListGroupsResponse::Group::group_id);
}

}  // namespace

void handle_describe_groups(Call call, base::View body) {
  DescribeGroupsRequest request;
  if (!call.parse(body, request)) return;
  std::make_shared<DescribeGroupsCall>(call, request)->run(request);
}

void handle_list_groups(Call call, base::View body) {
  ListGroupsRequest request;
  if (!call.parse(body, request)) return;
  const std::vector<broker::GroupPhase> phases = phases_named(request.states_filter);
  const bool none_can_match = phases.empty() && !request.states_filter.empty();
  auto gather = std::make_shared<Gather<ListGroupsResponse>>(call);
  if (none_can_match) return gather->reply_if_answered();
  const std::vector<std::string> types(request.types_filter.begin(), request.types_filter.end());
  for (size_t i = 0; i < call.broker().cell_count(); ++i) {
    const base::CellId cell(static_cast<uint16_t>(i));
    if (call.broker().epoch_of(cell).value == 0) {
      gather->response().error_code = kGroupUnavailable;  // the list goes without that cell's groups
    } else {
      gather->ask<broker::ListGroupsReply>(cell, broker::ListGroupsRequest{phases},
                                           [types](ListGroupsResponse& response, broker::ListGroupsReply& reply) {
                                             absorb_list(response, reply, types);
                                           });
    }
  }
  gather->reply_if_answered();
}

void handle_delete_groups(Call call, base::View body) {
  DeleteGroupsRequest request;
  if (!call.parse(body, request)) return;
  auto gather = std::make_shared<Gather<DeleteGroupsResponse>>(call);
  std::map<base::CellId, Share> shares;
  for (const std::string_view name : request.group_names) {
    const auto cell = open_cell_of_group(call.broker(), name);
    auto& results = gather->response().results;
    results.push_back({std::string(name), cell ? ErrorCode::kNone : kGroupUnavailable});
    if (!cell) continue;
    shares[*cell].groups.emplace_back(name);
    shares[*cell].indexes.push_back(results.size() - 1);
  }
  for (auto& [cell, share] : shares) {
    gather->ask<broker::DeleteGroupsReply>(
        cell, broker::DeleteGroupsRequest{std::move(share.groups)},
        [indexes = std::move(share.indexes)](DeleteGroupsResponse& response, broker::DeleteGroupsReply& reply) {
          for (size_t i = 0; i < indexes.size(); ++i) {
            response.results[indexes[i]].error_code = to_wire(reply.groups[i].error);
          }
        });
  }
  gather->reply_if_answered();
}

}  // namespace polylog::kafka
