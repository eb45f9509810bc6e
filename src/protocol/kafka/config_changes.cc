#include "protocol/kafka/config_changes.h"

#include <algorithm>
#include <set>
#include <string_view>

#include <fmt/format.h>

#include "protocol/kafka/topic_config.h"

namespace polylog::kafka {
namespace {

std::unexpected<ConfigRefusal> refuse(ErrorCode code, std::string why) {
  return std::unexpected(ConfigRefusal{code, std::move(why)});
}

std::string_view trimmed(std::string_view word) {
  while (word.starts_with(' ')) word.remove_prefix(1);
  while (word.ends_with(' ')) word.remove_suffix(1);
  return word;
}

std::vector<std::string_view> words_of(std::string_view list) {
  std::vector<std::string_view> words;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    if (const std::string_view word = trimmed(list.substr(0, comma)); !word.empty()) words.push_back(word);
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return words;
}

bool has(const std::vector<std::string_view>& words, std::string_view wanted) {
  return std::ranges::find(words, wanted) != words.end();
}

std::string appended(std::string_view list, std::string_view more) {
  std::vector<std::string_view> words = words_of(list);
  for (const std::string_view word : words_of(more)) {
    if (!has(words, word)) words.push_back(word);
  }
  return fmt::format("{}", fmt::join(words, ","));
}

std::string subtracted(std::string_view list, std::string_view less) {
  std::vector<std::string_view> words = words_of(list);
  const std::vector<std::string_view> unwanted = words_of(less);
  std::erase_if(words, [&](std::string_view word) { return has(unwanted, word); });
  return fmt::format("{}", fmt::join(words, ","));
}

void erase_own(Attributes& attributes) {
  std::erase_if(attributes, [](const auto& attribute) { return attribute.first.starts_with(kAttributePrefix); });
}

std::expected<void, ConfigRefusal> apply(const ConfigChange& change, Attributes& attributes, const Config& config) {
  const TopicConfigRow* row = find_topic_config(change.name);
  if (row == nullptr)
    return refuse(ErrorCode::kInvalidConfig, fmt::format("Unknown topic config name: {}", change.name));
  const auto own = attributes.find(attribute_name(change.name));
  auto value = value_after(change, row->type, own == attributes.end() ? default_of(*row, config) : own->second);
  if (!value) return std::unexpected(std::move(value.error()));
  if (!*value) {
    attributes.erase(attribute_name(change.name));
    return {};
  }
  const auto checked = check_topic_config(change.name, **value);
  if (!checked) return refuse(ErrorCode::kInvalidConfig, checked.error().text);
  attributes[attribute_name(change.name)] = std::move(**value);
  return {};
}

}  // namespace

std::expected<std::optional<std::string>, ConfigRefusal> value_after(const ConfigChange& change, ConfigType type,
                                                                     std::string_view current) {
  if (change.operation < ConfigOperation::kSet || change.operation > ConfigOperation::kSubtract) {
    return refuse(ErrorCode::kInvalidRequest, "operations are set (0), delete (1), append (2) and subtract (3)");
  }
  if (change.operation == ConfigOperation::kDelete) return std::nullopt;
  if (!change.value) return refuse(ErrorCode::kInvalidRequest, fmt::format("{} needs a value", change.name));
  if (change.operation == ConfigOperation::kSet) return change.value;
  if (type != ConfigType::kList) {
    return refuse(ErrorCode::kInvalidConfig, fmt::format("{} is not a list: it can be set or deleted", change.name));
  }
  return change.operation == ConfigOperation::kAppend ? appended(current, *change.value)
                                                      : subtracted(current, *change.value);
}

std::expected<Attributes, ConfigRefusal> attributes_after(const broker::StreamRecord& topic,
                                                          const ConfigChanges& changes, const Config& config) {
  Attributes attributes = topic.attributes;
  if (changes.replace_all) erase_own(attributes);
  std::set<std::string_view> seen;
  for (const ConfigChange& change : changes.changes) {
    if (!seen.insert(change.name).second) {
      return refuse(ErrorCode::kInvalidRequest, fmt::format("{} is in the request more than once", change.name));
    }
    if (auto applied = apply(change, attributes, config); !applied) return std::unexpected(std::move(applied.error()));
  }
  return attributes;
}

}  // namespace polylog::kafka
