#include "protocol/kafka/subscription.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "base/wire.h"

namespace polylog::kafka {
namespace {

constexpr size_t kTopicBytesMin = 2;       // its size
constexpr size_t kOwnedTopicBytesMin = 6;  // and a count
constexpr int16_t kOwnedSince = 1;

bool read_count(base::Reader& in, size_t element_bytes_min, int32_t& count) {
  count = in.i32be();
  return in.ok() && count >= 0 && static_cast<size_t>(count) <= in.remaining() / element_bytes_min;
}

bool read_topic(base::Reader& in, std::string& topic) {
  const int16_t size_bytes = in.i16be();
  if (size_bytes < 0) return false;
  topic = std::string(in.text(static_cast<size_t>(size_bytes)));
  return in.ok();
}

broker::Subscriptions read_topics(base::Reader& in) {
  int32_t count = 0;
  if (!read_count(in, kTopicBytesMin, count)) return std::nullopt;
  std::vector<std::string> topics(static_cast<size_t>(count));
  for (std::string& topic : topics) {
    if (!read_topic(in, topic)) return std::nullopt;
  }
  return topics;
}

void read_owned(base::Reader& in, std::vector<broker::CursorKey>& owned) {
  int32_t topics = 0, partitions = 0;
  if (!read_count(in, kOwnedTopicBytesMin, topics)) return;
  for (; topics > 0; --topics) {
    std::string topic;
    if (!read_topic(in, topic) || !read_count(in, sizeof(int32_t), partitions)) return;
    for (; partitions > 0; --partitions) owned.push_back({topic, static_cast<uint32_t>(in.i32be())});
  }
}

}  // namespace

broker::Subscriptions subscription_of(base::View metadata) {
  base::Reader in(metadata);
  if (in.i16be() < 0) return std::nullopt;
  return read_topics(in);
}

std::vector<broker::CursorKey> owned_of(const JoinGroupRequest& request) {
  std::vector<broker::CursorKey> owned;
  if (request.protocol_type != kConsumerProtocolType) return owned;
  for (const JoinGroupRequest::Protocol& protocol : request.protocols) {
    base::Reader in(protocol.metadata);
    if (in.i16be() < kOwnedSince || !read_topics(in)) continue;
    const int32_t user_data_bytes = in.i32be();
    if (user_data_bytes > 0) in.bytes(static_cast<size_t>(user_data_bytes));
    if (in.ok()) read_owned(in, owned);
  }
  return owned;
}

std::vector<uint8_t> assignment_of(const std::vector<broker::CursorKey>& partitions) {
  std::map<std::string_view, std::vector<uint32_t>> topics;
  for (const broker::CursorKey& key : partitions) topics[key.stream].push_back(key.partition);
  base::Writer out;
  out.i16be(0);
  out.i32be(static_cast<int32_t>(topics.size()));
  for (const auto& [topic, indexes] : topics) {
    out.i16be(static_cast<int16_t>(topic.size()));
    out.text(topic);
    out.i32be(static_cast<int32_t>(indexes.size()));
    for (const uint32_t index : indexes) out.i32be(static_cast<int32_t>(index));
  }
  out.i32be(-1);  // no user data
  return std::move(out.buffer());
}

broker::Subscriptions subscriptions_of(const JoinGroupRequest& request) {
  if (request.protocol_type != kConsumerProtocolType) return std::nullopt;
  std::vector<std::string> all;
  for (const JoinGroupRequest::Protocol& protocol : request.protocols) {
    auto topics = subscription_of(protocol.metadata);
    if (!topics) return std::nullopt;
    std::ranges::move(*topics, std::back_inserter(all));
  }
  std::ranges::sort(all);
  const auto repeated = std::ranges::unique(all);
  all.erase(repeated.begin(), repeated.end());
  return all;
}

}  // namespace polylog::kafka
