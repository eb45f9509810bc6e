#include "protocol/kafka/fetch_sessions.h"

#include <functional>

namespace polylog::kafka {
namespace {

constexpr int32_t kWhole = 0, kWholeAndLast = -1;

// An id is (number * kCoresMax + core) + 1.
constexpr int32_t kCoresMax = 1024, kIdsPerCore = INT32_MAX / kCoresMax;

size_t partitions_in(const FetchRequest& request) {
  size_t count = 0;
  for (const FetchRequest::Topic& topic : request.topics) count += topic.partitions.size();
  return count;
}

}  // namespace

// ---- one session

size_t FetchSession::Hash::operator()(const Key& key) const {
  return std::hash<std::string_view>{}(key.name) ^ std::hash<base::Uuid>{}(key.id) ^
         (static_cast<size_t>(key.index) * 0x9E3779B97F4A7C15u);
}

void FetchSession::add(const FetchRequest::Topic& asked) {
  std::shared_ptr<const Topic> topic;  // shared by those that come together
  for (const FetchRequest::Partition& partition : asked.partitions) {
    const auto known = by_key_.find({asked.name, asked.topic_id, partition.partition_index});
    if (known != by_key_.end()) {
      known->second->asked = partition;
      continue;
    }
    if (topic == nullptr) topic = std::make_shared<const Topic>(std::string(asked.name), asked.topic_id);
    const auto added = partitions_.insert(partitions_.end(), {topic, partition});
    by_key_.emplace(Key{topic->name, topic->id, partition.partition_index}, added);
  }
}

void FetchSession::update(const FetchRequest& request) {
  for (const FetchRequest::ForgottenTopic& forgotten : request.forgotten_topics) {
    for (const int32_t index : forgotten.partitions) {
      const auto found = by_key_.find({forgotten.name, forgotten.topic_id, index});
      if (found == by_key_.end()) continue;
      const auto partition = found->second;
      by_key_.erase(found);  // its key lies in the partition
      partitions_.erase(partition);
    }
  }
  for (const FetchRequest::Topic& asked : request.topics) add(asked);
}

std::vector<FetchRequest::Topic> FetchSession::topics() const {
  std::vector<FetchRequest::Topic> topics;
  for (const Partition& partition : partitions_) {
    const Topic& topic = *partition.topic;
    if (topics.empty() || topics.back().name != topic.name || topics.back().topic_id != topic.id) {
      topics.push_back({.name = topic.name, .topic_id = topic.id});
    }
    topics.back().partitions.push_back(partition.asked);
  }
  return topics;
}

bool FetchSession::take_news(std::string_view topic, const base::Uuid& topic_id,
                             const FetchResponse::Partition& reply) {
  const auto found = by_key_.find({topic, topic_id, reply.partition_index});
  if (found == by_key_.end()) return true;  // forgotten by a request behind this one
  Partition& partition = *found->second;
  const bool has_trouble =
      reply.error_code != ErrorCode::kNone || !(reply.diverging_epoch == FetchResponse::DivergingEpoch{});
  const bool has_records = reply.records.size_bytes > 0;
  const bool has_moved =
      partition.known_high_watermark != reply.high_watermark || partition.known_log_start != reply.log_start_offset;
  partition.known_high_watermark = has_trouble ? -1 : reply.high_watermark;  // that it is over will be news
  partition.known_log_start = reply.log_start_offset;
  if (has_records) partitions_.splice(partitions_.end(), partitions_, found->second);
  return has_trouble || has_records || has_moved;
}

// ---- all sessions

FetchSessions::FetchSessions(base::CoreId core, base::WallTime now, base::Gauge& count, int32_t sessions_max)
    : count_(count),
      sessions_max_(static_cast<size_t>(sessions_max)),
      core_(core.value % kCoresMax),
      next_(static_cast<int32_t>(static_cast<uint64_t>(now.ms) % kIdsPerCore)) {}

FetchSessions::Opened FetchSessions::open(const FetchRequest& request, bool by_id, base::MonoTime now) {
  if (request.session_epoch != kWhole && request.session_epoch != kWholeAndLast) {
    return open_incremental(request, by_id, now);
  }
  remove(request.session_id);
  if (request.session_epoch == kWholeAndLast) return {};
  return {.context = {.session = make(request, by_id, now)}};
}

FetchSessions::Opened FetchSessions::open_incremental(const FetchRequest& request, bool by_id, base::MonoTime now) {
  const auto found = by_id_.find(request.session_id);
  if (found == by_id_.end()) return {.error = ErrorCode::kFetchSessionIdNotFound};
  const std::shared_ptr<FetchSession> session = *found->second;
  if (session->epoch() != request.session_epoch) return {.error = ErrorCode::kInvalidFetchSessionEpoch};
  if (session->by_id() != by_id) return {.error = ErrorCode::kFetchSessionTopicIdError};
  update(*session, request, now);
  if (partition_count_ > limits::kFetchSessionPartitionsMax) {  // it will be told that there is no room
    remove(session->id());
    return {.error = ErrorCode::kFetchSessionIdNotFound};
  }
  if (session->size() == 0) {
    remove(session->id());
    return {};
  }
  session->advance();
  return {.context = {.session = session, .is_incremental = true}};
}

// Null: there is no room, or nothing to remember.
std::shared_ptr<FetchSession> FetchSessions::make(const FetchRequest& request, bool by_id, base::MonoTime now) {
  const size_t partitions = partitions_in(request);
  if (partitions == 0 || !make_room(partitions, now)) return nullptr;
  const auto session = std::make_shared<FetchSession>(new_id(), by_id);
  by_id_.emplace(session->id(), order_.insert(order_.end(), session));
  count_.add(1);
  update(*session, request, now);
  return session;
}

void FetchSessions::update(FetchSession& session, const FetchRequest& request, base::MonoTime now) {
  partition_count_ -= session.size();
  session.update(request);
  partition_count_ += session.size();
  session.last_used_ = now;
  order_.splice(order_.end(), order_, by_id_.at(session.id()));
}

void FetchSessions::remove(int32_t id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return;
  partition_count_ -= (*found->second)->size();
  order_.erase(found->second);
  by_id_.erase(found);
  count_.add(-1);
}

bool FetchSessions::make_room(size_t partitions, base::MonoTime now) {
  const auto fits = [&] {
    return by_id_.size() < sessions_max_ && partition_count_ + partitions <= limits::kFetchSessionPartitionsMax;
  };
  while (!fits()) {
    if (order_.empty() || now - order_.front()->last_used_ < limits::kFetchSessionIdleMin) return false;
    remove(order_.front()->id());
  }
  return true;
}

int32_t FetchSessions::new_id() {
  while (true) {
    const int32_t id = next_ * kCoresMax + core_ + 1;
    next_ = (next_ + 1) % (kIdsPerCore - 1);
    if (!by_id_.contains(id)) return id;
  }
}

}  // namespace polylog::kafka
