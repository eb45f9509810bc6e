#include "broker/catalog/catalog.h"

#include <algorithm>

namespace polylog::broker {

Catalog::Record Catalog::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

Catalog::Record Catalog::find(const base::Uuid& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

std::vector<Catalog::Record> Catalog::all() const {
  std::vector<Record> records;
  records.reserve(by_id_.size());
  for (const auto& [id, record] : by_id_) records.push_back(record);
  std::sort(records.begin(), records.end(), [](const Record& a, const Record& b) { return a->name < b->name; });
  return records;
}

void Catalog::apply(const CatalogDelta& delta) {
  version_ = delta.version;
  switch (delta.what) {
    case CatalogDelta::What::kPut:
      by_id_[delta.record->id] = delta.record;
      by_name_[delta.record->name] = delta.record;
      return;
    case CatalogDelta::What::kRemove:
      by_id_.erase(delta.record->id);
      by_name_.erase(delta.record->name);
      return;
    case CatalogDelta::What::kSettings: settings_ = delta.settings; return;
  }
}

}  // namespace polylog::broker
