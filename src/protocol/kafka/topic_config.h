// What can be set for a topic: ONE table of names, types, defaults and accepted values, from which CreateTopics,
// DescribeConfigs, AlterConfigs and the docs derive. A topic's own values are attributes of its StreamRecord, named
// "kafka.<name>", as the client wrote them; a stream made over another protocol has none and so the defaults.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "broker/catalog/records.h"
#include "broker/compaction.h"
#include "broker/retention.h"
#include "protocol/kafka/config.h"
#include "protocol/kafka/record_batch.h"

namespace polylog::kafka {

// As DescribeConfigs numbers them.
enum class ConfigType : int8_t {
  kBoolean = 1,
  kString = 2,
  kInt = 3,
  kShort = 4,
  kLong = 5,
  kDouble = 6,
  kList = 7,
};

enum class Effect : uint8_t {
  kActs,     // polylog does what the value says
  kStored,   // kept and shown; does not act yet
  kIgnored,  // kept and shown; means nothing here
};

struct Accepted {
  double number_min = 0, number_max = 0;  // of numbers
  std::string_view words;                 // of the other types, comma-separated; empty: any
};

bool is_accepted(ConfigType type, const Accepted& accepted, std::string_view value);

struct TopicConfigRow {
  std::string_view name;
  ConfigType type;
  std::string_view default_value;  // of max.message.bytes: see default_of()
  Accepted accepted;
  Effect effect;
  std::string_view documentation;
};

std::span<const TopicConfigRow> topic_configs();  // ascending by name
const TopicConfigRow* find_topic_config(std::string_view name);
std::string default_of(const TopicConfigRow& row, const Config& config);
// What holds for this stream, whoever made it, while it has no value of its own.
std::string default_of(const TopicConfigRow& row, const Config& config, const broker::StreamRecord& stream);
bool is_decided_elsewhere(const TopicConfigRow& row, const Config& config, const broker::StreamRecord& stream);

// kInvalid with a text for the client: an unknown name, or a value that is not accepted.
base::Result<> check_topic_config(std::string_view name, std::string_view value);

inline constexpr std::string_view kAttributePrefix = "kafka.";
std::string attribute_name(std::string_view config_name);
// The topic's own value, if it has one.
std::optional<std::string_view> own_value(const broker::StreamRecord& topic, std::string_view config_name);

// What Produce and DeleteRecords act by, read from the attributes.
struct TopicSettings {
  size_t batch_bytes_max = limits::kRecordBatchBytesMaxDefault;
  bool is_compacted = false;
  bool deletes = true;  // cleanup.policy has "delete"
  bool log_append_time = false;
  std::optional<Compression> compression;  // nothing: as the producer packed it
  int64_t timestamp_before_ms_max = INT64_MAX;
  int64_t timestamp_after_ms_max = 3'600'000;

  BatchRules rules(int64_t now_ms, bool zstd_allowed) const;
};
TopicSettings settings_of(const broker::StreamRecord& topic, const Config& config);

// What a topic keeps: its own retention.ms and retention.bytes, where it has none those of `otherwise`. A topic whose
// cleanup.policy does not say "delete" keeps everything; one without a policy of its own has that of `otherwise`.
struct RetentionDefaults {
  broker::RetentionPolicy limits;
  bool deletes = true;
};
broker::RetentionPolicy retention_of(const broker::StreamRecord& topic, const RetentionDefaults& otherwise);
RetentionDefaults default_retention(const Config& config);

// How a topic is compacted; nothing if its cleanup.policy does not say "compact". `own_only`: the broker's cleanup.policy does
// not count, since the stream is another protocol's. `keeps`: where it is trimmed by age as well, segments span less time.
std::optional<broker::CompactionPolicy> compaction_of(const broker::StreamRecord& topic, const Config& config,
                                                      bool own_only, const broker::RetentionPolicy& keeps);

}  // namespace polylog::kafka
