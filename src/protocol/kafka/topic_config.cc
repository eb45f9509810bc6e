#include "protocol/kafka/topic_config.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace polylog::kafka {
namespace {

using enum ConfigType;
using enum Effect;
constexpr double kIntMax = INT32_MAX;
constexpr double kLongMax = 9'223'372'036'854'775'807.0;
constexpr int64_t kSegmentsPerRetention = 8;  // so late goes what is old: by an eighth of retention.ms
constexpr std::string_view kForever = "9223372036854775807";

constexpr Accepted any() { return {}; }
constexpr Accepted range(double min, double max) { return {.number_min = min, .number_max = max}; }
constexpr Accepted words(std::string_view list) { return {.words = list}; }

constexpr std::string_view kLevelText = "What the broker packs anew is packed at the codec's default level.";

constexpr TopicConfigRow kRows[] = {
    {"cleanup.policy", kList, "delete", words("delete,compact"), kActs,
     "What becomes of old records: delete by age and size, compact to the last record of each key, or both."},
    {"compression.gzip.level", kInt, "-1", range(-1, 9), kIgnored, kLevelText},
    {"compression.lz4.level", kInt, "9", range(1, 17), kIgnored, kLevelText},
    {"compression.type", kString, "producer", words("producer,uncompressed,gzip,snappy,lz4,zstd"), kActs,
     "How batches are packed in the log. producer: as they came; else those that came otherwise are packed anew."},
    {"compression.zstd.level", kInt, "3", range(-131072, 22), kIgnored, kLevelText},
    {"delete.retention.ms", kLong, "86400000", range(0, kLongMax), kActs,
     "How long compaction keeps the marks of deleted keys."},
    {"file.delete.delay.ms", kLong, "60000", range(0, kLongMax), kIgnored, "Files are not a topic's own."},
    {"flush.messages", kLong, kForever, range(1, kLongMax), kIgnored, "Every acknowledged record is on disk already."},
    {"flush.ms", kLong, kForever, range(0, kLongMax), kIgnored, "Every acknowledged record is on disk already."},
    {"follower.replication.throttled.replicas", kList, "", any(), kIgnored, "There are no replicas."},
    {"index.interval.bytes", kInt, "4096", range(0, kIntMax), kIgnored, "Every batch is indexed."},
    {"leader.replication.throttled.replicas", kList, "", any(), kIgnored, "There are no replicas."},
    {"local.retention.bytes", kLong, "-2", range(-2, kLongMax), kIgnored, "There is no remote storage."},
    {"local.retention.ms", kLong, "-2", range(-2, kLongMax), kIgnored, "There is no remote storage."},
    {"max.compaction.lag.ms", kLong, kForever, range(1, kLongMax), kActs, "The longest a record may stay uncompacted."},
    {"max.message.bytes", kInt, "", range(0, kIntMax), kActs, "The largest record batch that may be produced."},
    {"message.downconversion.enable", kBoolean, "true", any(), kIgnored,
     "Record formats before version 2 are not offered."},
    {"message.format.version", kString, "3.0-IV1", any(), kIgnored, "The format is version 2."},
    {"message.timestamp.after.max.ms", kLong, "3600000", range(0, kLongMax), kActs,
     "How far ahead of the broker's clock a record's timestamp may be."},
    {"message.timestamp.before.max.ms", kLong, kForever, range(0, kLongMax), kActs,
     "How far behind the broker's clock a record's timestamp may be."},
    {"message.timestamp.difference.max.ms", kLong, kForever, range(0, kLongMax), kIgnored,
     "Gave way to message.timestamp.before.max.ms and message.timestamp.after.max.ms."},
    {"message.timestamp.type", kString, "CreateTime", words("CreateTime,LogAppendTime"), kActs,
     "Whose clock a record's timestamp is: the producer's or the broker's."},
    {"min.cleanable.dirty.ratio", kDouble, "0.5", range(0, 1), kActs,
     "How much of a partition must be uncompacted before it is compacted."},
    {"min.compaction.lag.ms", kLong, "0", range(0, kLongMax), kActs, "The shortest time a record stays uncompacted."},
    {"min.insync.replicas", kInt, "1", range(1, kIntMax), kIgnored,
     "A record is acknowledged when it is durable, whatever this says."},
    {"preallocate", kBoolean, "false", any(), kIgnored, "The log is always preallocated."},
    {"remote.storage.enable", kBoolean, "false", words("false"), kIgnored, "There is no remote storage."},
    {"retention.bytes", kLong, "-1", range(-1, kLongMax), kActs,
     "The size of a partition above which its oldest records go; -1: none."},
    {"retention.ms", kLong, "604800000", range(-1, kLongMax), kActs, "The age at which records go; -1: never."},
    {"segment.bytes", kInt, "1073741824", range(14, kIntMax), kActs,
     "Of a compacted topic: so much at its end is left alone, while it is younger than segment.ms."},
    {"segment.index.bytes", kInt, "10485760", range(4, kIntMax), kIgnored, "Segments are not a topic's own."},
    {"segment.jitter.ms", kLong, "0", range(0, kLongMax), kIgnored, "Segments are not a topic's own."},
    {"segment.ms", kLong, "604800000", range(1, kLongMax), kActs,
     "Of a compacted topic: what is younger, and within segment.bytes of its end, is left alone."},
    {"unclean.leader.election.enable", kBoolean, "false", any(), kIgnored, "There are no replicas."},
};
static_assert(std::ranges::is_sorted(kRows, {}, &TopicConfigRow::name));

template <typename Visit>
bool every_word(std::string_view list, Visit accepts) {
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    std::string_view word = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    while (word.starts_with(' ')) word.remove_prefix(1);
    while (word.ends_with(' ')) word.remove_suffix(1);
    if (!accepts(word)) return false;
  }
  return true;
}

