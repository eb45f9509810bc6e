// Members of groups: FindCoordinator, JoinGroup, SyncGroup, Heartbeat and LeaveGroup. This broker coordinates every
// group; the group engine decides everything, so these handlers translate.
#include <memory>
#include <string>
#include <utility>

#include "protocol/kafka/errors.h"
#include "protocol/kafka/gen/find_coordinator.h"
#include "protocol/kafka/gen/heartbeat.h"
#include "protocol/kafka/gen/join_group.h"
#include "protocol/kafka/gen/leave_group.h"
#include "protocol/kafka/gen/sync_group.h"
#include "protocol/kafka/group_calls.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/subscription.h"

namespace polylog::kafka {
namespace {

std::optional<std::string> owned(std::optional<std::string_view> text) {
  return text ? std::optional<std::string>(*text) : std::nullopt;
}
std::string owned(base::View bytes) { return std::string(base::as_text(bytes)); }

ErrorCode wire(const Call& call, broker::GroupError error) {
  return for_version(to_wire(error), call.key(), call.version());
}

// ---- FindCoordinator

using Coordinator = FindCoordinatorResponse::Coordinator;
constexpr int8_t kGroupKey = 0, kTransactionKey = 1;
constexpr int16_t kManyKeysSince = 4;

Coordinator coordinator_of(const Call& call, std::string_view key, int8_t key_type) {
  Coordinator found{.key = std::string(key), .node_id = -1, .port = -1};
  if (key_type != kGroupKey && key_type != kTransactionKey) {
    found.error_code = ErrorCode::kInvalidRequest;
    found.error_message = "coordinators are those of groups (0) and transactions (1)";
  } else if (key_type == kGroupKey && !open_cell_of_group(call.broker(), key)) {
    found.error_code = kGroupUnavailable;
    found.error_message = "the storage of this group is closed; see the broker's log";
  } else {
    const Config& config = call.config();
    found.node_id = config.node_id;
    found.host = config.advertised.host;
    found.port = config.advertised.port;
  }
  return found;
}

// ---- JoinGroup

constexpr int16_t kMemberIdFirstSince = 4, kNullProtocolSince = 7, kSkipAssignmentSince = 9;

broker::JoinRequest join_request(const Call& call, const JoinGroupRequest& request) {
  broker::JoinRequest join{.group = std::string(request.group_id),
                           .member_id = std::string(request.member_id),
                           .instance_id = owned(request.group_instance_id),
                           .client_id = std::string(call.client_id),
                           .client_host = host_of(call.session().peer()),
                           .session_timeout_ms = request.session_timeout_ms,
                           .protocol_type = std::string(request.protocol_type),
                           .subscriptions = subscriptions_of(request),
                           .can_retry_with_id = call.version() >= kMemberIdFirstSince,
                           .can_skip_assignment = call.version() >= kSkipAssignmentSince};
  if (call.version() >= 1) join.rebalance_timeout_ms = request.rebalance_timeout_ms;
  for (const JoinGroupRequest::Protocol& protocol : request.protocols) {
    join.protocols.push_back({std::string(protocol.name), owned(protocol.metadata)});
  }
  return join;
}

// Borrows from `reply`.
JoinGroupResponse join_response(const Call& call, const broker::JoinReply& reply) {
  JoinGroupResponse response{.error_code = wire(call, reply.error),
                             .generation_id = reply.generation,
                             .leader = reply.leader,
                             .skip_assignment = reply.skip_assignment,
                             .member_id = reply.member_id};
  const bool is_null = reply.protocol.empty() && call.version() >= kNullProtocolSince;
  if (!is_null) response.protocol_name = reply.protocol;
  if (!reply.protocol_type.empty()) response.protocol_type = reply.protocol_type;
  for (const broker::JoinReply::Member& member : reply.members) {
    response.members.push_back({member.member_id, member.instance_id, base::as_view(member.metadata)});
  }
  return response;
}

// ---- LeaveGroup

constexpr int16_t kManyLeaversSince = 3;

LeaveGroupResponse leave_response(const Call& call, const broker::LeaveReply& reply) {
  LeaveGroupResponse response{.error_code = wire(call, reply.error)};
  if (call.version() < kManyLeaversSince) {
    if (!reply.members.empty()) response.error_code = wire(call, reply.members.front().error);
    return response;
  }
  for (const broker::LeaveReply::Member& member : reply.members) {
    response.members.push_back({member.member_id, member.instance_id, wire(call, member.error)});
  }
  return response;
}

}  // namespace

void handle_find_coordinator(Call call, base::View body) {
  FindCoordinatorRequest request;
  if (!call.parse(body, request)) return;
  FindCoordinatorResponse response;
  if (call.version() >= kManyKeysSince) {
    for (const std::string_view key : request.coordinator_keys) {
      response.coordinators.push_back(coordinator_of(call, key, request.key_type));
    }
    return call.reply(response);
  }
  Coordinator found = coordinator_of(call, request.key, request.key_type);
  response.error_code = found.error_code;
  response.error_message = std::move(found.error_message);
  response.node_id = found.node_id;
  response.host = std::move(found.host);
  response.port = found.port;
  call.reply(response);
}

void handle_join_group(Call call, base::View body) {
  JoinGroupRequest request;
  if (!call.parse(body, request)) return;
  const auto cell = open_cell_of_group(call.broker(), request.group_id);
  if (!cell) {
    return call.reply(JoinGroupResponse{
        .error_code = kGroupUnavailable, .protocol_name = "", .member_id = std::string(request.member_id)});
  }
  ask_group<broker::JoinReply>(call, *cell, join_request(call, request),
                               [call](broker::JoinReply& reply) { call.reply(join_response(call, reply)); });
}

void handle_sync_group(Call call, base::View body) {
  SyncGroupRequest request;
  if (!call.parse(body, request)) return;
  const auto cell = open_cell_of_group(call.broker(), request.group_id);
  if (!cell) return call.reply(SyncGroupResponse{.error_code = kGroupUnavailable});
  broker::SyncRequest sync{.group = std::string(request.group_id),
                           .member_id = std::string(request.member_id),
                           .instance_id = owned(request.group_instance_id),
                           .generation = request.generation_id,
                           .protocol_type = owned(request.protocol_type),
                           .protocol = owned(request.protocol_name)};
  for (const SyncGroupRequest::Assignment& given : request.assignments) {
    sync.assignments.push_back({std::string(given.member_id), owned(given.assignment)});
  }
  ask_group<broker::SyncReply>(call, *cell, std::move(sync), [call](broker::SyncReply& reply) {
    SyncGroupResponse response{.error_code = wire(call, reply.error), .assignment = base::as_view(reply.assignment)};
    if (!reply.protocol_type.empty()) response.protocol_type = reply.protocol_type;
    if (!reply.protocol.empty()) response.protocol_name = reply.protocol;
    call.reply(response);
  });
}

void handle_heartbeat(Call call, base::View body) {
  HeartbeatRequest request;
  if (!call.parse(body, request)) return;
  const auto cell = open_cell_of_group(call.broker(), request.group_id);
  if (!cell) return call.reply(HeartbeatResponse{.error_code = kGroupUnavailable});
  broker::HeartbeatRequest heartbeat{.group = std::string(request.group_id),
                                     .member_id = std::string(request.member_id),
                                     .instance_id = owned(request.group_instance_id),
                                     .generation = request.generation_id};
  ask_group<broker::HeartbeatReply>(call, *cell, std::move(heartbeat), [call](broker::HeartbeatReply& reply) {
    call.reply(HeartbeatResponse{.error_code = wire(call, reply.error)});
  });
}

void handle_leave_group(Call call, base::View body) {
  LeaveGroupRequest request;
  if (!call.parse(body, request)) return;
  const auto cell = open_cell_of_group(call.broker(), request.group_id);
  if (!cell) return call.reply(LeaveGroupResponse{.error_code = kGroupUnavailable});
  broker::LeaveRequest leave{.group = std::string(request.group_id)};
  if (call.version() < kManyLeaversSince) leave.members.push_back({std::string(request.member_id), std::nullopt});
  for (const LeaveGroupRequest::Member& member : request.members) {
    leave.members.push_back({std::string(member.member_id), owned(member.group_instance_id)});
  }
  ask_group<broker::LeaveReply>(call, *cell, std::move(leave),
                                [call](broker::LeaveReply& reply) { call.reply(leave_response(call, reply)); });
}

}  // namespace polylog::kafka
