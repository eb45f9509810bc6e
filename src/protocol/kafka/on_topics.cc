// CreateTopics, DeleteTopics and CreatePartitions: each topic of a request is a change of the catalog of its own, answered
// in the order of the request when the last one is done. An answer means that every core knows.
#include <algorithm>
#include <expected>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "protocol/kafka/broker_config.h"
#include "protocol/kafka/catalog_changes.h"
#include "protocol/kafka/errors.h"
#include "protocol/kafka/gen/create_partitions.h"
#include "protocol/kafka/gen/create_topics.h"
#include "protocol/kafka/gen/delete_topics.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/session.h"
#include "protocol/kafka/topic_config.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {
namespace {

constexpr int32_t kBrokerDefault = -1;
constexpr int16_t kEffectiveReplicationFactor = 1;

struct Refusal {
  ErrorCode code;
  std::string why;
};
std::unexpected<Refusal> refuse(ErrorCode code, std::string why) {
  return std::unexpected(Refusal{code, std::move(why)});
}
Refusal refusal_of(const base::Error& error) {
  return {to_wire(error.code), error.text.empty() ? base::name_of(error.code) : error.text};
}

// Hands each answer to a change, with the place in the response that it is for, to `absorb`; replies after the last one.
template <typename Response>
class CatalogCall final : public PendingCall {
 public:
  using Absorb = void (*)(const Call& call, Response& response, size_t index, const broker::CatalogDone& done);
  CatalogCall(const Call& call, Absorb absorb) : call_(call), absorb_(absorb) {}

  Response& response() { return response_; }
  CatalogChanges& changes() { return changes_; }
  void go_on() {
    changes_.send(call_, shared_from_this());
    if (changes_.empty()) call_.reply(response_);
  }
  void on_action(broker::Token token, broker::ActionBody&& body) override {
    absorb_(call_, response_, changes_.take(token), std::get<broker::CatalogDone>(body));
    go_on();
  }