bool has_word(std::string_view list, std::string_view wanted) {
  return !every_word(list, [&](std::string_view word) { return word != wanted; });
}

template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool is_number_in(std::string_view text, ConfigType type, const Accepted& accepted) {
  const bool whole = type != kDouble;
  if (whole && !number_in<int64_t>(text)) return false;
  const std::optional<double> value = number_in<double>(text);
  return value && accepted.number_min <= *value && *value <= accepted.number_max;
}

int64_t saturated(int64_t a, int64_t b) {  // a + b
  int64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return b > 0 ? INT64_MAX : INT64_MIN;
  return sum;
}

}  // namespace

std::span<const TopicConfigRow> topic_configs() { return kRows; }

const TopicConfigRow* find_topic_config(std::string_view name) {
  const auto found = std::ranges::lower_bound(kRows, name, {}, &TopicConfigRow::name);
  return found != std::end(kRows) && found->name == name ? found : nullptr;
}

std::string default_of(const TopicConfigRow& row, const Config& config) {
  if (const auto set = config.topic_defaults.find(row.name); set != config.topic_defaults.end()) return set->second;
  return row.name == "max.message.bytes" ? std::to_string(config.message_bytes_max) : std::string(row.default_value);
}

namespace {

// -1: no limit.
template <typename Number>
std::string to_config(const std::optional<Number>& limit) {
  return limit ? fmt::to_string(*limit) : "-1";
}

std::optional<std::string> decided_elsewhere(const TopicConfigRow& row, const Config& config,
                                             const broker::StreamRecord& stream) {
  const bool is_age = row.name == "retention.ms";
  if (config.retention_elsewhere == nullptr || (!is_age && row.name != "retention.bytes")) return std::nullopt;
  const auto policy = config.retention_elsewhere(stream);
  if (!policy) return std::nullopt;
  return is_age ? to_config(policy->age_ms_max) : to_config(policy->bytes_max);
}

}  // namespace

std::string default_of(const TopicConfigRow& row, const Config& config, const broker::StreamRecord& stream) {
  const auto elsewhere = decided_elsewhere(row, config, stream);
  return elsewhere ? *elsewhere : default_of(row, config);
}

bool is_decided_elsewhere(const TopicConfigRow& row, const Config& config, const broker::StreamRecord& stream) {
  return decided_elsewhere(row, config, stream).has_value();
}

bool is_accepted(ConfigType type, const Accepted& accepted, std::string_view value) {
  switch (type) {
    case kBoolean:
      if (value != "true" && value != "false") return false;
      return accepted.words.empty() || has_word(accepted.words, value);
    case kString: return accepted.words.empty() || has_word(accepted.words, value);
    case kList:
      if (accepted.words.empty()) return true;
      return every_word(value, [&](std::string_view word) { return has_word(accepted.words, word); });
    case kInt:
    case kShort:
    case kLong:
    case kDouble: return is_number_in(value, type, accepted);
  }
  return false;
}

base::Result<> check_topic_config(std::string_view name, std::string_view value) {
  const TopicConfigRow* row = find_topic_config(name);
  if (row == nullptr) return base::fail(base::ErrorCode::kInvalid, fmt::format("Unknown topic config name: {}", name));
  if (is_accepted(row->type, row->accepted, value)) return {};
  return base::fail(base::ErrorCode::kInvalid, fmt::format("Invalid value {} for configuration {}", value, name));
}

std::string attribute_name(std::string_view config_name) { return std::string(kAttributePrefix).append(config_name); }

std::optional<std::string_view> own_value(const broker::StreamRecord& topic, std::string_view config_name) {
  const auto found = topic.attributes.find(attribute_name(config_name));
  if (found == topic.attributes.end()) return std::nullopt;
  return found->second;
}

