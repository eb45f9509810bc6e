// CellEngine's objects in a checkpoint: subscriptions of queues, groups, and how far streams were compacted.
#include "broker/cell_engine.h"
#include "broker/mutations.h"

namespace polylog::broker {

// Queues by the buckets of their table, groups and compactions by name: a list of all would take too long to make. A table
// of queues that grew is gone through again.
class CellEngine::Walk final : public storage::ObjectWalk {
 public:
  Walk(CellEngine& engine, uint64_t number) : engine_(engine), number_(number) {}

  Step next(base::Writer& payload, storage::CheckpointObject& object) override {
    switch (at_) {
      case At::kQueues: return next_queue(payload, object);
      case At::kGroups: return next_group(payload, object);
      case At::kCompactions: return next_compaction(payload, object);
      case At::kEnd: break;
    }
    return Step::kEnd;
  }

 private:
  enum class At : uint8_t { kQueues, kGroups, kCompactions, kEnd };
  struct Part {  // what is left of a subscription of many ranges
    base::PartitionKey queue;
    base::Lsn stamp;
    Subscription::SavedPart saved;
  };

  struct GroupPart {  // what is left of a group of many cursors
    base::Lsn stamp;
    CursorKey next;
  };

  Step leave_for(At next) {
    at_ = next;
    return Step::kNothing;
  }
  Step next_queue(base::Writer& payload, storage::CheckpointObject& object) {
    if (part_) return more_of_subscription(payload, object);
    if (!bucket_.empty()) {
      const auto found = engine_.queues_.find(bucket_.back());
      bucket_.pop_back();
      return found == engine_.queues_.end() ? Step::kNothing : subscription(*found->second, payload, object);
    }
    const auto& queues = engine_.queues_;
    if (std::exchange(bucket_count_, queues.bucket_count()) != queues.bucket_count()) next_bucket_ = 0;
    if (next_bucket_ == bucket_count_) return leave_for(At::kGroups);
    const size_t bucket = next_bucket_++;
    for (auto at = queues.begin(bucket); at != queues.end(bucket); ++at) bucket_.push_back(at->first);
    return Step::kNothing;
  }
  Step subscription(Queue& queue, base::Writer& payload, storage::CheckpointObject& object) {
    const Subscription& subscription = queue.subscription();
    if (!queue.mark(number_) || subscription.stamp() == base::Lsn{}) return Step::kNothing;  // nothing durable happened
    storage::write_key(payload, queue.key());
    const auto saved = subscription.save(payload, engine_.saved_ranges_max_);
    object.type = kSubscriptionObject;
    object.stamp = subscription.stamp();
    if (!saved.is_last()) part_ = {queue.key(), object.stamp, saved};
    return Step::kObject;
  }
  // With the stamp of the first part: what happened since is replayed.
  Step more_of_subscription(base::Writer& payload, storage::CheckpointObject& object) {
    const auto found = engine_.queues_.find(part_->queue);
    if (found == engine_.queues_.end()) {  // replay will drop what was dropped
      part_.reset();
      return Step::kNothing;
    }
    storage::write_key(payload, part_->queue);
    part_->saved = found->second->subscription().save_more(payload, part_->saved, engine_.saved_ranges_max_);
    object.type = kSubscriptionPartObject;
    object.stamp = part_->stamp;
    if (part_->saved.is_last()) part_.reset();
    return Step::kObject;
  }
  Step next_group(base::Writer& payload, storage::CheckpointObject& object) {
    const GroupTable& groups = engine_.groups_;
    if (group_part_) return more_of_group(payload, object);
    const Group* group = group_ ? groups.next_after(*group_) : groups.first();
    if (group == nullptr) return leave_for(At::kCompactions);
    group_ = group->name();
    const auto saved = groups.save(*group_, kSavedCursorsMax);
    if (!saved) return Step::kNothing;
    payload.bytes(saved->bytes);
    object.type = kGroupObject;
    object.stamp = groups.stamp(*group_);
    if (saved->next) group_part_ = {object.stamp, *saved->next};
    return Step::kObject;
  }
  // With the stamp of the first part: what happened since is replayed.
  Step more_of_group(base::Writer& payload, storage::CheckpointObject& object) {
    const GroupPart part = *std::exchange(group_part_, std::nullopt);
    const auto saved = engine_.groups_.save_more(*group_, part.next, kSavedCursorsMax);
    if (!saved) return Step::kNothing;  // replay will delete what was deleted
    payload.bytes(saved->bytes);
    object.type = kGroupCursorsObject;
    object.stamp = part.stamp;
    if (saved->next) group_part_ = {part.stamp, *saved->next};
    return Step::kObject;
  }
  Step next_compaction(base::Writer& payload, storage::CheckpointObject& object) {
    compacted_ = engine_.compaction_.next_after(compacted_);
    if (!compacted_) return leave_for(At::kEnd);
    const auto stamp = engine_.compaction_.save(*compacted_, payload);
    object.type = kCompactedObject;
    object.stamp = stamp.value_or(base::Lsn{});
    return stamp ? Step::kObject : Step::kNothing;
  }

  CellEngine& engine_;
  const uint64_t number_;
  At at_ = At::kQueues;
  size_t next_bucket_ = 0, bucket_count_ = 0;
  std::vector<base::PartitionKey> bucket_;  // what is left of the last one
  std::optional<Part> part_;
  std::optional<std::string> group_;  // the last one
  std::optional<GroupPart> group_part_;
  std::optional<base::PartitionKey> compacted_;  // likewise
};

std::unique_ptr<storage::ObjectWalk> CellEngine::walk_objects() { return std::make_unique<Walk>(*this, ++walks_); }

base::Result<> CellEngine::restore(const storage::CheckpointObject& object) {
  if (object.version != 1) return base::fail(base::ErrorCode::kCorrupt, "a checkpoint of a newer version of polylog");
  if (object.type == kGroupObject) return groups_.restore(object.payload, object.stamp);
  if (object.type == kGroupCursorsObject) return groups_.restore_cursors(object.payload, object.stamp);
  if (object.type == kCompactedObject) return compaction_.restore(object.payload, object.stamp);
  base::Reader in(object.payload);
  const base::PartitionKey key = storage::read_key(in);
  if (object.type == kSubscriptionPartObject) {
    const auto found = queues_.find(key);
    if (found == queues_.end() || found->second->subscription().stamp() != object.stamp ||
        !found->second->subscription().load_more(in))
      return base::fail(base::ErrorCode::kCorrupt, "a checkpoint's ranges do not follow those of their queue");
    return {};
  }
  if (object.type != kSubscriptionObject || !queue_for(key).subscription().load(in, object.stamp))
    return base::fail(base::ErrorCode::kCorrupt, "a checkpoint's object does not decode");
  return {};
}

}  // namespace polylog::broker
