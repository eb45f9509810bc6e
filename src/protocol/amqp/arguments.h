// Arguments of queue.declare: which there are, which values they take on which queue type, and what makes a
// redeclaration differ. Error texts are worded as RabbitMQ's because frameworks and people match on them; all of them
// go with PRECONDITION_FAILED (406) and reply_text(). What an argument then does is none of this file's business.
//
// `object` in these functions is describe_queue()'s text: queue 'q' in vhost '/'.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "broker/retention.h"
#include "protocol/amqp/field_table.h"

namespace polylog::amqp {

enum class QueueType : uint8_t { kClassic, kQuorum, kStream };
std::string_view name_of(QueueType type);  // "classic", the value of x-queue-type
std::optional<QueueType> parse_queue_type(std::string_view name);

struct QueueFlags {
  bool durable = false;
  bool exclusive = false;
  bool auto_delete = false;
  bool server_named = false;  // declared with an empty name
};
// An exclusive queue never outlives its connection, so it counts as not durable, when declared and when compared.
constexpr QueueFlags normalized(QueueFlags flags) {
  flags.durable = flags.durable && !flags.exclusive;
  return flags;
}

enum class ArgumentKind : uint8_t {
  kInteger,  // of any width, between min and max
  kBool,
  kText,
  kChoice,  // one of `choices`
  kMaxAge,  // "7D": digits and one of Y M D h m s
};

enum class ArgumentUse : uint8_t {
  kRefused,  // another queue type's argument: 406
  kChecked,  // value checked, compared on redeclare
  kIgnored,  // legacy or without meaning here: neither
};

struct QueueArgument {
  std::string_view name;
  ArgumentKind kind;
  ArgumentUse classic, quorum, stream;
  int64_t min = 0;
  int64_t max = INT64_MAX;
  std::string_view choices = {};    // separated by '|'
  std::string_view bad_value = {};  // the reason given for a value over max or not among the choices
};

inline constexpr int64_t kExpiryMsMax = 315'360'000'000;  // ten years: TTLs and x-expires
inline constexpr int64_t kPriorityMax = 255;
inline constexpr int64_t kSegmentBytesMax = 3'000'000'000;

// Checked in this order. An argument that is not in the table is kept and otherwise ignored.
// Quorum queues take any x-overflow; what they cannot do (reject-publish-dlx) falls back to drop-head.
inline constexpr auto kQueueArguments = [] {
  using enum ArgumentKind;
  using enum ArgumentUse;
  constexpr std::string_view kTooBig = "value_too_big";
  constexpr std::string_view kExceeded = "max_value_exceeded";
  return std::to_array<QueueArgument>({
      // name, kind, classic, quorum, stream, min, max, choices, bad value
      {"x-expires", kInteger, kChecked, kChecked, kRefused, 1, kExpiryMsMax, {}, kTooBig},
      {"x-message-ttl", kInteger, kChecked, kChecked, kRefused, 0, kExpiryMsMax, {}, kTooBig},
      {"x-dead-letter-exchange", kText, kChecked, kChecked, kRefused},
      {"x-dead-letter-routing-key", kText, kChecked, kChecked, kRefused},
      {"x-dead-letter-strategy", kChoice, kRefused, kChecked, kRefused, 0, 0, "at-most-once|at-least-once",
       "invalid_dlx_strategy"},
      {"x-max-length", kInteger, kChecked, kChecked, kRefused},
      {"x-max-length-bytes", kInteger, kChecked, kChecked, kChecked},
      {"x-max-priority", kInteger, kChecked, kIgnored, kRefused, 0, kPriorityMax, {}, kExceeded},
      {"x-overflow", kChoice, kChecked, kChecked, kRefused, 0, 0, "drop-head|reject-publish|reject-publish-dlx",
       "invalid_overflow"},
      {"x-single-active-consumer", kBool, kChecked, kChecked, kRefused},
      {"x-delivery-limit", kInteger, kRefused, kChecked, kRefused, INT64_MIN},
      {"x-delayed-retry-type", kChoice, kRefused, kChecked, kRefused, 0, 0, "disabled|all|failed|returned",
       "invalid_delayed_retry_type"},
      {"x-delayed-retry-min", kInteger, kRefused, kChecked, kRefused, 0, kExpiryMsMax, {}, kTooBig},
      {"x-delayed-retry-max", kInteger, kRefused, kChecked, kRefused, 0, kExpiryMsMax, {}, kTooBig},
      {"x-consumer-timeout", kInteger, kIgnored, kChecked, kRefused},
      {"x-consumer-disconnected-timeout", kInteger, kRefused, kChecked, kRefused},
      {"x-queue-leader-locator", kChoice, kChecked, kChecked, kChecked, 0, 0,
       "client-local|balanced|random|least-leaders", "invalid_queue_locator_arg"},
      {"x-quorum-initial-group-size", kInteger, kRefused, kChecked, kChecked, 1},
      {"x-quorum-target-group-size", kInteger, kRefused, kChecked, kRefused, 1},
      {"x-initial-cluster-size", kInteger, kRefused, kChecked, kChecked, 1},
      {"x-member-placement-tag", kText, kRefused, kChecked, kChecked},
      {"x-max-age", kMaxAge, kRefused, kRefused, kChecked, 0, 0, {}, "invalid_max_age"},
      {"x-stream-max-segment-size-bytes", kInteger, kRefused, kRefused, kChecked, 0, kSegmentBytesMax, {}, kExceeded},
      {"x-stream-filter-size-bytes", kInteger, kRefused, kRefused, kChecked, 16, 255, {}, kExceeded},
      {"x-queue-mode", kText, kIgnored, kIgnored, kIgnored},
      {"x-queue-version", kInteger, kIgnored, kIgnored, kIgnored},
      {"x-max-in-memory-length", kInteger, kIgnored, kIgnored, kIgnored},
      {"x-max-in-memory-bytes", kInteger, kIgnored, kIgnored, kIgnored},
      {"x-queue-master-locator", kText, kIgnored, kIgnored, kIgnored},
      {"x-ha-policy", kText, kIgnored, kIgnored, kIgnored},
  });
}();

const QueueArgument* find_queue_argument(std::string_view name);
ArgumentUse use_of(const QueueArgument& argument, QueueType type);

std::string describe_queue(std::string_view queue, std::string_view vhost);

// x-queue-type, or `fallback` where it is missing. `error` is set instead of a type when the value is not one.
struct QueueTypeChoice {
  QueueType type = QueueType::kClassic;
  std::optional<std::string> error;
};
QueueTypeChoice choose_queue_type(std::string_view object, base::View arguments, QueueType fallback);

// What is wrong with declaring this queue, or nothing. The table must be valid (is_valid_table()).
std::optional<std::string> check_queue_arguments(std::string_view object, QueueType type, QueueFlags flags,
                                                 base::View arguments);

// Why a redeclaration does not match, or nothing. Exclusive ownership is checked before, with RESOURCE_LOCKED.
std::optional<std::string> equivalent_flags(std::string_view object, QueueFlags received, QueueFlags current);
std::optional<std::string> equivalent_arguments(std::string_view object, QueueType current_type, base::View received,
                                                base::View current);

// The same for one argument of any object, e.g. alternate-exchange of an exchange.
std::optional<std::string> equivalent_argument(std::string_view object, std::string_view name, base::View received,
                                               base::View current);
std::string inequivalent_text(std::string_view object, std::string_view name, std::string_view received,
                              std::string_view current);

// "7D" in milliseconds; a month has 30 days, a year 365. Nothing if it is not of that form or beyond 64 bits.
std::optional<int64_t> parse_max_age_ms(std::string_view text);

// x-max-age and x-max-length-bytes of a stream.
broker::RetentionPolicy retention_in(base::View arguments);

}  // namespace polylog::amqp
