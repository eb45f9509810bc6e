#include "broker/inspect.h"

#include <fmt/format.h>

#include <algorithm>

#include "broker/catalog/records.h"
#include "broker/delivery/subscription.h"
#include "broker/groups/mutations.h"
#include "broker/mutations.h"

namespace polylog::broker {
namespace {

std::string text_of(const base::PartitionKey& key) { return fmt::format("{}/{}", key.stream.to_string(), key.index); }

std::string text_of(const std::vector<OffsetRange>& ranges) {
  std::string text;
  for (const auto& [first, last] : ranges) text += fmt::format(" {}..{}", first.value, last.value);
  return text;
}

const char* name_of(const GroupMutation& mutation) {
  static constexpr const char* kNames[] = {"cursors committed", "generation started", "membership",
                                           "cursors deleted",   "group deleted",      "managed begun",
                                           "managed ended",     "managed member",     "managed replaced",
                                           "managed gone",      "managed targets",    "managed holding"};
  static_assert(std::size(kNames) == std::variant_size_v<GroupMutation>);
  return kNames[mutation.index()];
}

base::Result<std::string> compacted(base::View payload) {
  TRY_ASSIGN(const CompactedMutation m, decode_compacted(payload));
  return fmt::format("compacted {} to {} deletes until {}", text_of(m.partition), m.to.clean_end.value,
                     m.to.deletes_until.ms);
}

base::Result<std::string> queue_dropped(base::View payload) {
  base::Reader in(payload);
  const base::PartitionKey key = storage::read_key(in);
  if (!in.ok() || !in.at_end()) return base::fail(base::ErrorCode::kCorrupt, "a queue's drop");
  return "queue dropped " + text_of(key);
}

std::string text_of(const StreamRecord& record) {
  std::string text =
      fmt::format("{} '{}' id {} version {} cells", record.kind == StreamKind::kQueue ? "queue" : "stream", record.name,
                  record.id.to_string(), record.version);
  for (const base::CellId cell : record.partitions) text += fmt::format(" {}", cell.value);
  for (const auto& [name, value] : record.attributes) text += fmt::format(" {}={}", name, value);
  return text;
}

std::string text_of(const Settings& settings) {
  std::string text = fmt::format("version {}", settings.version);
  for (const auto& [name, value] : settings.values) text += fmt::format(" {}={}", name, value);
  return text;
}

}  // namespace

base::Result<std::string> inspect_mutation(const storage::Mutation& mutation) {
  if (mutation.version != 1)
    return base::fail(base::ErrorCode::kCorrupt, "written by a newer version of polylog; use that one");
  if (mutation.type == kGroupMutation) {
    TRY_ASSIGN(const GroupMutation group, decode_group_mutation(mutation.payload));
    return fmt::format("group '{}' {}", group_of(group), name_of(group));
  }
  if (mutation.type == kQueueDroppedMutation) return queue_dropped(mutation.payload);
  if (mutation.type == kCompactedMutation) return compacted(mutation.payload);
  if (mutation.type != kDeliveredMutation && mutation.type != kSettledMutation)
    return base::fail(base::ErrorCode::kCorrupt, fmt::format("unknown mutation type {}: written by a newer version",
                                                             static_cast<int>(mutation.type)));
  TRY_ASSIGN(const RangesMutation ranges, decode_ranges(mutation.payload));
  return fmt::format("{} {}{}", mutation.type == kDeliveredMutation ? "delivered" : "settled", text_of(ranges.queue),
                     text_of(ranges.ranges));
}

base::Result<std::string> inspect_object(const storage::CheckpointObject& object) {
  if (object.version != 1)
    return base::fail(base::ErrorCode::kCorrupt, "written by a newer version of polylog; use that one");
  if (object.type == kGroupObject) {
    TRY_ASSIGN(const GroupState group, decode_snapshot(object.payload));
    return fmt::format("group '{}' generation {} members {} cursors {}", group.name, group.roster.generation,
                       group.roster.members.size(), group.cursors.size());
  }
  if (object.type == kGroupCursorsObject) {
    TRY_ASSIGN(const GroupCursors part, decode_cursors(object.payload));
    return fmt::format("more of the group '{}' cursors {}", part.group, part.cursors.size());
  }
  if (object.type == kCompactedObject) return compacted(object.payload);
  base::Reader in(object.payload);
  const base::PartitionKey key = storage::read_key(in);
  Subscription subscription;
  const bool is_part = object.type == kSubscriptionPartObject;
  if ((object.type != kSubscriptionObject && !is_part) || !subscription.load(in, object.stamp))
    return base::fail(base::ErrorCode::kCorrupt, "a checkpoint's object does not decode");
  return fmt::format("{}subscription of {} {}", is_part ? "more of the " : "", text_of(key), subscription.describe());
}

base::Result<std::string> inspect_meta(std::string_view key, std::string_view value) {
  if (key.starts_with("stream/") || key.starts_with("tomb/")) {
    TRY_ASSIGN(const StreamRecord record, decode_record(base::as_view(value)));
    return text_of(record);
  }
  if (key == "settings") {
    TRY_ASSIGN(const Settings settings, decode_settings(base::as_view(value)));
    return text_of(settings);
  }
  const bool is_number = !value.empty() && std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; });
  if (key == "ids/writer" && !is_number) return base::fail(base::ErrorCode::kCorrupt, "is no number");
  return std::string(value);
}

}  // namespace polylog::broker
