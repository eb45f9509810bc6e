#include "protocol/amqp/queue_lookup.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/amqp/connection.h"

namespace polylog::amqp {
namespace {

using What = broker::FindOffsetRequest::What;

Outcome take_offset(const broker::StreamRecord& record, broker::ActionBody& answer, base::Offset& offset) {
  auto& found = std::get<broker::FindOffsetDone>(answer).offset;
  if (!found) return std::unexpected(to_fault(found.error(), describe(record)));
  offset = *found;
  return {};
}

void ask_stream_start(Channel& channel, const Record& record, base::Offset end, CountsThen then) {
  channel.ask(record->partitions[0],
              broker::FindOffsetRequest{.partition = record->key(), .what = What::kStart, .time = {}},
              [record, end, then = std::move(then)](broker::ActionBody& answer) mutable -> Outcome {
                base::Offset start;
                if (Outcome outcome = take_offset(*record, answer, start); !outcome) return outcome;
                return then({.messages = static_cast<uint32_t>((end - start).value), .consumers = 0});
              });
}

void ask_stream_counts(Channel& channel, const Record& record, CountsThen then) {
  channel.ask(record->partitions[0],
              broker::FindOffsetRequest{.partition = record->key(), .what = What::kCommitted, .time = {}},
              [&channel, record, then = std::move(then)](broker::ActionBody& answer) mutable -> Outcome {
                base::Offset end;
                if (Outcome outcome = take_offset(*record, answer, end); !outcome) return outcome;
                ask_stream_start(channel, record, end, std::move(then));
                return {};
              });
}

}  // namespace

std::string clean_name(std::string_view name) {
  std::string clean(name);
  std::erase_if(clean, [](char c) { return c == '\r' || c == '\n'; });
  return clean;
}

std::string random_name(std::string_view prefix) {
  static constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const base::Uuid uuid = base::Uuid::random();
  std::string name(prefix);
  uint32_t bits = 0;
  int bit_count = 0;
  for (const uint8_t byte : uuid.bytes) {
    bits = bits << 8 | byte;
    for (bit_count += 8; bit_count >= 6; bit_count -= 6) name += kDigits[bits >> (bit_count - 6) & 63];
  }
  name += kDigits[bits << (6 - bit_count) & 63];
  return name;
}

std::expected<std::string, Fault> queue_name(Channel& channel, std::string_view name) {
  if (!name.empty()) return clean_name(name);
  if (channel.last_queue().empty()) return std::unexpected(Fault{ReplyCode::kNotFound, "no previously declared queue"});
  return channel.last_queue();
}

std::expected<Record, Fault> find_queue(Channel& channel, std::string_view name) {
  auto resolved = queue_name(channel, name);
  if (!resolved) return std::unexpected(resolved.error());
  Record record = channel.session().broker().catalog().find(*resolved);
  if (!record) return std::unexpected(no_queue(*resolved));
  if (is_locked(channel, *record)) return std::unexpected(locked_queue(*resolved));
  return record;
}

bool is_locked(Channel& channel, const broker::StreamRecord& record) {
  return record.exclusive_owner && *record.exclusive_owner != channel.session().id();
}

std::optional<broker::RetentionPolicy> retention_of(const broker::StreamRecord& record) {
  const auto arguments = record.attributes.find(kArgumentsAttribute);
  if (arguments == record.attributes.end()) return std::nullopt;
  return retention_in(base::as_view(arguments->second));
}

QueueType type_of(const broker::StreamRecord& record) {
  if (record.kind == broker::StreamKind::kStream) return QueueType::kStream;
  const auto found = record.attributes.find(kTypeAttribute);
  if (found == record.attributes.end()) return QueueType::kClassic;
  return parse_queue_type(found->second).value_or(QueueType::kClassic);
}

std::string describe(const broker::StreamRecord& record) { return describe_queue(record.name, kVhost); }

Outcome ask_counts(Channel& channel, const Record& record, CountsThen then) {
  if (record->partitions.size() > 1) return then({});
  if (record->kind == broker::StreamKind::kStream) {
    ask_stream_counts(channel, record, std::move(then));
    return {};
  }
  channel.ask(record->partitions[0], broker::QueueStatsRequest{record->key()},
              [record, then = std::move(then)](broker::ActionBody& answer) mutable -> Outcome {
                const auto& stats = std::get<broker::QueueStatsDone>(answer);
                if (!stats.result) return std::unexpected(to_fault(stats.result.error(), describe(*record)));
                return then({.messages = stats.ready, .consumers = stats.consumers});
              });
  return {};
}

}  // namespace polylog::amqp
