#include "protocol/amqp/arguments.h"

#include <fmt/format.h>

#include <charconv>

namespace polylog::amqp {
namespace {

constexpr std::string_view kQueueTypeArgument = "x-queue-type";
constexpr QueueType kQueueTypes[] = {QueueType::kClassic, QueueType::kQuorum, QueueType::kStream};

using Reason = std::optional<std::string>;

// How the queue type is called inside texts.
std::string_view implementation_of(QueueType type) {
  switch (type) {
    case QueueType::kClassic: return "rabbit_classic_queue";
    case QueueType::kQuorum: return "rabbit_quorum_queue";
    case QueueType::kStream: return "rabbit_stream_queue";
  }
  return "unknown";
}

std::string unacceptable_type(const FieldValue& value) {
  return fmt::format("{{unacceptable_type,{}}}", name_of(value.type));
}

Reason check_integer(const QueueArgument& argument, const FieldValue& value) {
  if (!value.is_integer()) return fmt::format("\"expected integer, got {}\"", name_of(value.type));
  const int64_t number = value.integer;
  if (number >= argument.min && number <= argument.max) return std::nullopt;
  if (number > argument.max) return fmt::format("{{{},{}}}", argument.bad_value, number);
  if (number < 0) return fmt::format("{{value_negative,{}}}", number);
  return fmt::format("{{{},{}}}", number == 0 ? "value_zero" : "value_too_small", number);
}

bool is_among(std::string_view choices, std::string_view value) {
  while (!choices.empty()) {
    const size_t bar = choices.find('|');
    if (choices.substr(0, bar) == value) return true;
    choices = bar == std::string_view::npos ? std::string_view() : choices.substr(bar + 1);
  }
  return false;
}

Reason check_value(const QueueArgument& argument, const FieldValue& value) {
  switch (argument.kind) {
    case ArgumentKind::kInteger: return check_integer(argument, value);
    case ArgumentKind::kBool:
      if (value.type != FieldType::kBool) return unacceptable_type(value);
      return std::nullopt;
    case ArgumentKind::kText:
      if (!value.is_text()) return unacceptable_type(value);
      return std::nullopt;
    case ArgumentKind::kChoice:
      if (!value.is_text()) return unacceptable_type(value);
      if (!is_among(argument.choices, value.text())) return std::string(argument.bad_value);
      return std::nullopt;
    case ArgumentKind::kMaxAge:
      if (!value.is_text()) return unacceptable_type(value);
      if (!parse_max_age_ms(value.text())) return std::string(argument.bad_value);
      return std::nullopt;
  }
  return std::nullopt;
}

std::string invalid_argument(std::string_view object, std::string_view name, std::string_view reason) {
  return fmt::format("invalid arg '{}' for {}: {}", name, object, reason);
}

std::string invalid_property(std::string_view object, std::string_view name) {
  return fmt::format("invalid property '{}' for {}", name, object);
}

Reason check_flags(std::string_view object, QueueType type, QueueFlags flags) {
  if (type == QueueType::kClassic) return std::nullopt;
  if (flags.server_named) {
    return fmt::format("Cannot declare a server-named queue for type {}", implementation_of(type));
  }
  if (flags.auto_delete && type == QueueType::kStream) return invalid_property(object, "auto-delete");
  if (flags.exclusive) return invalid_property(object, "exclusive-owner");
  if (!flags.durable) return invalid_property(object, "non-durable");
  return std::nullopt;
}

// A routing key for dead letters means nothing without an exchange for them.
Reason check_dead_letter_pair(std::string_view object, base::View arguments) {
  constexpr std::string_view kKey = "x-dead-letter-routing-key";
  if (!find(arguments, kKey) || find(arguments, "x-dead-letter-exchange")) return std::nullopt;
  return invalid_argument(object, kKey, "routing_key_but_no_dlx_defined");
}

Reason check_values(std::string_view object, QueueType type, base::View arguments) {
  for (const QueueArgument& argument : kQueueArguments) {
    if (use_of(argument, type) != ArgumentUse::kChecked) continue;
    const std::optional<FieldValue> value = find(arguments, argument.name);
    if (!value) continue;
    if (Reason reason = check_value(argument, *value)) return invalid_argument(object, argument.name, *reason);
  }
  return std::nullopt;
}

Reason check_refused(std::string_view object, QueueType type, base::View arguments) {
  TableReader reader(arguments);
  Field field;
  while (reader.next(field)) {
    const QueueArgument* argument = find_queue_argument(field.key);
    if (argument == nullptr || use_of(*argument, type) != ArgumentUse::kRefused) continue;
    return fmt::format("invalid arg '{}' for {} of queue type {}", field.key, object, implementation_of(type));
  }
  return std::nullopt;
}

bool is_classic_or_missing(const std::optional<FieldValue>& value) {
  return !value || (value->is_text() && value->text() == name_of(QueueType::kClassic));
}

std::string typed_text(const std::optional<FieldValue>& value) {
  if (!value) return "none";
  return fmt::format("the value '{}' of type '{}'", to_text(*value), name_of(value->type));
}

const char* bool_text(bool value) { return value ? "'true'" : "'false'"; }

int64_t unit_ms(char unit) {
  constexpr int64_t kSecondMs = 1000;
  constexpr int64_t kDayMs = 24 * 3600 * kSecondMs;
  switch (unit) {
    case 'Y': return 365 * kDayMs;
    case 'M': return 30 * kDayMs;
    case 'D': return kDayMs;
    case 'h': return 3600 * kSecondMs;
    case 'm': return 60 * kSecondMs;
    case 's': return kSecondMs;
    default: return 0;
  }
}

}  // namespace

std::string_view name_of(QueueType type) {
  switch (type) {
    case QueueType::kClassic: return "classic";
    case QueueType::kQuorum: return "quorum";
    case QueueType::kStream: return "stream";
  }
  return "unknown";
}

std::optional<QueueType> parse_queue_type(std::string_view name) {
  for (QueueType type : kQueueTypes) {
    if (name == name_of(type)) return type;
  }
  return std::nullopt;
}

const QueueArgument* find_queue_argument(std::string_view name) {
  for (const QueueArgument& argument : kQueueArguments) {
    if (argument.name == name) return &argument;
  }
  return nullptr;
}

ArgumentUse use_of(const QueueArgument& argument, QueueType type) {
  switch (type) {
    case QueueType::kClassic: return argument.classic;
    case QueueType::kQuorum: return argument.quorum;
    case QueueType::kStream: return argument.stream;
  }
  return ArgumentUse::kIgnored;
}

std::string describe_queue(std::string_view queue, std::string_view vhost) {
  return fmt::format("queue '{}' in vhost '{}'", queue, vhost);
}

QueueTypeChoice choose_queue_type(std::string_view object, base::View arguments, QueueType fallback) {
  const std::optional<FieldValue> value = find(arguments, kQueueTypeArgument);
  if (!value) return {.type = fallback, .error = std::nullopt};
  if (!value->is_text()) return {.error = invalid_argument(object, kQueueTypeArgument, unacceptable_type(*value))};
  if (const auto type = parse_queue_type(value->text())) return {.type = *type, .error = std::nullopt};
  const std::string reason = fmt::format("\"unsupported queue type '{}'\"", value->text());
  return {.error = invalid_argument(object, kQueueTypeArgument, reason)};
}

Reason check_queue_arguments(std::string_view object, QueueType type, QueueFlags flags, base::View arguments) {
  if (Reason reason = check_values(object, type, arguments)) return reason;
  if (Reason reason = check_refused(object, type, arguments)) return reason;
  if (Reason reason = check_dead_letter_pair(object, arguments)) return reason;
  return check_flags(object, type, flags);
}

std::string inequivalent_text(std::string_view object, std::string_view name, std::string_view received,
                              std::string_view current) {
  return fmt::format("inequivalent arg '{}' for {}: received {} but current is {}", name, object, received, current);
}

Reason equivalent_flags(std::string_view object, QueueFlags received, QueueFlags current) {
  received = normalized(received);
  current = normalized(current);
  if (received.durable != current.durable) {
    return inequivalent_text(object, "durable", bool_text(received.durable), bool_text(current.durable));
  }
  if (received.auto_delete != current.auto_delete) {
    return inequivalent_text(object, "auto_delete", bool_text(received.auto_delete), bool_text(current.auto_delete));
  }
  return std::nullopt;
}

Reason equivalent_argument(std::string_view object, std::string_view name, base::View received, base::View current) {
  const std::optional<FieldValue> mine = find(received, name);
  const std::optional<FieldValue> theirs = find(current, name);
  if (!mine && !theirs) return std::nullopt;
  if (!mine || !theirs) return inequivalent_text(object, name, typed_text(mine), typed_text(theirs));
  if (equal_by_value(*mine, *theirs)) return std::nullopt;
  return inequivalent_text(object, name, "'" + to_text(*mine) + "'", "'" + to_text(*theirs) + "'");
}

Reason equivalent_arguments(std::string_view object, QueueType current_type, base::View received, base::View current) {
  const bool both_classic = is_classic_or_missing(find(received, kQueueTypeArgument)) &&
                            is_classic_or_missing(find(current, kQueueTypeArgument));
  if (!both_classic) {
    if (Reason reason = equivalent_argument(object, kQueueTypeArgument, received, current)) return reason;
  }
  for (const QueueArgument& argument : kQueueArguments) {
    if (use_of(argument, current_type) != ArgumentUse::kChecked) continue;
    if (Reason reason = equivalent_argument(object, argument.name, received, current)) return reason;
  }
  return std::nullopt;
}

std::optional<int64_t> parse_max_age_ms(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  const char* unit = text.data() + text.size() - 1;
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), unit, count);
  if (error != std::errc() || end != unit || count <= 0 || unit_ms(*unit) == 0) return std::nullopt;
  int64_t ms = 0;
  if (__builtin_mul_overflow(count, unit_ms(*unit), &ms)) return std::nullopt;
  return ms;
}

broker::RetentionPolicy retention_in(base::View arguments) {
  broker::RetentionPolicy retention;
  if (const auto age = find(arguments, "x-max-age"); age && age->is_text())
    retention.age_ms_max = parse_max_age_ms(age->text());
  const auto bytes = find(arguments, "x-max-length-bytes");
  if (bytes && bytes->is_integer() && bytes->integer >= 0) retention.bytes_max = static_cast<uint64_t>(bytes->integer);
  return retention;
}

}  // namespace polylog::amqp
