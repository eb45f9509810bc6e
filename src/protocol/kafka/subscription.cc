#include "protocol/kafka/subscription.h"

#include <algorithm>
#include <iterator>

#include "base/wire.h"

namespace polylog::kafka {
namespace {
constexpr size_t kTopicBytesMin = 2;  // its size
}

broker::Subscriptions subscription_of(base::View metadata) {
  base::Reader in(metadata);
  const int16_t version = in.i16be();
  const int32_t count = in.i32be();
  if (version < 0 || count < 0 || static_cast<size_t>(count) > in.remaining() / kTopicBytesMin) return std::nullopt;
  std::vector<std::string> topics;
  topics.reserve(static_cast<size_t>(count));
  for (int32_t i = 0; i < count; ++i) {
    const int16_t size_bytes = in.i16be();
    if (size_bytes < 0) return std::nullopt;
    topics.emplace_back(in.text(static_cast<size_t>(size_bytes)));
  }
  if (!in.ok()) return std::nullopt;
  return topics;
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
