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
    at->second = std::move(cursor);
    bytes_ += bytes_of(at->first, at->second.metadata);
  }
  void erase(const CursorKey& key) {
    const auto at = all_.find(key);
    if (at == all_.end()) return;
    bytes_ -= bytes_of(at->first, at->second.metadata);
    all_.erase(at);
  }
  // How many bytes more it would be.
  size_t growth(const CursorKey& key, const std::string& metadata) const {
    const auto at = all_.find(key);
    const size_t now = at == all_.end() ? 0 : bytes_of(key, at->second.metadata);
    return std::max(bytes_of(key, metadata), now) - now;
  }

 private:
  static size_t bytes_of(const CursorKey& key, const std::string& metadata) {
    constexpr size_t kNodeBytes = 176;
    return kNodeBytes + heap_bytes(key.stream) + heap_bytes(metadata);
  }

  Map all_;
  size_t bytes_ = 0;
};

}  // namespace polylog::broker
