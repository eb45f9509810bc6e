// DescribeConfigs and ListConfigResources, from the tables of topic_config.h, broker_config.h and group_config.h. Everything is listed, what acts and what is
// only kept: clients miss what is not there.
#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "protocol/kafka/broker_config.h"
#include "protocol/kafka/config_resource.h"
#include "protocol/kafka/gen/describe_configs.h"
#include "protocol/kafka/gen/list_config_resources.h"
#include "protocol/kafka/group_config.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/session.h"
#include "protocol/kafka/topic_config.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {
namespace {

using Asked = DescribeConfigsRequest::Resource;
using Result = DescribeConfigsResponse::Result;
using ConfigReply = DescribeConfigsResponse::Config;

struct Detail {
  bool synonyms;
  bool documentation;
};

bool is_wanted(const Asked& asked, std::string_view name) {
  const auto& names = asked.configuration_keys;  // none and null both ask for all
  return !names || names->empty() || std::ranges::find(*names, name) != names->end();
}

void refuse(Result& result, ErrorCode code, std::string why) {
  result.error_code = code;
  result.error_message = std::move(why);
}

ConfigReply config_reply(std::string_view name, ConfigType type, const std::vector<ConfigSynonym>& synonyms,
                         const Detail& detail) {
  const ConfigSource source = synonyms.empty() ? ConfigSource::kDefault : synonyms.front().source;
  ConfigReply reply{.name = std::string(name),
                    .config_source = static_cast<int8_t>(source),
                    .config_type = static_cast<int8_t>(type)};
  if (!detail.synonyms) return reply;
  for (const ConfigSynonym& synonym : synonyms) {
    reply.synonyms.push_back({std::string(synonym.name), synonym.value, static_cast<int8_t>(synonym.source)});
  }
  return reply;
}

ConfigReply topic_config_reply(const Call& call, const broker::StreamRecord& topic, const TopicConfigRow& row,
                               const Detail& detail) {
  const Config& config = call.config();
  const std::string otherwise = default_of(row, config, topic);
  auto synonyms = is_decided_elsewhere(row, config, topic)
                      ? std::vector<ConfigSynonym>{{row.name, otherwise, ConfigSource::kDefault}}
                      : synonyms_behind(row.name, config, call.session().shared().config_at_start());
  const auto own = own_value(topic, row.name);
  if (own) synonyms.insert(synonyms.begin(), {row.name, std::string(*own), ConfigSource::kTopic});
  ConfigReply reply = config_reply(row.name, row.type, synonyms, detail);
  reply.value = own ? std::string(*own) : otherwise;
  if (detail.documentation) reply.documentation = std::string(row.documentation);
  return reply;
}

void describe_topic(const Call& call, const Asked& asked, const Detail& detail, Result& result) {
  const Topic topic = find_topic(call.broker(), asked.resource_name);
  if (topic == nullptr) return refuse(result, ErrorCode::kUnknownTopicOrPartition, "there is no such topic");
  for (const TopicConfigRow& row : topic_configs()) {
    if (is_wanted(asked, row.name)) {
      result.configs.push_back(topic_config_reply(call, *topic, row, detail));
    }
  }
}

ConfigReply broker_config_reply(const Call& call, const BrokerConfigRow& row, const Detail& detail) {
  const Config& config = call.config();
  const auto synonyms = synonyms_of(row, config, call.session().shared().config_at_start());
  ConfigReply reply = config_reply(row.name, row.type, synonyms, detail);
  reply.value = value_of(row, config);
  reply.read_only = !row.can_change();
  const TopicConfigRow* topic_row = find_topic_config(row.topic_config);
  if (detail.documentation && topic_row != nullptr) reply.documentation = std::string(topic_row->documentation);
  return reply;
}

// What was set for all brokers while they ran, and that alone.
void describe_all_brokers(const Call& call, const Asked& asked, const Detail& detail, Result& result) {
  for (const auto& [name, value] : call.config().set_for_all_brokers) {
    const BrokerConfigRow* row = find_broker_config(name);
    if (row == nullptr || !is_wanted(asked, name)) continue;
    result.configs.push_back(config_reply(name, row->type, {{row->name, value, ConfigSource::kAllBrokers}}, detail));
    result.configs.back().value = value;
  }
}

void describe_broker(const Call& call, const Asked& asked, const Detail& detail, Result& result) {
  if (asked.resource_name.empty()) return describe_all_brokers(call, asked, detail, result);
  if (asked.resource_name != std::to_string(call.config().node_id)) {
    return refuse(result, ErrorCode::kInvalidRequest, fmt::format("this is broker {}", call.config().node_id));
  }
  for (const BrokerConfigRow& row : broker_configs()) {
    if (is_wanted(asked, row.name)) result.configs.push_back(broker_config_reply(call, row, detail));
  }
}

// Whether or not there is such a group: what it would have.
void describe_group(const Call& call, const Asked& asked, const Detail& detail, Result& result) {
  if (asked.resource_name.empty()) return refuse(result, ErrorCode::kInvalidRequest, "the group has no name");
  for (const GroupConfigRow& row : group_configs()) {
    if (!is_wanted(asked, row.name)) continue;
    const BrokerConfigRow& otherwise = *find_broker_config(row.broker_config);
    auto synonyms = synonyms_of(otherwise, call.config(), call.session().shared().config_at_start());
    const auto own = own_value(row, call.broker().catalog().settings(), asked.resource_name);
    if (own) synonyms.insert(synonyms.begin(), {row.name, *own, ConfigSource::kGroup});
    ConfigReply& reply = result.configs.emplace_back(config_reply(row.name, otherwise.type, synonyms, detail));
    reply.value = own ? *own : value_of(otherwise, call.config());
    if (detail.documentation) reply.documentation = std::string(row.documentation);
  }
}

// Version 0 knew the configs of client metrics alone, of which there are none.
std::set<int8_t> types_asked(const ListConfigResourcesRequest& request, int16_t version) {
  constexpr int8_t kClientMetrics = 16;
  if (version == 0) return {kClientMetrics};
  if (!request.resource_types.empty()) return {request.resource_types.begin(), request.resource_types.end()};
  return {static_cast<int8_t>(ConfigResource::kTopic), static_cast<int8_t>(ConfigResource::kBroker),
          static_cast<int8_t>(ConfigResource::kGroup)};
}

// False: nothing of that type can have configs.
bool list_resources(const Call& call, int8_t type, ListConfigResourcesResponse& response) {
  constexpr int8_t kTypesOfOthers[] = {8, 16};  // loggers and client metrics: known, and none has configs
  if (type == static_cast<int8_t>(ConfigResource::kTopic)) {
    for (const Topic& topic : all_topics(call.broker())) response.config_resources.push_back({topic->name, type});
  } else if (type == static_cast<int8_t>(ConfigResource::kBroker)) {
    response.config_resources.push_back({std::to_string(call.config().node_id), type});
  } else if (type == static_cast<int8_t>(ConfigResource::kGroup)) {
    for (std::string& group : groups_with_configs(call.broker().catalog().settings())) {
      response.config_resources.push_back({std::move(group), type});
    }
  } else {
    return std::ranges::find(kTypesOfOthers, type) != std::end(kTypesOfOthers);
  }
  return true;
}

}  // namespace

