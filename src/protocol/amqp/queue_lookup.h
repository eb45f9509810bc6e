// Finding the queue or stream a method names, and what AMQP knows of it.
//
// Attributes of a StreamRecord: kArgumentsAttribute, the table of the declaration as it came, and kTypeAttribute, the
// queue type. A stream without them was created by another protocol: it takes any stream arguments.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "broker/catalog/catalog.h"
#include "protocol/amqp/arguments.h"
#include "protocol/amqp/channel.h"
#include "protocol/amqp/errors.h"

namespace polylog::amqp {

inline constexpr const char* kArgumentsAttribute = "amqp.arguments";
inline constexpr const char* kTypeAttribute = "amqp.type";
inline constexpr std::string_view kVhost = "/";

using Record = broker::Catalog::Record;

std::string clean_name(std::string_view name);     // without CR and LF
std::string random_name(std::string_view prefix);  // with 22 characters of base64url

// An empty name is the channel's last declared queue.
std::expected<std::string, Fault> queue_name(Channel& channel, std::string_view name);
std::expected<Record, Fault> find_queue(Channel& channel, std::string_view name);
bool is_locked(Channel& channel, const broker::StreamRecord& record);  // exclusive to another connection

QueueType type_of(const broker::StreamRecord& record);
// What a stream declared here keeps; nullopt: another protocol made it.
std::optional<broker::RetentionPolicy> retention_of(const broker::StreamRecord& record);
std::string describe(const broker::StreamRecord& record);

// Ready messages and consumers of a queue; of a stream the messages it holds and no consumers. With several partitions
// there is no one count: 0.
struct QueueCounts {
  uint32_t messages = 0;
  uint32_t consumers = 0;
};
using CountsThen = std::move_only_function<Outcome(QueueCounts)>;
Outcome ask_counts(Channel& channel, const Record& record, CountsThen then);

}  // namespace polylog::amqp
