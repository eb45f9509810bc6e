// Catalog: one core's copy of all streams and queues and of the broker's settings, changed only by deltas that the CatalogService broadcasts in order.
// A declare is answered when every core has applied its delta, so a name just created is found everywhere. The cost of a
// delta does not grow with the number of objects. Owned by its core; look up, do not keep pointers across turns.
#pragma once

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/catalog/records.h"

namespace polylog::broker {

struct CatalogDelta {
  uint64_t version = 0;
  enum class What : uint8_t { kPut, kRemove, kSettings } what = What::kPut;
  std::shared_ptr<const StreamRecord> record;  // unless kSettings
  std::shared_ptr<const Settings> settings;    // kSettings: all of them
};

class Catalog {
 public:
  using Record = std::shared_ptr<const StreamRecord>;
  Record find(std::string_view name) const;
  Record find(const base::Uuid& id) const;
  std::vector<Record> all() const;  // sorted by name
  const Settings& settings() const { return *settings_; }
  size_t size() const { return by_id_.size(); }
  uint64_t version() const { return version_; }
  void apply(const CatalogDelta& delta);

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, Record, Hash, std::equal_to<>> by_name_;
  std::unordered_map<base::Uuid, Record> by_id_;
  std::shared_ptr<const Settings> settings_ = std::make_shared<Settings>();
  uint64_t version_ = 0;
};

}  // namespace polylog::broker
