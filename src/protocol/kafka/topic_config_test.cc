#include "protocol/kafka/topic_config.h"

#include <doctest/doctest.h>

#include "protocol/kafka/topics.h"

namespace polylog::kafka {

TEST_CASE("every_default_is_accepted") {
  for (const TopicConfigRow& row : topic_configs()) {
    INFO(row.name);
    CHECK(find_topic_config(row.name) == &row);
    CHECK(check_topic_config(row.name, default_of(row, {})));
    CHECK_FALSE(row.documentation.empty());
  }
}

TEST_CASE("values_are_checked_by_type_and_range") {
  const auto accepts = [](std::string_view name, std::string_view value) {
    return check_topic_config(name, value).has_value();
  };
  CHECK(accepts("retention.ms", "-1"));
  CHECK_FALSE(accepts("retention.ms", "-2"));
  CHECK_FALSE(accepts("retention.ms", ""));
  CHECK_FALSE(accepts("retention.ms", "1.5"));
  CHECK_FALSE(accepts("retention.ms", "1 "));
  CHECK_FALSE(accepts("retention.ms", "99999999999999999999"));
  CHECK(accepts("max.message.bytes", "20000000"));
  CHECK_FALSE(accepts("max.message.bytes", "2147483648"));
  CHECK(accepts("cleanup.policy", "compact,delete"));
  CHECK(accepts("cleanup.policy", "compact, delete"));
  CHECK_FALSE(accepts("cleanup.policy", "shrink"));
  CHECK(accepts("cleanup.policy", ""));
  CHECK(accepts("preallocate", "true"));
  CHECK_FALSE(accepts("preallocate", "yes"));
  CHECK(accepts("min.cleanable.dirty.ratio", "0.25"));
  CHECK_FALSE(accepts("min.cleanable.dirty.ratio", "1.25"));
  for (const char* codec : {"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"}) {
    CHECK(accepts("compression.type", codec));
  }
  CHECK_FALSE(accepts("compression.type", "brotli"));
  CHECK_FALSE(accepts("no.such.config", "1"));
}

TEST_CASE("settings_come_from_attributes_or_defaults") {
  const Config config{.message_bytes_max = 500};
  broker::StreamRecord topic;
  topic.attributes = {{"amqp.x", "1"}, {"kafkaesque", "2"}};
  CHECK(settings_of(topic, config).batch_bytes_max == 500);
  CHECK_FALSE(settings_of(topic, config).is_compacted);
  CHECK(settings_of(topic, config).deletes);
  topic.attributes[attribute_name("max.message.bytes")] = "70";
  topic.attributes[attribute_name("cleanup.policy")] = "compact";
  topic.attributes[attribute_name("message.timestamp.type")] = "LogAppendTime";
  topic.attributes[attribute_name("message.timestamp.before.max.ms")] = "10";
  const TopicSettings settings = settings_of(topic, config);
  CHECK(settings.batch_bytes_max == 70);
  CHECK(settings.is_compacted);
  CHECK_FALSE(settings.deletes);
  CHECK(settings.log_append_time);
  const BatchRules rules = settings.rules(1000, true);
  CHECK(rules.keys_required);
  CHECK(rules.timestamp_ms_min == 990);
  CHECK(rules.timestamp_ms_max == 1000 + 3'600'000);
  CHECK(TopicSettings{.timestamp_after_ms_max = INT64_MAX}.rules(1000, true).timestamp_ms_max == INT64_MAX);
  CHECK(own_value(topic, "cleanup.policy") == "compact");
  CHECK_FALSE(own_value(topic, "retention.ms"));
}

TEST_CASE("topic_names_have_rules") {
  for (const char* good : {"a", "A.b_c-9", "...", "__x"}) CHECK(is_valid_topic_name(good));
  for (const char* bad : {"", ".", "..", "a/b", "a b", "\xC3\xBC"}) CHECK_FALSE(is_valid_topic_name(bad));
  CHECK(is_valid_topic_name(std::string(limits::kTopicNameBytesMax, 'a')));
  CHECK_FALSE(is_valid_topic_name(std::string(limits::kTopicNameBytesMax + 1, 'a')));
}

TEST_CASE("a_topic_keeps_what_it_says_and_else_what_is_said_for_it") {
  const Config config;
  const auto day = int64_t{24} * 3600 * 1000;
  CHECK(default_retention(config).age_ms_max == 7 * day);
  CHECK(!default_retention(config).bytes_max);
  broker::StreamRecord topic;
  CHECK(retention_of(topic, {.age_ms_max = 5, .bytes_max = 6}).age_ms_max == 5);
  topic.attributes["kafka.retention.ms"] = "-1";
  topic.attributes["kafka.retention.bytes"] = "1000";
  const auto own = retention_of(topic, default_retention(config));
  CHECK(!own.age_ms_max);
  CHECK(own.bytes_max == 1000);
  topic.attributes["kafka.cleanup.policy"] = "compact";
  CHECK(retention_of(topic, default_retention(config)).keeps_all());
  topic.attributes["kafka.cleanup.policy"] = "";
  CHECK(retention_of(topic, default_retention(config)).keeps_all());
  CHECK_FALSE(settings_of(topic, config).is_compacted);
  CHECK_FALSE(settings_of(topic, config).deletes);
  topic.attributes["kafka.cleanup.policy"] = "compact,delete";
  CHECK(retention_of(topic, default_retention(config)).bytes_max == 1000);
}

}  // namespace polylog::kafka
