#include "load/kafka/target.h"

#include <fmt/format.h>
#include <poll.h>

#include <map>
#include <set>

#include "load/kafka/links.h"
#include "load/kafka/wire.h"

namespace polylog::load::kafka {
namespace {

using base::ErrorCode;

// A request at a time, each waited for.
class Caller {
 public:
  base::Result<> connect(const Address& address) {
    TRY(socket_.connect(address, kCallTimeNs));
    TRY_ASSIGN(const std::string reply, call(api_versions_request()));
    return check_versions(reply);
  }

  base::Result<std::string> call(std::string_view request) {
    socket_.output = request;
    TRY(socket_.flush());
    const uint64_t give_up_ns = now_ns() + kCallTimeNs;
    while (true) {
      TRY_ASSIGN(const std::string_view reply, front_reply(socket_.input()));
      if (!reply.empty()) {
        std::string copy(reply);
        socket_.consume(kSizeFieldBytes + copy.size());
        return copy;
      }
      const uint64_t now = now_ns();
      if (now >= give_up_ns || !socket_.wait(POLLIN, give_up_ns - now)) {
        return base::fail(ErrorCode::kTimeout, "the server does not answer");
      }
      TRY(socket_.fill());
    }
  }

 private:
  Socket socket_;
};

class KafkaTarget final : public Target {
 public:
  KafkaTarget(Address address, std::string topic, const Plan& plan)
      : address_(std::move(address)), topic_(std::move(topic)), plan_(plan) {}

  base::Result<> create() override {
    Caller caller;
    TRY(caller.connect(address_));
    TRY_ASSIGN(const std::string reply,
               caller.call(create_topic_request(topic_, static_cast<int32_t>(plan_.destinations))));
    TRY_ASSIGN(const int16_t error, create_topic_error(reply));
    if (error == kTopicExists)
      return base::fail(ErrorCode::kExists, fmt::format("there is a topic '{}' already", topic_));
    if (error != 0) return base::fail(ErrorCode::kIo, fmt::format("cannot create '{}': {}", topic_, error_text(error)));
    return {};
  }

  base::Result<> remove() override {
    Caller caller;
    TRY(caller.connect(address_));
    TRY_ASSIGN(const std::string reply, caller.call(delete_topic_request(topic_)));
    TRY_ASSIGN(const int16_t error, delete_topic_error(reply));
    if (error != 0) return base::fail(ErrorCode::kIo, fmt::format("cannot delete '{}': {}", topic_, error_text(error)));
    return {};
  }

  Windows windows() const override { return {.unacknowledged_max = 200'000, .unreceived_max = 1'000'000}; }

  base::Result<std::vector<std::unique_ptr<Link>>> links(Ledger& ledger) override {
    TRY_ASSIGN(const std::vector<Address> leaders, find_leaders());
    std::vector<std::unique_ptr<Link>> links;
    for (uint32_t connection = 0; connection < plan_.connections; ++connection) {
      // A connection goes to one broker: one for each broker that leads some of its partitions.
      std::map<std::string, std::vector<uint32_t>> lanes;
      for (uint32_t lane = connection; lane < plan_.lanes(); lane += plan_.connections) {
        lanes[leaders[plan_.destination_of(lane)].text].push_back(lane);
      }
      for (auto& [broker, own] : lanes) {
        const Address& address = leaders[plan_.destination_of(own.front())];
        links.push_back(std::make_unique<KafkaProducer>(address, topic_, ledger, own));
      }
      std::map<std::string, std::vector<int32_t>> partitions;
      for (uint32_t partition = connection; partition < plan_.destinations; partition += plan_.connections) {
        partitions[leaders[partition].text].push_back(static_cast<int32_t>(partition));
      }
      for (const auto& [broker, own] : partitions) {
        const Address& address = leaders[static_cast<size_t>(own.front())];
        links.push_back(std::make_unique<KafkaConsumer>(address, topic_, ledger, own));
      }
    }
    return links;
  }

 private:
  // A topic that was just created may need a moment until each partition has a leader.
  base::Result<TopicLeaders> await_leaders() {
    constexpr uint64_t kAskAgainNs = kSecondNs / 20;
    Caller caller;
    TRY(caller.connect(address_));
    const uint64_t give_up_ns = now_ns() + kCallTimeNs;
    while (true) {
      TRY_ASSIGN(const std::string reply, caller.call(metadata_request(topic_)));
      TRY_ASSIGN(TopicLeaders topic, parse_metadata(reply));
      bool complete = topic.error == 0 && topic.partitions.size() == plan_.destinations;
      for (const PartitionLeader& each : topic.partitions) complete = complete && each.error == 0 && !each.host.empty();
      if (complete) return topic;
      if (now_ns() > give_up_ns) {
        return base::fail(ErrorCode::kTimeout,
                          fmt::format("'{}' gets no leader ({})", topic_, error_text(topic.error)));
      }
      sleep_ns(kAskAgainNs);
    }
  }

  base::Result<std::vector<Address>> find_leaders() {
    TRY_ASSIGN(const TopicLeaders topic, await_leaders());
    std::vector<Address> leaders(plan_.destinations);
    std::map<std::string, Address> known;
    for (const PartitionLeader& each : topic.partitions) {
      if (each.partition < 0 || static_cast<uint32_t>(each.partition) >= plan_.destinations) {
        return base::fail(ErrorCode::kMalformed, "the server's Metadata reply names a partition too many");
      }
      const std::string text = fmt::format("{}:{}", each.host, each.port);
      if (!known.contains(text)) {
        auto address = reach(each.host, each.port, kCallTimeNs);
        if (!address) {
          return base::fail(address.error().code, "the server tells clients to connect to " + address.error().text);
        }
        known.emplace(text, std::move(*address));
      }
      leaders[static_cast<size_t>(each.partition)] = known.at(text);
    }
    return leaders;
  }

  const Address address_;
  const std::string topic_;
  const Plan plan_;
};

}  // namespace

std::unique_ptr<Target> make_target(Address address, std::string topic, const Plan& plan) {
  return std::make_unique<KafkaTarget>(std::move(address), std::move(topic), plan);
}

}  // namespace polylog::load::kafka
