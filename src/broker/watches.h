// Watches: who wants to be told, once, when a partition's committed end moves. One watch may name many partitions and is
// gone from all of them when it fires. Owned by its cell's core.
#pragma once

#include <map>
#include <unordered_map>
#include <vector>

#include "base/ids.h"
#include "broker/ids.h"

namespace polylog::broker {

class Watches {
 public:
  void add(ReplyTo watcher, std::vector<base::PartitionKey> partitions);
  void remove(ReplyTo watcher);
  void remove_session(SessionId session);
  std::vector<ReplyTo> fire(const base::PartitionKey& partition);  // removes those it returns
  size_t size() const { return by_watcher_.size(); }

 private:
  using Key = std::pair<SessionId, uint64_t>;  // ordered by session
  static Key key_of(ReplyTo watcher) { return {watcher.session, watcher.token.value}; }
  std::map<Key, std::vector<base::PartitionKey>> by_watcher_;
  std::unordered_map<base::PartitionKey, std::vector<ReplyTo>> by_partition_;
};

}  // namespace polylog::broker
