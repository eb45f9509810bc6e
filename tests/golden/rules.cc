#include "tests/golden/rules.h"

#include <iterator>

#include <fmt/format.h>

namespace polylog::golden {

const Mask kMasks[] = {
    // --- Kafka
    {"*.throttle_time_ms", "quotas are the broker's business"},
    {"*.error_message", "texts are for people; the error code beside it is compared"},
    {"*.leader_epoch", "counts how often a partition changed hands: Kafka from 0, polylog with each start"},
    {"*.cluster_id", "made up by each cluster"},
    {"ApiVersions.apis", "each broker offers what it has"},
    {"ApiVersions.supported_features", "names features of Kafka's own upgrades"},
    {"ApiVersions.finalized_features", "likewise"},
    {"ApiVersions.finalized_features_epoch", "likewise"},
    {"Metadata.brokers[].host", "where the broker listens"},
    {"Metadata.brokers[].port", "likewise"},
    {"FindCoordinator.host", "likewise"},
    {"FindCoordinator.port", "likewise"},
    // --- AMQP
    {"basic.deliver.properties.headers.x-delivery-count", "polylog does not count redeliveries of quorum queues"},
    {"connection.start.server_properties.capabilities.direct_reply_to", "polylog offers only what works"},
    {"connection.start.server_properties.cluster_name", "made up by each cluster"},
    {"connection.start.server_properties.copyright", "says whose program it is"},
    {"connection.start.server_properties.information", "likewise"},
    {"connection.start.server_properties.platform", "likewise"},
    {"connection.start.server_properties.version", "likewise"},
    {"connection.start.server_properties.polylog_version", "likewise"},
};
const size_t kMaskCount = std::size(kMasks);

const Unordered kUnordered[] = {
    {"Metadata.topics", "Kafka keeps them in a hash table"},
    {"Metadata.topics[].partitions", "likewise"},
    {"ListOffsets.topics[].partitions", "likewise"},
    {"DescribeConfigs.results[].configs", "likewise"},
    {"DeleteGroups.results", "likewise"},
};
const size_t kUnorderedCount = std::size(kUnordered);

const Leave kLeaves[] = {
    {"Metadata.topics", "is_internal", "1", "Kafka keeps committed offsets in a topic, polylog elsewhere"},
};
const size_t kLeaveCount = std::size(kLeaves);

const Correlated kCorrelated[] = {
    {"member_id", "member", "", "ends in a random UUID"},
    {"leader", "member", "", "the member id of a group's leader"},
    {"producer_id", "producer", "", "blocks of ids are given out in any order"},
    {"consumer_tag", "consumer", "amq.ctag-", "made up when the client names none"},
    {"queue", "queue", "amq.gen-", "likewise"},
    {"routing_key", "queue", "amq.gen-", "the name of a queue, on the default exchange"},
};
const size_t kCorrelatedCount = std::size(kCorrelated);

const Correlated* find_correlated(std::string_view field) {
  for (const Correlated& row : kCorrelated) {
    if (row.field == field) return &row;
  }
  return nullptr;
}

std::vector<std::string> rule_names() {
  std::vector<std::string> names;
  for (const Mask& row : kMasks) names.push_back(fmt::format("masked {}", row.path));
  for (const Unordered& row : kUnordered) names.push_back(fmt::format("unordered {}", row.path));
  for (const Leave& row : kLeaves) names.push_back(fmt::format("left out {}", row.path));
  for (const Correlated& row : kCorrelated) names.push_back(fmt::format("correlated {}", row.field));
  return names;
}

}  // namespace polylog::golden
