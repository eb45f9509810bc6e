// Offsets that groups commit: OffsetCommit, OffsetFetch and OffsetDelete. Only partitions that exist are asked about
// when something changes; the answer keeps the shape of the request.
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/kafka/errors.h"
#include "protocol/kafka/gen/offset_commit.h"
#include "protocol/kafka/gen/offset_delete.h"
#include "protocol/kafka/gen/offset_fetch.h"
#include "protocol/kafka/group_calls.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {
namespace {

bool has_partition(const Topic& topic, int32_t index) {
  return topic != nullptr && index >= 0 && static_cast<size_t>(index) < topic->partitions.size();
}

broker::CursorKey cursor_key(std::string_view topic, int32_t partition) {
  return {std::string(topic), static_cast<uint32_t>(partition)};
}

// Answers come in the order of the entries that were sent, so the n-th one is for the n-th partition without an error.
template <typename Response, typename Entries, typename ErrorOf>
void fill_errors(Response& response, const Entries& entries, ErrorOf error_of) {
  size_t next = 0;
  for (auto& topic : response.topics) {
    for (auto& partition : topic.partitions) {
      if (partition.error_code == ErrorCode::kNone) partition.error_code = error_of(entries.at(next++).error);
    }
  }
}

// ---- OffsetCommit

void set_error(OffsetCommitResponse& response, ErrorCode error) {
  for (auto& topic : response.topics) {
    for (auto& partition : topic.partitions) partition.error_code = error;
  }
}

broker::CommitRequest::Entry commit_entry(std::string_view topic, const OffsetCommitRequest::Partition& asked) {
  return {.key = cursor_key(topic, asked.partition_index),
          .offset = asked.committed_offset,
          .leader_epoch = asked.committed_leader_epoch,
          .metadata = std::string(asked.committed_metadata.value_or(""))};
}

constexpr int16_t kMemberEpochSince = 9;

broker::CommitRequest commit_request(const OffsetCommitRequest& request, int16_t version) {
  broker::CommitRequest commit{.group = std::string(request.group_id),
                               .member_id = std::string(request.member_id),
                               .generation = request.generation_id_or_member_epoch};
  commit.knows_epochs = version >= kMemberEpochSince;
  if (request.group_instance_id) commit.instance_id = *request.group_instance_id;
  if (request.retention_time_ms >= 0) commit.retention_ms = request.retention_time_ms;
  return commit;
}

// ---- OffsetFetch

using TopicsAsked = std::optional<std::vector<OffsetFetchRequest::Topic>>;
using TopicReply = OffsetFetchResponse::Topic;
using GroupReply = OffsetFetchResponse::Group;
constexpr int16_t kGroupErrorSince = 2, kManyGroupsSince = 8;
constexpr int64_t kNothingCommitted = -1;

// The topics of the request, each with its number of partitions, to give the reply its shape; empty: all were asked
// for.
struct AskedTopic {
  std::string name;
  size_t partition_count = 0;
};
struct Wanted {
  broker::FetchCursorsRequest request;
  std::vector<AskedTopic> shape;
};
Wanted wanted_of(std::string_view group, const TopicsAsked& asked) {
  Wanted wanted{.request = {.group = std::string(group)}, .shape = {}};
  if (!asked) return wanted;
  std::vector<broker::CursorKey>& keys = wanted.request.keys.emplace();
  std::set<std::pair<std::string_view, int32_t>> seen;  // each partition once: what is committed may be long
  for (const OffsetFetchRequest::Topic& topic : *asked) {
    AskedTopic& shape = wanted.shape.emplace_back(std::string(topic.name));
    for (const int32_t partition : topic.partition_indexes) {
      if (!seen.emplace(topic.name, partition).second) continue;
      keys.push_back(cursor_key(topic.name, partition));
      ++shape.partition_count;
    }
  }
  return wanted;
}

OffsetFetchResponse::Partition partition_reply(broker::FetchCursorsReply::Entry& entry) {
  return {.partition_index = static_cast<int32_t>(entry.key.partition),
          .committed_offset = entry.offset,
          .committed_leader_epoch = entry.leader_epoch,
          .metadata = std::move(entry.metadata)};
}

void fill_topics(std::vector<TopicReply>& topics, const std::vector<AskedTopic>& shape,
                 broker::FetchCursorsReply& reply) {
  size_t next = 0;
  for (const AskedTopic& asked : shape) {
    TopicReply& topic = topics.emplace_back(asked.name);
    for (size_t i = 0; i < asked.partition_count; ++i)
      topic.partitions.push_back(partition_reply(reply.entries.at(next++)));
  }
  for (; next < reply.entries.size(); ++next) {  // all were asked for: they are sorted
    broker::FetchCursorsReply::Entry& entry = reply.entries[next];
    if (topics.empty() || topics.back().name != entry.key.stream) topics.push_back({entry.key.stream, {}});
    topics.back().partitions.push_back(partition_reply(entry));
  }
}

// Of a request for one group. Version 1 has no other place for the error than its partitions.
OffsetFetchResponse refusal(const TopicsAsked& asked, int16_t version, ErrorCode error) {
  OffsetFetchResponse response{.error_code = error};
  if (version >= kGroupErrorSince || !asked) return response;
  for (const OffsetFetchRequest::Topic& topic : *asked) {
    TopicReply& reply = response.topics.emplace_back(std::string(topic.name));
    for (const int32_t index : topic.partition_indexes) {
      reply.partitions.push_back(
          {.partition_index = index, .committed_offset = kNothingCommitted, .metadata = "", .error_code = error});
    }
  }
  return response;
}

void fetch_one_group(const Call& call, const OffsetFetchRequest& request) {
  const auto cell = open_cell_of_group(call.broker(), request.group_id);
  if (!cell) return call.reply(refusal(request.topics, call.version(), kGroupUnavailable));
  Wanted wanted = wanted_of(request.group_id, request.topics);
  ask_group<broker::FetchCursorsReply>(call, *cell, std::move(wanted.request),
                                       [call, shape = std::move(wanted.shape)](broker::FetchCursorsReply& reply) {
                                         OffsetFetchResponse response{.error_code = to_wire(reply.error)};
                                         if (reply.error != broker::GroupError::kNone) return call.reply(response);
                                         fill_topics(response.topics, shape, reply);
                                         call.reply(response);
                                       });
}

void fetch_groups(const Call& call, const OffsetFetchRequest& request) {
  auto gather = std::make_shared<Gather<OffsetFetchResponse>>(call);
  auto& groups = gather->response().groups;
  std::set<std::string_view> seen;  // each group once: it may have very many offsets
  for (const OffsetFetchRequest::Group& asked : request.groups) {
    if (!seen.insert(asked.group_id).second) continue;
    groups.push_back({.group_id = std::string(asked.group_id)});
    const auto cell = open_cell_of_group(call.broker(), asked.group_id);
    if (!cell) {
      groups.back().error_code = kGroupUnavailable;
      continue;
    }
    Wanted wanted = wanted_of(asked.group_id, asked.topics);
    wanted.request.member_id = asked.member_id.value_or("");
    wanted.request.epoch = asked.member_epoch;
    gather->ask<broker::FetchCursorsReply>(*cell, std::move(wanted.request),
                                           [index = groups.size() - 1, shape = std::move(wanted.shape)](
                                               OffsetFetchResponse& response, broker::FetchCursorsReply& reply) {
                                             GroupReply& group = response.groups[index];
                                             group.error_code = to_wire(reply.error);
                                             if (reply.error != broker::GroupError::kNone) return;
                                             fill_topics(group.topics, shape, reply);
                                           });
  }
  gather->reply_if_answered();
}

}  // namespace