void handle_list_config_resources(Call call, base::View body) {
  ListConfigResourcesRequest request;
  if (!call.parse(body, request)) return;
  ListConfigResourcesResponse response;
  for (const int8_t type : types_asked(request, call.version())) {
    if (!list_resources(call, type, response)) {
      return call.reply(ListConfigResourcesResponse{.error_code = ErrorCode::kUnsupportedVersion});
    }
  }
  call.reply(response);
}

void handle_describe_configs(Call call, base::View body) {
  DescribeConfigsRequest request;
  if (!call.parse(body, request)) return;
  const Detail detail{.synonyms = request.include_synonyms, .documentation = request.include_documentation};
  DescribeConfigsResponse response;
  std::set<std::pair<int8_t, std::string_view>> seen;
  for (const Asked& asked : request.resources) {
    Result& result = response.results.emplace_back();
    result.resource_type = asked.resource_type;
    result.resource_name = asked.resource_name;
    if (!seen.emplace(asked.resource_type, asked.resource_name).second) {
      refuse(result, ErrorCode::kInvalidRequest, "the resource is named more than once");
    } else if (asked.resource_type == static_cast<int8_t>(ConfigResource::kTopic)) {
      describe_topic(call, asked, detail, result);
    } else if (asked.resource_type == static_cast<int8_t>(ConfigResource::kBroker)) {
      describe_broker(call, asked, detail, result);
    } else if (asked.resource_type == static_cast<int8_t>(ConfigResource::kGroup)) {
      describe_group(call, asked, detail, result);
    } else {
      refuse(result, ErrorCode::kInvalidRequest, "topics (2), brokers (4) and groups (32) have configs");
    }
  }
  call.reply(response);
}

}  // namespace polylog::kafka
