#include "protocol/kafka/topics.h"

#include <algorithm>
#include <string>

namespace polylog::kafka {
namespace {

constexpr size_t kCollisionSeparatorsMax = 10;  // 2^10 names to look up

Topic only_streams(Topic record) {
  return record != nullptr && record->kind == broker::StreamKind::kStream ? std::move(record) : nullptr;
}

bool is_separator(char c) { return c == '.' || c == '_'; }

}  // namespace

Topic find_topic(const broker::Broker& broker, std::string_view name) {
  return only_streams(broker.catalog().find(name));
}

Topic find_topic(const broker::Broker& broker, const base::Uuid& id) { return only_streams(broker.catalog().find(id)); }

std::vector<Topic> all_topics(const broker::Broker& broker) {
  std::vector<Topic> topics = broker.catalog().all();
  std::erase_if(topics, [](const Topic& topic) { return topic->kind != broker::StreamKind::kStream; });
  return topics;
}

std::expected<PartitionAt, ErrorCode> find_partition(const broker::Broker& broker, const Topic& topic, int32_t index,
                                                     int32_t expected_epoch) {
  if (topic == nullptr || index < 0 || static_cast<size_t>(index) >= topic->partitions.size()) {
    return std::unexpected(ErrorCode::kUnknownTopicOrPartition);
  }
  const base::CellId cell = topic->partitions[static_cast<size_t>(index)];
  const auto epoch = static_cast<int32_t>(broker.epoch_of(cell).value);
  if (epoch == 0) return std::unexpected(ErrorCode::kNotLeaderOrFollower);
  if (expected_epoch != kNoEpoch && expected_epoch < epoch) return std::unexpected(ErrorCode::kFencedLeaderEpoch);
  if (expected_epoch != kNoEpoch && expected_epoch > epoch) return std::unexpected(ErrorCode::kUnknownLeaderEpoch);
  return PartitionAt{cell, topic->key(static_cast<uint32_t>(index)), epoch};
}

bool is_valid_topic_name(std::string_view name) {
  if (name.empty() || name.size() > limits::kTopicNameBytesMax || name == "." || name == "..") return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || is_separator(c) || c == '-';
  });
}

bool collides_with_topic(const broker::Broker& broker, std::string_view name) {
  std::vector<size_t> separators;
  for (size_t i = 0; i < name.size(); ++i) {
    if (is_separator(name[i])) separators.push_back(i);
  }
  if (separators.size() > kCollisionSeparatorsMax) return false;
  std::string candidate(name);
  for (uint32_t pattern = 0; pattern < 1u << separators.size(); ++pattern) {
    for (size_t i = 0; i < separators.size(); ++i) candidate[separators[i]] = (pattern >> i & 1) != 0 ? '_' : '.';
    if (candidate != name && find_topic(broker, candidate) != nullptr) return true;
  }
  return false;
}

}  // namespace polylog::kafka
