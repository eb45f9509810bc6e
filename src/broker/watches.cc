#include "broker/watches.h"

#include <utility>

namespace polylog::broker {

void Watches::add(ReplyTo watcher, std::vector<base::PartitionKey> partitions) {
  remove(watcher);
  for (const base::PartitionKey& partition : partitions) by_partition_[partition].push_back(watcher);
  by_watcher_[key_of(watcher)] = std::move(partitions);
}

void Watches::remove(ReplyTo watcher) {
  const auto found = by_watcher_.find(key_of(watcher));
  if (found == by_watcher_.end()) return;
  for (const base::PartitionKey& partition : found->second) {
    const auto list = by_partition_.find(partition);
    if (list == by_partition_.end()) continue;
    std::erase_if(list->second, [&](const ReplyTo& other) { return key_of(other) == found->first; });
    if (list->second.empty()) by_partition_.erase(list);
  }
  by_watcher_.erase(found);
}

void Watches::remove_session(SessionId session) {
  while (true) {
    const auto first = by_watcher_.lower_bound({session, 0});
    if (first == by_watcher_.end() || first->first.first != session) return;
    remove({session, Token{first->first.second}});
  }
}

std::vector<ReplyTo> Watches::fire(const base::PartitionKey& partition) {
  const auto list = by_partition_.find(partition);
  if (list == by_partition_.end()) return {};
  std::vector<ReplyTo> watchers = std::exchange(list->second, {});
  by_partition_.erase(list);
  for (const ReplyTo& watcher : watchers) remove(watcher);
  return watchers;
}

}  // namespace polylog::broker
