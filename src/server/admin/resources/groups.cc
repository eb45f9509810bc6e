// /v1/groups: consumer groups, which live in the cell that their name chooses.
#include <fmt/format.h>

#include <algorithm>

#include "broker/groups/assignor.h"
#include "server/admin/resources/partitions.h"
#include "server/admin/routes.h"

namespace polylog::server {
namespace {

using base::ErrorCode;
using broker::GroupError;
using broker::GroupPhase;
using broker::StreamKind;
using Cursor = broker::FetchCursorsReply::Entry;

constexpr std::string_view kManagedProtocolType = "consumer";  // only consumers can be members of a managed group

base::Error error_of(GroupError error, std::string_view group) {
  switch (error) {
    case GroupError::kGroupNotFound:
    case GroupError::kInvalidGroupId: return {ErrorCode::kNotFound, fmt::format("there is no group '{}'", group)};
    case GroupError::kNotEmpty:
    case GroupError::kUnknownMember:
    case GroupError::kSubscribed:
    case GroupError::kRebalanceInProgress:
      return {ErrorCode::kInUse, fmt::format("group '{}' has members; stop its consumers first", group)};
    case GroupError::kUnavailable: return {ErrorCode::kIo, "the cell that holds the group is closed; see the log"};
    default: return {ErrorCode::kInvalid, broker::name_of(error)};
  }
}

template <typename Reply>
Task<Reply> ask_group(Call& call, std::string group, broker::GroupRequest request) {
  Answers<broker::GroupReply> answer(call.engine);
  answer.ask(call.broker().cell_of_group(group), std::move(request));
  co_return std::get<Reply>((co_await answer)[0]);
}

// Both kinds of groups look alike here: a managed one's epoch is its generation, its assignor its protocol.
broker::DescribeGroupsReply::Group as_described(broker::DescribeManagedReply::Group managed) {
  broker::DescribeGroupsReply::Group group{.name = std::move(managed.name),
                                           .error = managed.error,
                                           .phase = managed.phase,
                                           .generation = managed.epoch,
                                           .protocol_type = std::string(kManagedProtocolType),
                                           .protocol = std::string(broker::name_of(managed.assignor)),
                                           .members = {}};
  for (auto& member : managed.members) {
    group.members.push_back({.member_id = std::move(member.member_id),
                             .instance_id = std::move(member.instance_id),
                             .client_id = std::move(member.client_id),
                             .client_host = std::move(member.client_host),
                             .metadata = {},
                             .assignment = {}});
  }
  return group;
}

Task<broker::DescribeGroupsReply::Group> group_of(Call& call, std::string name) {
  auto described =
      co_await ask_group<broker::DescribeGroupsReply>(call, name, broker::DescribeGroupsRequest{.groups = {name}});
  auto& group = described.groups.at(0);
  if (group.error != GroupError::kGroupNotFound) co_return std::move(group);
  auto managed =
      co_await ask_group<broker::DescribeManagedReply>(call, name, broker::DescribeManagedRequest{.groups = {name}});
  co_return as_described(std::move(managed.groups.at(0)));
}

void put_members(http::JsonWriter& out, const broker::DescribeGroupsReply::Group& group) {
  out.key("members").begin_array();
  for (const auto& member : group.members) {
    out.begin_object()
        .field("id", member.member_id)
        .field("instance_id", member.instance_id)
        .field("client_id", member.client_id)
        .field("client_host", member.client_host)
        .end_object();
  }
  out.end_array();
}

// The ends of the partitions that the cursors point into, by stream; what is gone has none.
using Ends = std::map<std::string, std::vector<broker::PartitionStatsDone::Item>>;
Task<Ends> ends_of(Call& call, const std::vector<Cursor>& cursors) {
  Ends ends;
  for (const Cursor& cursor : cursors) {
    if (ends.contains(cursor.key.stream)) continue;
    const Record stream = call.broker().catalog().find(cursor.key.stream);
    auto& stats = ends[cursor.key.stream];
    if (stream != nullptr && stream->kind == StreamKind::kStream) {
      stats = co_await partition_stats(call, stream, 0, stream->partitions.size());
    }
  }
  co_return ends;
}

void put_offsets(http::JsonWriter& out, const std::vector<Cursor>& cursors, const Ends& ends) {
  out.key("offsets").begin_array();
  for (const Cursor& cursor : cursors) {
    const auto& stats = ends.at(cursor.key.stream);
    std::optional<int64_t> end;
    if (cursor.key.partition < stats.size() && !stats[cursor.key.partition].error) {
      end = stats[cursor.key.partition].committed.value;
    }
    out.begin_object()
        .field("stream", cursor.key.stream)
        .field("partition", cursor.key.partition)
        .field("offset", cursor.offset)
        .field("end", end)
        .field("lag", end ? std::optional(std::max<int64_t>(0, *end - cursor.offset)) : std::nullopt)
        .field("metadata", cursor.metadata)
        .end_object();
  }
  out.end_array();
}

// A closed cell lists nothing.
bool all_cells_are_open(const broker::Broker& broker) {
  for (uint16_t cell = 0; cell < broker.cell_count(); ++cell) {
    if (broker.epoch_of(base::CellId(cell)) == base::Epoch{}) return false;
  }
  return true;
}

// ---- reset

struct Reset {
  Record stream;
  std::vector<uint32_t> partitions;
  Place to;
};

base::Result<std::vector<uint32_t>> partitions_of(const http::Json* list, const broker::StreamRecord& stream) {
  std::vector<uint32_t> partitions;
  if (list == nullptr || list->is_null()) {
    for (uint32_t i = 0; i < stream.partitions.size(); ++i) partitions.push_back(i);
    return partitions;
  }
  if (list->array() == nullptr) return base::fail(ErrorCode::kInvalid, "partitions: an array of numbers");
  for (const http::Json& item : *list->array()) {
    const int64_t index = item.integer().value_or(-1);
    if (index < 0 || index >= static_cast<int64_t>(stream.partitions.size())) {
      return base::fail(ErrorCode::kInvalid,
                        fmt::format("partitions: numbers from 0 to {}", stream.partitions.size() - 1));
    }
    partitions.push_back(static_cast<uint32_t>(index));
  }
  return partitions;
}

base::Result<Reset> reset_of(Call& call) {
  TRY_ASSIGN(const http::Json body, call.body({"stream", "partitions", "to"}));
  const http::Json* name = body.find("stream");
  const http::Json* to = body.find("to");
  if (name == nullptr || name->text() == nullptr) return base::fail(ErrorCode::kInvalid, "stream: the name of one");
  if (to == nullptr || to->array() != nullptr || to->object() != nullptr) {
    return base::fail(ErrorCode::kInvalid, "to: earliest, latest, an offset or time:MS");
  }
  Reset reset{.stream = call.broker().catalog().find(*name->text()), .partitions = {}, .to = {}};
  if (reset.stream == nullptr || reset.stream->kind != StreamKind::kStream) {
    return base::fail(ErrorCode::kNotFound, fmt::format("there is no stream '{}'", *name->text()));
  }
  TRY_ASSIGN(reset.to, place_of(to->plain()));
  TRY_ASSIGN(reset.partitions, partitions_of(body.find("partitions"), *reset.stream));
  return reset;
}

}  // namespace

Task<Response> list_groups(Call& call) {
  ADMIN_TRY(const Page page, page_of(call));
  Answers<broker::GroupReply> lists(call.engine);
  for (uint16_t cell = 0; cell < call.broker().cell_count(); ++cell) {
    lists.ask(base::CellId(cell), broker::GroupRequest(broker::ListGroupsRequest{}));
  }
  std::vector<broker::ListGroupsReply::Group> groups;
  for (broker::GroupReply& reply : co_await lists) {
    for (auto& group : std::get<broker::ListGroupsReply>(reply).groups) {
      if (page.after.empty() || group.name > page.after) groups.push_back(std::move(group));
    }
  }
  std::ranges::sort(groups, {}, &broker::ListGroupsReply::Group::name);
  const bool more = groups.size() > page.items_max;
  if (more) groups.resize(page.items_max);
  http::JsonWriter out;
  out.begin_object().key("groups").begin_array();
  for (const auto& group : groups) {
    out.begin_object().field("name", group.name).field("state", broker::name_of(group.phase));
    const bool is_managed = group.kind == broker::GroupKind::kManaged;
    out.field("protocol_type", is_managed ? kManagedProtocolType : group.protocol_type).end_object();
  }
  out.end_array().field("next", more ? std::optional(groups.back().name) : std::nullopt);
  out.field("complete", all_cells_are_open(call.broker())).end_object();
  co_return json_response(out);
}

Task<Response> get_group(Call& call) {
  const std::string name = call.names[0];
  const auto group = co_await group_of(call, name);
  if (group.error != GroupError::kNone) co_return refuse(error_of(group.error, name));
  if (group.phase == GroupPhase::kDead) co_return refuse(error_of(GroupError::kGroupNotFound, name));
  const auto cursors =
      co_await ask_group<broker::FetchCursorsReply>(call, name, broker::FetchCursorsRequest{.group = name, .keys = {}});
  if (cursors.error != GroupError::kNone) co_return refuse(error_of(cursors.error, name));
  const Ends ends = co_await ends_of(call, cursors.entries);
  http::JsonWriter out;
  out.begin_object()
      .field("name", name)
      .field("state", broker::name_of(group.phase))
      .field("generation", group.generation)
      .field("protocol_type", group.protocol_type)
      .field("protocol", group.protocol);
  put_members(out, group);
  put_offsets(out, cursors.entries, ends);
  out.end_object();
  co_return json_response(out);
}

Task<Response> reset_group(Call& call) {
  const std::string name = call.names[0];
  ADMIN_TRY(const Reset reset, reset_of(call));
  broker::CommitRequest request{.group = name, .member_id = {}, .instance_id = {}, .retention_ms = {}, .entries = {}};
  for (const uint32_t partition : reset.partitions) {
    ADMIN_TRY(const base::Offset offset, co_await offset_of(call, reset.stream, partition, reset.to));
    request.entries.push_back({.key = {reset.stream->name, partition}, .offset = offset.value, .metadata = {}});
  }
  const auto committed = co_await ask_group<broker::CommitReply>(call, name, request);
  if (committed.error != GroupError::kNone) co_return refuse(error_of(committed.error, name));
  http::JsonWriter out;
  out.begin_object().field("name", name).key("offsets").begin_array();
  for (const auto& entry : request.entries) {
    out.begin_object().field("stream", entry.key.stream).field("partition", entry.key.partition);
    out.field("offset", entry.offset).end_object();
  }
  out.end_array().end_object();
  co_return json_response(out);
}

Task<Response> delete_group(Call& call) {
  const std::string name = call.names[0];
  const auto deleted =
      co_await ask_group<broker::DeleteGroupsReply>(call, name, broker::DeleteGroupsRequest{.groups = {name}});
  const GroupError error = deleted.groups.at(0).error;
  if (error != GroupError::kNone) co_return refuse(error_of(error, name));
  co_return Response{.status = 204};
}

}  // namespace polylog::server
