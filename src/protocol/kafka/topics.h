// Topics as handlers look them up: streams of the catalog that are read by offset. Queues are nobody's topic.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "broker/broker.h"
#include "protocol/kafka/error_codes.h"

namespace polylog::kafka {

using Topic = broker::Catalog::Record;  // a shared pointer; null: no such topic

Topic find_topic(const broker::Broker& broker, std::string_view name);
Topic find_topic(const broker::Broker& broker, const base::Uuid& id);
std::vector<Topic> all_topics(const broker::Broker& broker);

struct PartitionAt {
  base::CellId cell;
  base::PartitionKey key;
  int32_t leader_epoch = 0;
};
inline constexpr int32_t kNoEpoch = -1;
// Where a partition is, if it can be asked now. `expected_epoch` is what the client believes (kNoEpoch: it does not say).
// Errors: 3 unknown topic or partition, 6 the cell is closed, 74 and 75 the client's epoch is older or younger than ours.
std::expected<PartitionAt, ErrorCode> find_partition(const broker::Broker& broker, const Topic& topic, int32_t index,
                                                     int32_t expected_epoch = kNoEpoch);

// 1 to 249 of letters, digits, '.', '_' and '-', but not "." or "..".
bool is_valid_topic_name(std::string_view name);
// Whether another topic's name differs only in '.' and '_': monitoring systems would mix the two up. Names with very many
// of these are not looked at.
bool collides_with_topic(const broker::Broker& broker, std::string_view name);

namespace limits {
inline constexpr size_t kTopicNameBytesMax = 249;
inline constexpr int32_t kTopicPartitionsMax = static_cast<int32_t>(base::limits::kPartitionsPerStreamMax);
}  // namespace limits

}  // namespace polylog::kafka