void handle_offset_commit(Call call, base::View body) {
  OffsetCommitRequest request;
  if (!call.parse(body, request)) return;
  broker::CommitRequest commit = commit_request(request, call.version());
  OffsetCommitResponse response;
  for (const OffsetCommitRequest::Topic& asked : request.topics) {
    const Topic topic = find_topic(call.broker(), asked.name);
    auto& partitions = response.topics.emplace_back(std::string(asked.name)).partitions;
    for (const OffsetCommitRequest::Partition& partition : asked.partitions) {
      const bool exists = has_partition(topic, partition.partition_index);
      partitions.push_back(
          {partition.partition_index, exists ? ErrorCode::kNone : ErrorCode::kUnknownTopicOrPartition});
      if (exists) commit.entries.push_back(commit_entry(asked.name, partition));
    }
  }
  if (commit.entries.empty()) return call.reply(response);
  const auto cell = open_cell_of_group(call.broker(), request.group_id);
  if (!cell) {
    set_error(response, kGroupUnavailable);
    return call.reply(response);
  }
  ask_group<broker::CommitReply>(
      call, *cell, std::move(commit), [call, response = std::move(response)](broker::CommitReply& reply) mutable {
        fill_errors(response, reply.entries,
                    [&](broker::GroupError error) { return for_version(to_wire(error), call.key(), call.version()); });
        call.reply(response);
      });
}

void handle_offset_fetch(Call call, base::View body) {
  OffsetFetchRequest request;
  if (!call.parse(body, request)) return;
  if (call.version() >= kManyGroupsSince) return fetch_groups(call, request);
  fetch_one_group(call, request);
}

void handle_offset_delete(Call call, base::View body) {
  OffsetDeleteRequest request;
  if (!call.parse(body, request)) return;
  const auto cell = open_cell_of_group(call.broker(), request.group_id);
  if (!cell) return call.reply(OffsetDeleteResponse{.error_code = kGroupUnavailable});
  broker::DeleteCursorsRequest wanted{.group = std::string(request.group_id), .keys = {}};
  OffsetDeleteResponse response;
  for (const OffsetDeleteRequest::Topic& asked : request.topics) {
    const Topic topic = find_topic(call.broker(), asked.name);
    auto& partitions = response.topics.emplace_back(std::string(asked.name)).partitions;
    for (const OffsetDeleteRequest::Partition& partition : asked.partitions) {
      const bool exists = has_partition(topic, partition.partition_index);
      partitions.push_back(
          {partition.partition_index, exists ? ErrorCode::kNone : ErrorCode::kUnknownTopicOrPartition});
      if (exists) wanted.keys.push_back(cursor_key(asked.name, partition.partition_index));
    }
  }
  ask_group<broker::DeleteCursorsReply>(
      call, *cell, std::move(wanted),
      [call, response = std::move(response)](broker::DeleteCursorsReply& reply) mutable {
        if (reply.error != broker::GroupError::kNone) {
          return call.reply(OffsetDeleteResponse{.error_code = to_wire(reply.error)});
        }
        fill_errors(response, reply.entries, [](broker::GroupError error) { return to_wire(error); });
        call.reply(response);
      });
}

}  // namespace polylog::kafka
