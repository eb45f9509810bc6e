// Cursors: what one group has committed, by partition, and how much memory that takes. Owned by its group.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/time.h"
#include "broker/groups/requests.h"

namespace polylog::broker {

struct Cursor {
  int64_t offset = -1;
  int32_t leader_epoch = -1;
  std::string metadata;
  base::WallTime committed;
  std::optional<base::WallTime> expires;  // asked for by the committer; else the group's retention rules apply
};

class Cursors {
 public:
  using Map = std::map<CursorKey, Cursor>;
  const Map& all() const { return all_; }
  bool empty() const { return all_.empty(); }
  size_t size() const { return all_.size(); }
  size_t bytes() const { return bytes_; }  // about

  void put(CursorKey key, Cursor cursor) {
    const auto [at, is_new] = all_.try_emplace(std::move(key));
    if (!is_new) bytes_ -= bytes_of(at->first, at->second.metadata);
    std::swap(at->second, cursor);  // an assigned string would keep the memory of the longer one before
    bytes_ += bytes_of(at->first, at->second.metadata);
  }
  void erase(const CursorKey& key) {
    const auto at = all_.find(key);
    if (at == all_.end()) return;
    bytes_ -= bytes_of(at->first, at->second.metadata);
    all_.erase(at);
  }
  void merge(Cursors&& more) {  // of other partitions
    all_.merge(more.all_);
    bytes_ += std::exchange(more.bytes_, 0);
    for (const auto& [key, cursor] : more.all_) bytes_ -= bytes_of(key, cursor.metadata);
  }
  // How many bytes more it would be. What replaces something may be a little longer: whoever works goes on.
  size_t growth(const CursorKey& key, const std::string& metadata) const {
    const auto at = all_.find(key);
    if (at != all_.end() && metadata.size() <= std::max(at->second.metadata.size(), kShortMetadataBytes)) return 0;
    return bytes_of(key, metadata) - (at == all_.end() ? 0 : bytes_of(key, at->second.metadata));
  }

 private:
  static constexpr size_t kShortMetadataBytes = 256;
  static size_t bytes_of(const CursorKey& key, const std::string& metadata) {
    constexpr size_t kNodeBytes = 176;
    return kNodeBytes + heap_bytes(key.stream) + heap_bytes(metadata);
  }

  Map all_;
  size_t bytes_ = 0;
};

}  // namespace polylog::broker
