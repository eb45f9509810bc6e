// AlterConfigs and IncrementalAlterConfigs. Topics' configs are attributes in the catalog, those of the broker and of groups its settings: a
// change is computed from what is at hand and refused by the catalog if that changed meanwhile; then it is computed again.
#include <expected>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "protocol/kafka/broker_settings.h"
#include "protocol/kafka/catalog_changes.h"
#include "protocol/kafka/config_changes.h"
#include "protocol/kafka/config_resource.h"
#include "protocol/kafka/errors.h"
#include "protocol/kafka/gen/alter_configs.h"
#include "protocol/kafka/gen/incremental_alter_configs.h"
#include "protocol/kafka/group_config.h"
#include "protocol/kafka/handlers.h"
#include "protocol/kafka/session.h"
#include "protocol/kafka/topics.h"

namespace polylog::kafka {
namespace {

constexpr int kTriesMax = 16;  // somebody else's change won each time

struct Resource {
  int8_t type;
  std::string name;
  ConfigChanges changes;
  bool repeated = false;
  int tries = 0;
};

// Marks what is named more than once: the order of changes would count, and answers are told apart by name.
void mark_repeated(std::vector<Resource>& resources) {
  std::map<std::pair<int8_t, std::string_view>, Resource*> first_of;
  for (Resource& resource : resources) {
    const auto [first, is_new] = first_of.try_emplace({resource.type, resource.name}, &resource);
    if (!is_new) first->second->repeated = resource.repeated = true;
  }
}

template <typename Response>
class AlterCall final : public PendingCall {
 public:
  AlterCall(const Call& call, bool validate_only) : call_(call), validate_only_(validate_only) {}

  void run(std::vector<Resource> resources) {
    resources_ = std::move(resources);
    mark_repeated(resources_);
    for (const Resource& resource : resources_) {
      auto& result = response_.results.emplace_back();
      result.resource_type = resource.type;
      result.resource_name = resource.name;
    }
    for (size_t i = 0; i < resources_.size(); ++i) alter(i);
    go_on();
  }

  void on_action(broker::Token token, broker::ActionBody&& body) override {
    const size_t index = changes_.take(token);
    const auto& done = std::get<broker::CatalogDone>(body);
    if (!done.result && done.result.error().code == base::ErrorCode::kConflict &&
        ++resources_[index].tries < kTriesMax) {
      alter(index);
    } else if (!done.result) {
      refuse(index, {to_wire(done.result.error().code), done.result.error().text});
    }
    go_on();
  }

 private:
  void alter(size_t index) {
    if (resources_[index].repeated)
      return refuse(index, {ErrorCode::kInvalidRequest, "a resource is named more than once"});
    switch (static_cast<ConfigResource>(resources_[index].type)) {
      case ConfigResource::kTopic: return alter_topic(index);
      case ConfigResource::kBroker: return alter_broker(index);
      case ConfigResource::kGroup: return alter_group(index);
    }
    refuse(index, {ErrorCode::kInvalidRequest, "topics (2), brokers (4) and groups (32) have configs"});
  }

  void alter_topic(size_t index) {
    const Topic topic = find_topic(call_.broker(), resources_[index].name);
    if (topic == nullptr) return refuse(index, {ErrorCode::kUnknownTopicOrPartition, "there is no such topic"});
    auto attributes = attributes_after(*topic, resources_[index].changes, call_.config());
    if (!attributes) return refuse(index, std::move(attributes.error()));
    if (validate_only_ || *attributes == topic->attributes) return;
    changes_.add(index, broker::AlterStream{
                            .id = topic->id, .expected_version = topic->version, .attributes = std::move(*attributes)});
  }

  void alter_broker(size_t index) {
    const Resource& resource = resources_[index];
    const int32_t node_id = call_.config().node_id;
    if (!resource.name.empty() && resource.name != std::to_string(node_id)) {
      return refuse(index, {ErrorCode::kInvalidRequest, fmt::format("this is broker {}", node_id)});
    }
    const BrokerScope scope = resource.name.empty() ? BrokerScope::kAllBrokers : BrokerScope::kThisBroker;
    const broker::Settings& settings = call_.broker().catalog().settings();
    change_settings(index, settings,
                    settings_after(settings, scope, resource.changes, call_.session().shared().config_at_start()));
  }

  void alter_group(size_t index) {
    const Resource& resource = resources_[index];
    const broker::Settings& settings = call_.broker().catalog().settings();
    change_settings(index, settings, group_settings_after(settings, resource.name, resource.changes, call_.config()));
  }

  void change_settings(size_t index, const broker::Settings& settings,
                       std::expected<Attributes, ConfigRefusal> values) {
    if (!values) return refuse(index, std::move(values.error()));
    if (validate_only_ || *values == settings.values) return;
    changes_.add(index, broker::SetSettings{.expected_version = settings.version, .values = std::move(*values)});
  }

  void refuse(size_t index, ConfigRefusal refusal) {
    response_.results[index].error_code = refusal.code;
    response_.results[index].error_message = std::move(refusal.why);
  }
  void go_on() {
    changes_.send(call_, shared_from_this());
    if (changes_.empty()) call_.reply(response_);
  }

  Call call_;
  bool validate_only_;
  std::vector<Resource> resources_;
  Response response_;
  CatalogChanges changes_;
};

ConfigChange change_of(const AlterConfigsRequest::Config& asked) {
  ConfigChange change{.name = std::string(asked.name)};
  if (asked.value) change.value = *asked.value;
  return change;
}

ConfigChange change_of(const IncrementalAlterConfigsRequest::Config& asked) {
  ConfigChange change{.name = std::string(asked.name),
                      .operation = static_cast<ConfigOperation>(asked.config_operation)};
  if (asked.value) change.value = *asked.value;
  return change;
}

template <typename Request, typename Response>
void alter_configs(const Call& call, base::View body, bool replace_all) {
  Request request;
  if (!call.parse(body, request)) return;
  std::vector<Resource> resources;
  for (const auto& asked : request.resources) {
    Resource& resource =
        resources.emplace_back(asked.resource_type, std::string(asked.resource_name), ConfigChanges{replace_all, {}});
    for (const auto& config : asked.configs) resource.changes.changes.push_back(change_of(config));
  }
  std::make_shared<AlterCall<Response>>(call, request.validate_only)->run(std::move(resources));
}

}  // namespace

void handle_alter_configs(Call call, base::View body) {
  alter_configs<AlterConfigsRequest, AlterConfigsResponse>(call, body, /*replace_all=*/true);
}

void handle_incremental_alter_configs(Call call, base::View body) {
  alter_configs<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse>(call, body, /*replace_all=*/false);
}

}  // namespace polylog::kafka