BatchRules TopicSettings::rules(int64_t now_ms, bool zstd_allowed) const {
  return {.batch_bytes_max = batch_bytes_max,
          .keys_required = is_compacted,
          .log_append_time = log_append_time,
          .zstd_allowed = zstd_allowed,
          .timestamp_ms_min =
              timestamp_before_ms_max == INT64_MAX ? INT64_MIN : saturated(now_ms, -timestamp_before_ms_max),
          .timestamp_ms_max = saturated(now_ms, timestamp_after_ms_max)};
}

namespace {

// Nothing for `producer`.
std::optional<Compression> compression_named(std::string_view name) {
  if (name == "uncompressed") return Compression::kNone;
  if (name == "gzip") return Compression::kGzip;
  if (name == "snappy") return Compression::kSnappy;
  if (name == "lz4") return Compression::kLz4;
  if (name == "zstd") return Compression::kZstd;
  return std::nullopt;
}

void apply(TopicSettings& settings, std::string_view name, std::string_view value) {
  const int64_t number = number_in<int64_t>(value).value_or(0);
  if (name == "max.message.bytes") settings.batch_bytes_max = static_cast<size_t>(number);
  if (name == "cleanup.policy") {
    settings.is_compacted = has_word(value, "compact");
    settings.deletes = has_word(value, "delete");
  }
  if (name == "compression.type") settings.compression = compression_named(value);
  if (name == "message.timestamp.type") settings.log_append_time = value == "LogAppendTime";
  if (name == "message.timestamp.before.max.ms") settings.timestamp_before_ms_max = number;
  if (name == "message.timestamp.after.max.ms") settings.timestamp_after_ms_max = number;
}

}  // namespace

TopicSettings settings_of(const broker::StreamRecord& topic, const Config& config) {
  TopicSettings settings{.batch_bytes_max = static_cast<size_t>(config.message_bytes_max)};
  for (const auto& [name, value] : config.topic_defaults) apply(settings, name, value);
  for (auto it = topic.attributes.lower_bound(std::string(kAttributePrefix)); it != topic.attributes.end(); ++it) {
    std::string_view name = it->first;
    if (!name.starts_with(kAttributePrefix)) break;
    apply(settings, name.substr(kAttributePrefix.size()), it->second);
  }
  return settings;
}

namespace {

// -1: no limit.
template <typename Number>
std::optional<Number> limit_in(std::string_view value) {
  const int64_t number = number_in<int64_t>(value).value_or(-1);
  return number < 0 ? std::nullopt : std::optional<Number>(static_cast<Number>(number));
}

}  // namespace

broker::RetentionPolicy retention_of(const broker::StreamRecord& topic, const RetentionDefaults& otherwise) {
  const auto policy = own_value(topic, "cleanup.policy");
  if (policy ? !has_word(*policy, "delete") : !otherwise.deletes) return {};
  broker::RetentionPolicy retention = otherwise.limits;
  if (const auto ms = own_value(topic, "retention.ms")) retention.age_ms_max = limit_in<int64_t>(*ms);
  if (const auto bytes = own_value(topic, "retention.bytes")) retention.bytes_max = limit_in<uint64_t>(*bytes);
  return retention;
}

RetentionDefaults default_retention(const Config& config) {
  const auto value = [&](std::string_view name) { return default_of(*find_topic_config(name), config); };
  return {.limits = {.age_ms_max = limit_in<int64_t>(value("retention.ms")),
                     .bytes_max = limit_in<uint64_t>(value("retention.bytes"))},
          .deletes = has_word(value("cleanup.policy"), "delete")};
}

std::optional<broker::CompactionPolicy> compaction_of(const broker::StreamRecord& topic, const Config& config,
                                                      bool own_only, const broker::RetentionPolicy& keeps) {
  const auto own_policy = own_value(topic, "cleanup.policy");
  if (own_only && !own_policy) return std::nullopt;
  const auto value = [&](std::string_view name) {
    const auto own = own_value(topic, name);
    return own ? std::string(*own) : default_of(*find_topic_config(name), config);
  };
  if (!has_word(value("cleanup.policy"), "compact")) return std::nullopt;
  const auto number = [&](std::string_view name) { return number_in<int64_t>(value(name)).value_or(0); };
  broker::CompactionPolicy policy{.min_lag_ms = number("min.compaction.lag.ms"),
                                  .max_lag_ms = number("max.compaction.lag.ms"),
                                  .dirty_ratio_min = number_in<double>(value("min.cleanable.dirty.ratio")).value_or(0),
                                  .delete_retention_ms = number("delete.retention.ms"),
                                  .active_bytes_max = static_cast<uint64_t>(number("segment.bytes"))};
  policy.active_age_ms_max = std::min(number("segment.ms"), policy.max_lag_ms);
  if (keeps.age_ms_max) policy.segment_span_ms = *keeps.age_ms_max / kSegmentsPerRetention;
  return policy;
}

}  // namespace polylog::kafka
