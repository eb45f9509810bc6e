#include "protocol/kafka/commands.h"

#include <algorithm>
#include <array>

#include "protocol/kafka/handlers.h"

namespace polylog::kafka {
namespace {

constexpr Command kCommands[] = {
    {ApiKey::kProduce, handle_produce},
    {ApiKey::kFetch, handle_fetch},
    {ApiKey::kListOffsets, handle_list_offsets},
    {ApiKey::kMetadata, handle_metadata},
    {ApiKey::kOffsetCommit, handle_offset_commit},
    {ApiKey::kOffsetFetch, handle_offset_fetch},
    {ApiKey::kFindCoordinator, handle_find_coordinator},
    {ApiKey::kJoinGroup, handle_join_group},
    {ApiKey::kHeartbeat, handle_heartbeat},
    {ApiKey::kLeaveGroup, handle_leave_group},
    {ApiKey::kSyncGroup, handle_sync_group},
    {ApiKey::kDescribeGroups, handle_describe_groups},
    {ApiKey::kListGroups, handle_list_groups},
    {ApiKey::kApiVersions, handle_api_versions, /*before_login=*/true},
    {ApiKey::kCreateTopics, handle_create_topics},
    {ApiKey::kDeleteTopics, handle_delete_topics},
    {ApiKey::kDeleteRecords, handle_delete_records},
    {ApiKey::kInitProducerId, handle_init_producer_id},
    {ApiKey::kOffsetForLeaderEpoch, handle_offset_for_leader_epoch},
    {ApiKey::kDescribeAcls, handle_describe_acls},
    {ApiKey::kCreateAcls, handle_create_acls},
    {ApiKey::kDeleteAcls, handle_delete_acls},
    {ApiKey::kDescribeConfigs, handle_describe_configs},
    {ApiKey::kAlterConfigs, handle_alter_configs},
    {ApiKey::kDescribeLogDirs, handle_describe_log_dirs},
    {ApiKey::kCreatePartitions, handle_create_partitions},
    {ApiKey::kDeleteGroups, handle_delete_groups},
    {ApiKey::kElectLeaders, handle_elect_leaders},
    {ApiKey::kIncrementalAlterConfigs, handle_incremental_alter_configs},
    {ApiKey::kListPartitionReassignments, handle_list_partition_reassignments},
    {ApiKey::kOffsetDelete, handle_offset_delete},
    {ApiKey::kDescribeCluster, handle_describe_cluster},
    {ApiKey::kDescribeProducers, handle_describe_producers},
    {ApiKey::kConsumerGroupHeartbeat, handle_consumer_group_heartbeat},
    {ApiKey::kConsumerGroupDescribe, handle_consumer_group_describe},
    {ApiKey::kListConfigResources, handle_list_config_resources},
    {ApiKey::kDescribeTopicPartitions, handle_describe_topic_partitions},
};

constexpr bool is_ascending() {
  return std::ranges::adjacent_find(kCommands, [](const Command& a, const Command& b) { return a.key >= b.key; }) ==
         std::ranges::end(kCommands);
}
static_assert(is_ascending(), "each command once, by key");
static_assert(std::ranges::all_of(kCommands,
                                  [](const Command& c) { return find_api(static_cast<int16_t>(c.key)) != nullptr; }),
              "every command has a codec");

constexpr size_t kKeysMax = static_cast<size_t>(std::ranges::max(kCommands, {}, &Command::key).key) + 1;
constexpr std::array<int8_t, kKeysMax> kRowOfKey = [] {
  std::array<int8_t, kKeysMax> rows{};
  rows.fill(-1);
  for (size_t i = 0; i < std::size(kCommands); ++i)
    rows[static_cast<size_t>(kCommands[i].key)] = static_cast<int8_t>(i);
  return rows;
}();

}  // namespace

std::span<const Command> commands() { return kCommands; }

const Command* find_command(int16_t api_key) {
  if (api_key < 0 || static_cast<size_t>(api_key) >= kKeysMax) return nullptr;
  const int8_t row = kRowOfKey[static_cast<size_t>(api_key)];
  return row < 0 ? nullptr : &kCommands[row];
}

ApiVersionsResponse api_versions_response() {
  ApiVersionsResponse response;
  for (const Command& command : kCommands) {
    const ApiRow* row = find_api(static_cast<int16_t>(command.key));
    response.apis.push_back({static_cast<int16_t>(row->key), row->advertised_min, row->max});
  }
  return response;
}

Reply unsupported_api_versions_reply(int32_t correlation_id) {
  const ApiRow* row = find_api(static_cast<int16_t>(ApiKey::kApiVersions));
  ApiVersionsResponse response{.error_code = ErrorCode::kUnsupportedVersion};
  response.apis.push_back({static_cast<int16_t>(row->key), row->advertised_min, row->max});
  base::Writer out;
  const size_t frame_at = begin_response(out, ApiKey::kApiVersions, 0, correlation_id);
  encode(out, 0, response);
  end_response(out, frame_at);
  return {std::move(out.buffer()), {}, response.error_code};
}

void handle_api_versions(Call call, base::View body) {
  ApiVersionsRequest request;
  if (!call.parse(body, request)) return;
  if (call.version() >= 3) {
    if (!is_valid_software_word(request.client_software_name) ||
        !is_valid_software_word(request.client_software_version)) {
      return call.reply(ApiVersionsResponse{.error_code = ErrorCode::kInvalidRequest});
    }
    call.session().note_client(request.client_software_name);
  }
  call.reply(api_versions_response());
}

}  // namespace polylog::kafka
