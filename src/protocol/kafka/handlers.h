// The handlers of all commands, by the file they are in. Each is called once for a request whose header was read, answers
// its Call now or later, and may use `body` only until it returns. commands.cc is the one place that names them.
#pragma once

#include "base/bytes.h"

namespace polylog::kafka {

class Call;

// commands.cc
void handle_api_versions(Call call, base::View body);

// on_produce.cc
void handle_produce(Call call, base::View body);
void handle_init_producer_id(Call call, base::View body);

// on_fetch.cc
void handle_fetch(Call call, base::View body);

// on_offsets.cc
void handle_list_offsets(Call call, base::View body);
void handle_offset_for_leader_epoch(Call call, base::View body);
void handle_delete_records(Call call, base::View body);

// on_metadata.cc
void handle_metadata(Call call, base::View body);
void handle_describe_cluster(Call call, base::View body);

// on_topic_partitions.cc
void handle_describe_topic_partitions(Call call, base::View body);

// on_topics.cc
void handle_create_topics(Call call, base::View body);
void handle_delete_topics(Call call, base::View body);
void handle_create_partitions(Call call, base::View body);

// on_groups.cc
void handle_find_coordinator(Call call, base::View body);
void handle_join_group(Call call, base::View body);
void handle_sync_group(Call call, base::View body);
void handle_heartbeat(Call call, base::View body);
void handle_leave_group(Call call, base::View body);

// on_consumer_groups.cc
void handle_consumer_group_heartbeat(Call call, base::View body);
void handle_consumer_group_describe(Call call, base::View body);

// on_cursors.cc
void handle_offset_commit(Call call, base::View body);
void handle_offset_fetch(Call call, base::View body);
void handle_offset_delete(Call call, base::View body);

// on_group_admin.cc
void handle_describe_groups(Call call, base::View body);
void handle_list_groups(Call call, base::View body);
void handle_delete_groups(Call call, base::View body);

// on_describe_configs.cc
void handle_describe_configs(Call call, base::View body);
void handle_list_config_resources(Call call, base::View body);

// on_configs.cc
void handle_alter_configs(Call call, base::View body);
void handle_incremental_alter_configs(Call call, base::View body);

// on_partition_state.cc
void handle_describe_log_dirs(Call call, base::View body);
void handle_describe_producers(Call call, base::View body);

// on_admin.cc
void handle_describe_acls(Call call, base::View body);
void handle_create_acls(Call call, base::View body);
void handle_delete_acls(Call call, base::View body);
void handle_elect_leaders(Call call, base::View body);
void handle_list_partition_reassignments(Call call, base::View body);

}  // namespace polylog::kafka
