// Who leads a partition and holds it, in the fields that Metadata and DescribeTopicPartitions share: there is one broker,
// and it leads whatever it can open.
#pragma once

#include <cstddef>
#include <cstdint>

#include "protocol/kafka/session.h"

namespace polylog::kafka {

template <typename PartitionReply>
PartitionReply leadership_of(const Call& call, const broker::StreamRecord& topic, size_t index) {
  const int32_t node_id = call.config().node_id;
  PartitionReply reply;
  reply.partition_index = static_cast<int32_t>(index);
  reply.leader_id = node_id;
  reply.replica_nodes = {node_id};
  reply.leader_epoch = static_cast<int32_t>(call.broker().epoch_of(topic.partitions[index]).value);
  if (reply.leader_epoch == 0) {  // its cell is closed
    reply.error_code = ErrorCode::kLeaderNotAvailable;
    reply.leader_id = -1;
    reply.offline_replicas = {node_id};
  } else {
    reply.isr_nodes = {node_id};
  }
  return reply;
}

}  // namespace polylog::kafka
