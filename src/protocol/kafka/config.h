// Config: what an operator can set for the Kafka listeners of one process ("kafka.<name>" in files and --set), and what
// server/ fills in before it listens. Constant once the first session is made; shared by all cores. What clients change
// while the broker runs (broker_settings.h) goes before it: a session reads the outcome, a Config of its core.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "broker/catalog/records.h"
#include "broker/groups/config.h"
#include "broker/retention.h"
#include "io/net.h"
#include "protocol/kafka/limits.h"

namespace polylog::kafka {

struct Config {
  // --- identity
  int32_t node_id = 1;
  std::string cluster_id;   // 22 characters: a uuid in URL-safe base64. Never empty: clients use it as an identity
  io::Endpoint advertised;  // where clients are told to connect
  std::string rack;         // empty: none
  std::string log_dir;      // the data directory, as tools are told of it

  // --- topics
  bool auto_create_topics = true;          // auto.create.topics.enable
  int32_t num_partitions = 1;              // num.partitions
  bool replication_factor_strict = false;  // false: a factor above 1 is taken as 1; true: refused with error 38
  int32_t message_bytes_max =
      limits::kRecordBatchBytesMaxDefault;  // message.max.bytes: the default of max.message.bytes

  // What a stream keeps that was made over another protocol; none: it is like a topic. Null: there is no other.
  std::optional<broker::RetentionPolicy> (*retention_elsewhere)(const broker::StreamRecord&) = nullptr;

  broker::GroupConfig groups;  // as the cells have it

  // --- fetch
  int32_t fetch_bytes_max = 8 * 1024 * 1024;  // fetch.max.bytes: of one response; a client may ask for less
  int32_t fetch_sessions_max = limits::kFetchSessionsMax;  // max.incremental.fetch.session.cache.slots, of a core

  // --- set while the broker runs: broker configs by name, and the defaults of topic configs that follow from them
  using Values = std::map<std::string, std::string, std::less<>>;
  Values set_for_all_brokers, set_for_this_broker;
  Values topic_defaults;
};

}  // namespace polylog::kafka
