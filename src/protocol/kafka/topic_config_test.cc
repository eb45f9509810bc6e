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
  CHECK_FALSE(accepts("compression.type", "none"));
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

TEST_CASE("a_stream_made_elsewhere_shows_what_it_keeps_and_a_topic_what_is_the_default") {
  const TopicConfigRow& age = *find_topic_config("retention.ms");
  const TopicConfigRow& size = *find_topic_config("retention.bytes");
  const TopicConfigRow& other = *find_topic_config("segment.ms");
  Config config;
  broker::StreamRecord stream;
  CHECK(default_of(age, config, stream) == "604800000");
  config.retention_elsewhere = [](const broker::StreamRecord& asked) {
    if (!asked.attributes.contains("elsewhere")) return std::optional<broker::RetentionPolicy>();
    return std::optional(broker::RetentionPolicy{.age_ms_max = {}, .bytes_max = 1000});
  };
  CHECK(default_of(age, config, stream) == "604800000");
  CHECK_FALSE(is_decided_elsewhere(age, config, stream));
  stream.attributes["elsewhere"] = "";
  CHECK(default_of(age, config, stream) == "-1");
  CHECK(default_of(size, config, stream) == "1000");
  CHECK(is_decided_elsewhere(age, config, stream));
  CHECK_FALSE(is_decided_elsewhere(other, config, stream));
  CHECK(default_of(other, config, stream) == "604800000");
}

TEST_CASE("a_topic_names_the_codec_of_its_batches_or_leaves_it_to_producers") {
  broker::StreamRecord topic;
  CHECK_FALSE(settings_of(topic, {}).compression);
  const auto set = [&](std::string_view name) {
    topic.attributes[attribute_name("compression.type")] = name;
    return settings_of(topic, {}).compression;
  };
  CHECK(set("uncompressed") == Compression::kNone);
  CHECK(set("gzip") == Compression::kGzip);
  CHECK(set("snappy") == Compression::kSnappy);
  CHECK(set("lz4") == Compression::kLz4);
  CHECK(set("zstd") == Compression::kZstd);
  CHECK_FALSE(set("producer"));
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
  CHECK(default_retention(config).limits.age_ms_max == 7 * day);
  CHECK(!default_retention(config).limits.bytes_max);
  broker::StreamRecord topic;
  CHECK(retention_of(topic, {.limits = {.age_ms_max = 5, .bytes_max = 6}}).age_ms_max == 5);
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

TEST_CASE("the_brokers_cleanup_policy_rules_topics_that_have_none_of_their_own") {
  Config config;
  config.topic_defaults["cleanup.policy"] = "compact";
  broker::StreamRecord topic;
  CHECK(retention_of(topic, default_retention(config)).keeps_all());
  CHECK(compaction_of(topic, config, false, {}));
  CHECK(!compaction_of(topic, config, true, {}));  // another protocol's stream
  CHECK(settings_of(topic, config).is_compacted);
  topic.attributes["kafka.cleanup.policy"] = "delete";
  CHECK(retention_of(topic, default_retention(config)).age_ms_max == default_retention(config).limits.age_ms_max);
  CHECK(!compaction_of(topic, config, false, {}));
  topic.attributes["kafka.cleanup.policy"] = "compact,delete";
  CHECK(!retention_of(topic, default_retention(config)).keeps_all());
  CHECK(compaction_of(topic, config, true, {}));
}

TEST_CASE("a_topic_is_compacted_by_its_own_rules_and_else_by_the_brokers") {
  Config config;
  broker::StreamRecord topic;
  CHECK(!compaction_of(topic, config, false, {}));
  topic.attributes["kafka.cleanup.policy"] = "compact";
  const auto plain = compaction_of(topic, config, false, {});
  REQUIRE(plain);
  CHECK(plain->min_lag_ms == 0);
  CHECK(plain->max_lag_ms == INT64_MAX);
  CHECK(plain->dirty_ratio_min == 0.5);
  CHECK(plain->delete_retention_ms == 86'400'000);
  CHECK(plain->active_age_ms_max == 604'800'000);
  CHECK(plain->active_bytes_max == 1'073'741'824);
  CHECK(plain->segment_span_ms == INT64_MAX);
  config.topic_defaults["min.compaction.lag.ms"] = "11";
  config.topic_defaults["delete.retention.ms"] = "12";
  topic.attributes["kafka.delete.retention.ms"] = "13";
  topic.attributes["kafka.max.compaction.lag.ms"] = "14";
  topic.attributes["kafka.segment.bytes"] = "15";
  topic.attributes["kafka.min.cleanable.dirty.ratio"] = "0.25";
  const auto own = compaction_of(topic, config, false, {.age_ms_max = 800});
  REQUIRE(own);
  CHECK(own->min_lag_ms == 11);
  CHECK(own->delete_retention_ms == 13);
  CHECK(own->max_lag_ms == 14);
  CHECK(own->active_age_ms_max == 14);  // never longer than the greatest lag
  CHECK(own->active_bytes_max == 15);
  CHECK(own->dirty_ratio_min == 0.25);
  CHECK(own->segment_span_ms == 100);
}

}  // namespace polylog::kafka