 private:
  Call call_;
  Absorb absorb_;
  Response response_;
  CatalogChanges changes_;
};

// ---- CreateTopics

using CreateAsked = CreateTopicsRequest::Topic;
using CreateReply = CreateTopicsResponse::Topic;

std::expected<uint32_t, Refusal> partitions_of_assignments(const CreateAsked& asked, int32_t node_id) {
  if (asked.num_partitions != kBrokerDefault || asked.replication_factor != kBrokerDefault) {
    return refuse(ErrorCode::kInvalidRequest, "assignments exclude a partition count and a replication factor");
  }
  std::vector<int32_t> indexes;
  for (const CreateTopicsRequest::Assignment& assignment : asked.assignments) {
    indexes.push_back(assignment.partition_index);
    if (assignment.broker_ids != std::vector{node_id}) {
      return refuse(ErrorCode::kInvalidReplicaAssignment, fmt::format("broker {} is the only one", node_id));
    }
  }
  std::ranges::sort(indexes);
  for (size_t i = 0; i < indexes.size(); ++i) {
    if (indexes[i] != static_cast<int32_t>(i)) {
      return refuse(ErrorCode::kInvalidReplicaAssignment, "partitions are numbered from 0 on, without gaps");
    }
  }
  return static_cast<uint32_t>(indexes.size());
}

std::expected<uint32_t, Refusal> partition_count_of(const CreateAsked& asked, const Config& config) {
  if (!asked.assignments.empty()) return partitions_of_assignments(asked, config.node_id);
  const int32_t count = asked.num_partitions == kBrokerDefault ? config.num_partitions : asked.num_partitions;
  if (count <= 0 || count > limits::kTopicPartitionsMax) {
    return refuse(ErrorCode::kInvalidPartitions,
                  fmt::format("a topic has 1 to {} partitions", limits::kTopicPartitionsMax));
  }
  const int16_t factor = asked.replication_factor;
  if (factor != kBrokerDefault && factor <= 0) {
    return refuse(ErrorCode::kInvalidReplicationFactor, "the replication factor is at least 1");
  }
  if (factor > kEffectiveReplicationFactor && config.replication_factor_strict) {
    return refuse(ErrorCode::kInvalidReplicationFactor, "there is one broker");
  }
  return static_cast<uint32_t>(count);
}

std::expected<std::map<std::string, std::string>, Refusal> attributes_of(const CreateAsked& asked) {
  std::map<std::string, std::string> attributes;
  for (const CreateTopicsRequest::Config& config : asked.configs) {
    if (!config.value) return refuse(ErrorCode::kInvalidConfig, fmt::format("{} has no value", config.name));
    const auto checked = check_topic_config(config.name, *config.value);
    if (!checked) return refuse(ErrorCode::kInvalidConfig, checked.error().text);
    attributes[attribute_name(config.name)] = *config.value;
  }
  return attributes;
}

std::expected<broker::CreateStream, Refusal> create_stream(const Call& call, const CreateAsked& asked) {
  if (!is_valid_topic_name(asked.name)) {
    return refuse(ErrorCode::kInvalidTopic, "a topic name has 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'");
  }
  if (find_topic(call.broker(), asked.name) != nullptr) {
    return refuse(ErrorCode::kTopicAlreadyExists, fmt::format("Topic '{}' already exists.", asked.name));
  }
  if (collides_with_topic(call.broker(), asked.name)) {
    return refuse(ErrorCode::kInvalidTopic, "the name of another topic differs only in '.' and '_'");
  }
  auto partition_count = partition_count_of(asked, call.config());
  if (!partition_count) return std::unexpected(std::move(partition_count.error()));
  auto attributes = attributes_of(asked);
  if (!attributes) return std::unexpected(std::move(attributes.error()));
  return broker::CreateStream{.wanted = {.name = std::string(asked.name), .attributes = std::move(*attributes)},
                              .partition_count = *partition_count};
}

void set_error(CreateReply& reply, Refusal refusal) {
  reply.error_code = refusal.code;
  reply.error_message = std::move(refusal.why);
}

// As a client would see them with DescribeConfigs.
std::vector<CreateTopicsResponse::Config> effective_configs(const Call& call, const broker::StreamRecord& topic) {
  const Config& config = call.config();
  std::vector<CreateTopicsResponse::Config> configs;
  for (const TopicConfigRow& row : topic_configs()) {
    const auto own = own_value(topic, row.name);
    const auto behind = synonyms_behind(row.name, config, call.session().shared().config_at_start());
    const ConfigSource source = own              ? ConfigSource::kTopic
                                : behind.empty() ? ConfigSource::kDefault
                                                 : behind.front().source;
    configs.push_back({.name = std::string(row.name),
                       .value = own ? std::string(*own) : default_of(row, config),
                       .config_source = static_cast<int8_t>(source)});
  }
  return configs;
}

void absorb_created(const Call& call, CreateTopicsResponse& response, size_t index, const broker::CatalogDone& done) {
  CreateReply& reply = response.topics[index];
  if (!done.result) return set_error(reply, refusal_of(done.result.error()));
  reply.topic_id = done.record->id;
  reply.num_partitions = static_cast<int32_t>(done.record->partitions.size());
  reply.replication_factor = kEffectiveReplicationFactor;
  reply.configs = effective_configs(call, *done.record);
}

// Names that stand in a request more than once are refused, since their order would count.
template <typename Item>
std::unordered_set<std::string_view> repeated_names(const std::vector<Item>& items) {
  std::unordered_set<std::string_view> seen, repeated;
  for (const Item& item : items) {
    if (!seen.insert(item.name).second) repeated.insert(item.name);
  }
  return repeated;
}

// ---- DeleteTopics

using DeleteReply = DeleteTopicsResponse::Topic;

void set_error(DeleteReply& reply, Refusal refusal) {
  reply.error_code = refusal.code;
  reply.error_message = std::move(refusal.why);
}

void absorb_deleted(const Call&, DeleteTopicsResponse& response, size_t index, const broker::CatalogDone& done) {
  if (!done.result) set_error(response.topics[index], refusal_of(done.result.error()));
}

// Versions before 6 have names in a field of their own.
std::vector<DeleteTopicsRequest::Topic> topics_to_delete(const DeleteTopicsRequest& request) {
  std::vector<DeleteTopicsRequest::Topic> topics = request.topics;
  for (const std::string_view name : request.topic_names) topics.push_back({.name = name});
  return topics;
}

using Named = std::pair<std::optional<std::string_view>, base::Uuid>;

Named name_of(const DeleteTopicsRequest::Topic& asked) { return {asked.name, asked.topic_id}; }

// A topic is named once, by its name or by its id.
std::set<Named> badly_named(const std::vector<DeleteTopicsRequest::Topic>& topics) {
  std::set<Named> seen, bad;
  for (const DeleteTopicsRequest::Topic& asked : topics) {
    const bool is_one_of_both = asked.name.has_value() == asked.topic_id.is_nil();
    if (!seen.insert(name_of(asked)).second || !is_one_of_both) bad.insert(name_of(asked));
  }
  return bad;
}

Topic topic_to_delete(const Call& call, const DeleteTopicsRequest::Topic& asked) {
  return asked.name ? find_topic(call.broker(), *asked.name) : find_topic(call.broker(), asked.topic_id);
}

// ---- CreatePartitions

using ExtendAsked = CreatePartitionsRequest::Topic;
using ExtendReply = CreatePartitionsResponse::Result;

std::expected<broker::AddPartitions, Refusal> add_partitions(const Call& call, const ExtendAsked& asked) {
  const Topic topic = find_topic(call.broker(), asked.name);
  if (topic == nullptr) return refuse(ErrorCode::kUnknownTopicOrPartition, "This topic does not exist.");
  const auto current = static_cast<int32_t>(topic->partitions.size());
  if (asked.count <= current) {
    return refuse(ErrorCode::kInvalidPartitions,
                  fmt::format("Topic currently has {} partitions, which is not fewer than the requested {}.", current,
                              asked.count));
  }
  if (asked.count > limits::kTopicPartitionsMax) {
    return refuse(ErrorCode::kInvalidPartitions,
                  fmt::format("a topic has at most {} partitions", limits::kTopicPartitionsMax));
  }
  if (asked.assignments) {
    const std::vector only_us{call.config().node_id};
    const bool fits = std::ssize(*asked.assignments) == asked.count - current &&
                      std::ranges::all_of(*asked.assignments, [&](const auto& a) { return a.broker_ids == only_us; });
    if (!fits) return refuse(ErrorCode::kInvalidReplicaAssignment, "each new partition is assigned to the one broker");
  }
  return broker::AddPartitions{.id = topic->id, .partition_count = static_cast<uint32_t>(asked.count)};
}

void set_error(ExtendReply& reply, Refusal refusal) {
  reply.error_code = refusal.code;
  reply.error_message = std::move(refusal.why);
}

void absorb_extended(const Call&, CreatePartitionsResponse& response, size_t index, const broker::CatalogDone& done) {
  if (!done.result) set_error(response.results[index], refusal_of(done.result.error()));
}

}  // namespace

