// DescribeLogDirs and DescribeProducers: what partitions hold, asked of their cells. The data directory is the one log
// directory there is; nothing moves between directories, so that no partition is "future".
#include <cstdint>
#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/kafka/errors.h"
#include "protocol/kafka/gen/describe_log_dirs.h"
#include "protocol/kafka/gen/describe_producers.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/session.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {
namespace {

// ---- DescribeLogDirs

class LogDirsCall final : public PendingCall {
 public:
  explicit LogDirsCall(const Call& call) : call_(call) {
    result_.log_dir = call.config().log_dir;
    shares_.resize(call.broker().cell_count());
  }

  void run(const DescribeLogDirsRequest& request) {
    if (request.topics) {
      for (const DescribeLogDirsRequest::Topic& asked : *request.topics) {
        if (const Topic topic = find_topic(call_.broker(), asked.name)) add(topic, asked.partitions);
      }
    } else {
      for (const Topic& topic : all_topics(call_.broker())) add(topic);
    }
    ask();
  }

  void on_action(broker::Token token, broker::ActionBody&& body) override {
    const Share share = std::move(waiting_.extract(token.value).mapped());
    const auto& done = std::get<broker::PartitionStatsDone>(body);
    for (size_t i = 0; i < done.items.size(); ++i) {
      Place place = share.places[i];
      auto& partitions = result_.topics[place.topic].partitions;
      if (done.items[i].error) continue;  // it was deleted meanwhile
      partitions.push_back(
          {.partition_index = place.partition, .partition_size = static_cast<int64_t>(done.items[i].size_bytes)});
    }
    if (done.disk_total_bytes > 0) {
      result_.total_bytes = static_cast<int64_t>(done.disk_total_bytes);
      result_.usable_bytes = static_cast<int64_t>(done.disk_free_bytes);
    }
    reply_if_answered();
  }

 private:
  struct Place {
    size_t topic;  // in the result
    int32_t partition;
  };
  struct Share {  // of one cell
    broker::PartitionStatsRequest request;
    std::vector<Place> places;
  };

  void add(const Topic& topic) {
    std::vector<int32_t> all(topic->partitions.size());
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
    add(topic, all);
  }
  // What does not exist, or lies in a closed cell, is in no directory.
  void add(const Topic& topic, const std::vector<int32_t>& partitions) {
    for (const int32_t index : partitions) {
      const auto at = find_partition(call_.broker(), topic, index);
      if (!at) continue;
      Share& share = shares_[at->cell.value];
      share.request.partitions.push_back(at->key);
      share.places.push_back({result_.topics.size(), index});
    }
    result_.topics.push_back({.name = topic->name});
  }
  // Also cells that hold nothing of what was asked: one of them must say how large the disk is.
  void ask() {
    for (size_t i = 0; i < shares_.size(); ++i) {
      const base::CellId cell(static_cast<uint16_t>(i));
      if (call_.broker().epoch_of(cell).value == 0) continue;
      const broker::ReplyTo reply_to = call_.expect(shared_from_this());
      broker::PartitionStatsRequest request = std::move(shares_[i].request);
      waiting_.emplace(reply_to.token.value, std::move(shares_[i]));
      call_.broker().submit(cell, reply_to, std::move(request));
    }
    reply_if_answered();
  }
  void reply_if_answered() {
    if (!waiting_.empty()) return;
    std::erase_if(result_.topics, [](const auto& topic) { return topic.partitions.empty(); });
    for (auto& topic : result_.topics) {
      std::ranges::sort(topic.partitions, {}, &DescribeLogDirsResponse::Partition::partition_index);
    }
    DescribeLogDirsResponse response;
    response.results.push_back(std::move(result_));
    call_.reply(response);
  }

  Call call_;
  DescribeLogDirsResponse::Result result_;
  std::vector<Share> shares_;                    // by cell, until they are asked
  std::unordered_map<uint64_t, Share> waiting_;  // by token
};

// ---- DescribeProducers

class ProducersCall final : public PendingCall {
 public:
  explicit ProducersCall(const Call& call) : call_(call) {}

  void run(const DescribeProducersRequest& request) {
    std::set<std::pair<std::string_view, int32_t>> seen;  // each partition once: it may have very many producers
    for (const DescribeProducersRequest::Topic& asked : request.topics) {
      response_.topics.push_back({.name = std::string(asked.name)});
      for (const int32_t index : asked.partition_indexes) {
        if (!seen.emplace(asked.name, index).second) continue;
        response_.topics.back().partitions.push_back({.partition_index = index});
      }
    }
    for (DescribeProducersResponse::Topic& reply : response_.topics) {
      const Topic topic = find_topic(call_.broker(), reply.name);
      for (DescribeProducersResponse::Partition& partition : reply.partitions) ask(topic, partition);
    }
    reply_if_answered();
  }

  void on_action(broker::Token token, broker::ActionBody&& body) override {
    DescribeProducersResponse::Partition& reply = *waiting_.extract(token.value).mapped();
    const auto& done = std::get<broker::WritersDone>(body);
    if (done.writers) {
      for (const storage::KnownWriter& writer : *done.writers) {
        reply.active_producers.push_back({.producer_id = writer.id,
                                          .producer_epoch = writer.epoch,
                                          .last_sequence = writer.last_sequence,
                                          .last_timestamp = writer.last_append.ms,
                                          .coordinator_epoch = kNoTransaction});
      }
    } else {
      reply.error_code = to_wire(done.writers.error().code);
      reply.error_message = done.writers.error().text;
    }
    reply_if_answered();
  }

 private:
  static constexpr int32_t kNoTransaction = -1;

  void ask(const Topic& topic, DescribeProducersResponse::Partition& reply) {
    const auto at = find_partition(call_.broker(), topic, reply.partition_index);
    if (!at) {
      reply.error_code = at.error();
      return;
    }
    const broker::ReplyTo reply_to = call_.expect(shared_from_this());
    waiting_.emplace(reply_to.token.value, &reply);
    call_.broker().submit(at->cell, reply_to, broker::WritersRequest{at->key});
  }
  void reply_if_answered() const {
    if (waiting_.empty()) call_.reply(response_);
  }

  Call call_;
  DescribeProducersResponse response_;
  std::unordered_map<uint64_t, DescribeProducersResponse::Partition*> waiting_;  // by token
};

}  // namespace

void handle_describe_log_dirs(Call call, base::View body) {
  DescribeLogDirsRequest request;
  if (!call.parse(body, request)) return;
  std::make_shared<LogDirsCall>(call)->run(request);
}

void handle_describe_producers(Call call, base::View body) {
  DescribeProducersRequest request;
  if (!call.parse(body, request)) return;
  std::make_shared<ProducersCall>(call)->run(request);
}

}  // namespace polylog::kafka