void handle_create_topics(Call call, base::View body) {
  CreateTopicsRequest request;
  if (!call.parse(body, request)) return;
  auto pending = std::make_shared<CatalogCall<CreateTopicsResponse>>(call, absorb_created);
  auto& replies = pending->response().topics;
  const auto repeated = repeated_names(request.topics);
  for (size_t i = 0; i < request.topics.size(); ++i) {
    const CreateAsked& asked = request.topics[i];
    CreateReply& reply = replies.emplace_back();
    reply.name = asked.name;
    if (request.topics.size() > limits::kCreatedTopicsMax) {
      set_error(reply, {ErrorCode::kPolicyViolation,
                        fmt::format("a request creates at most {} topics", limits::kCreatedTopicsMax)});
      continue;
    }
    if (repeated.contains(asked.name)) {
      set_error(reply, {ErrorCode::kInvalidRequest, "the topic is in the request more than once"});
      continue;
    }
    auto create = create_stream(call, asked);
    if (!create) {
      set_error(reply, std::move(create.error()));
      continue;
    }
    create->validate_only = request.validate_only;
    pending->changes().add(i, std::move(*create));
  }
  pending->go_on();
}

void handle_delete_topics(Call call, base::View body) {
  DeleteTopicsRequest request;
  if (!call.parse(body, request)) return;
  auto pending = std::make_shared<CatalogCall<DeleteTopicsResponse>>(call, absorb_deleted);
  const std::vector<DeleteTopicsRequest::Topic> asked = topics_to_delete(request);
  const std::set<Named> bad = badly_named(asked);
  for (size_t i = 0; i < asked.size(); ++i) {
    DeleteReply& reply = pending->response().topics.emplace_back();
    if (asked[i].name) reply.name = std::string(*asked[i].name);
    reply.topic_id = asked[i].topic_id;
    if (bad.contains(name_of(asked[i]))) {
      set_error(reply, {ErrorCode::kInvalidRequest, "a topic is named once, by its name or by its id"});
      continue;
    }
    const Topic topic = topic_to_delete(call, asked[i]);
    if (topic == nullptr) {
      reply.error_code = asked[i].name ? ErrorCode::kUnknownTopicOrPartition : ErrorCode::kUnknownTopicId;
      continue;
    }
    reply.name = topic->name;
    reply.topic_id = topic->id;
    pending->changes().add(i, broker::DeleteStream{.id = topic->id});
  }
  pending->go_on();
}

void handle_create_partitions(Call call, base::View body) {
  CreatePartitionsRequest request;
  if (!call.parse(body, request)) return;
  auto pending = std::make_shared<CatalogCall<CreatePartitionsResponse>>(call, absorb_extended);
  const auto repeated = repeated_names(request.topics);
  for (size_t i = 0; i < request.topics.size(); ++i) {
    const ExtendAsked& asked = request.topics[i];
    ExtendReply& reply = pending->response().results.emplace_back();
    reply.name = asked.name;
    if (repeated.contains(asked.name)) {
      set_error(reply, {ErrorCode::kInvalidRequest, "the topic is in the request more than once"});
      continue;
    }
    auto add = add_partitions(call, asked);
    if (!add) {
      set_error(reply, std::move(add.error()));
      continue;
    }
    add->validate_only = request.validate_only;
    pending->changes().add(i, *add);
  }
  pending->go_on();
}

}  // namespace polylog::kafka
