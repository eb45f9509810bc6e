#include "broker/groups/assignor.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

namespace polylog::broker {
namespace {

using base::PartitionKey;
using base::Uuid;
using Assignments = std::vector<std::vector<PartitionKey>>;

constexpr std::array<std::string_view, 2> kNames = {"uniform", "range"};

// ---- range

Assignments assign_ranges(const std::vector<AssignorMember>& members, const StreamSizes& sizes) {
  Assignments given(members.size());
  std::vector<size_t> order(members.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto rank = [&](size_t i) {
    return std::tuple(members[i].instance_id.empty(), members[i].instance_id, members[i].id);
  };
  std::ranges::sort(order, {}, rank);
  std::map<Uuid, std::vector<size_t>> subscribers;
  for (const size_t i : order) {
    for (const Uuid& stream : *members[i].streams) subscribers[stream].push_back(i);
  }
  for (const auto& [stream, who] : subscribers) {
    const auto size = sizes.find(stream);
    if (size == sizes.end()) continue;
    const auto each = static_cast<uint32_t>(size->second / who.size()),
               larger = static_cast<uint32_t>(size->second % who.size());
    uint32_t next = 0;
    for (size_t i = 0; i < who.size(); ++i) {
      for (uint32_t left = each + (i < larger ? 1 : 0); left > 0; --left) given[who[i]].push_back({stream, next++});
    }
  }
  return given;
}

// ---- uniform

// Members with equal subscriptions form a class; the least loaded of a class is found at once, so the cost is that of
// partitions times classes, not times members.
class Uniform {
 public:
  Uniform(const std::vector<AssignorMember>& members, const StreamSizes& sizes) : members_(members), sizes_(sizes) {}

  Assignments run() {
    classify();
    keep();
    give_orphans();
    while (balance(largest_share())) {  // first those who give anyway, or they would be given to in between
    }
    while (balance(0)) {
    }
    return collect();
  }

 private:
  static constexpr size_t kNobody = SIZE_MAX;
  struct Class {
    std::set<std::pair<size_t, size_t>> by_load;  // (load, member)
  };
  struct ByValue {
    bool operator()(const std::vector<Uuid>* a, const std::vector<Uuid>* b) const { return *a < *b; }
  };

  void classify() {
    loads_.resize(members_.size());
    for (size_t i = 0; i < members_.size(); ++i) {
      class_of_.push_back(class_for(members_[i].streams));
      classes_[class_of_.back()].by_load.emplace(0, i);
    }
    for (const auto& [stream, size] : sizes_) {
      if (subscribers_.contains(stream)) owners_[stream].assign(size, kNobody);
    }
  }

  size_t class_for(const std::vector<Uuid>* streams) {
    if (const auto shared = by_address_.find(streams); shared != by_address_.end()) return shared->second;
    const auto [it, is_new] = by_streams_.emplace(streams, classes_.size());
    if (is_new) {
      classes_.emplace_back();
      for (const Uuid& stream : *streams) subscribers_[stream].push_back(it->second);
    }
    by_address_.emplace(streams, it->second);
    return it->second;
  }

  void keep() {
    for (size_t i = 0; i < members_.size(); ++i) {
      for (const PartitionKey& key : *members_[i].before) {
        const auto owners = owners_.find(key.stream);
        if (owners == owners_.end() || key.index >= owners->second.size()) continue;
        if (owners->second[key.index] != kNobody || !std::ranges::binary_search(*members_[i].streams, key.stream))
          continue;
        owners->second[key.index] = i;
        change_load(i, +1);
      }
    }
  }

  // Streams that few may read go first: the others find their balance around them.
  void give_orphans() {
    std::vector<std::pair<size_t, Uuid>> order;
    for (const auto& [stream, owners] : owners_) order.emplace_back(subscribers_[stream].size(), stream);
    std::ranges::sort(order);
    for (const auto& [count, stream] : order) {
      for (size_t& owner : owners_[stream]) {
        if (owner != kNobody) continue;
        owner = least_loaded(stream);
        change_load(owner, +1);
      }
    }
  }

  size_t largest_share() const {
    size_t partitions = 0;
    for (const size_t load : loads_) partitions += load;
    return members_.empty() ? 0 : (partitions + members_.size() - 1) / members_.size();
  }

  // Takes from members of more than `share`. Every move makes the sum of squared loads smaller, so this ends.
  bool balance(size_t share) {
    bool moved = false;
    for (auto& [stream, owners] : owners_) {
      for (size_t& owner : owners) {
        const size_t least = least_loaded(stream);
        if (loads_[owner] <= share || loads_[owner] < loads_[least] + 2) continue;
        change_load(owner, -1);
        change_load(least, +1);
        owner = least;
        moved = true;
      }
    }
    return moved;
  }

  size_t least_loaded(const Uuid& stream) const {
    std::pair<size_t, size_t> least{SIZE_MAX, kNobody};
    for (const size_t c : subscribers_.at(stream)) least = std::min(least, *classes_[c].by_load.begin());
    return least.second;
  }

  void change_load(size_t member, int by) {
    auto& by_load = classes_[class_of_[member]].by_load;
    by_load.erase({loads_[member], member});
    loads_[member] = by > 0 ? loads_[member] + 1 : loads_[member] - 1;
    by_load.emplace(loads_[member], member);
  }

  Assignments collect() const {
    Assignments given(members_.size());
    for (const auto& [stream, owners] : owners_) {
      for (uint32_t i = 0; i < owners.size(); ++i) given[owners[i]].push_back({stream, i});
    }
    return given;
  }

  const std::vector<AssignorMember>& members_;
  const StreamSizes& sizes_;
  std::vector<Class> classes_;
  std::unordered_map<const std::vector<Uuid>*, size_t> by_address_;
  std::map<const std::vector<Uuid>*, size_t, ByValue> by_streams_;
  std::vector<size_t> class_of_, loads_;             // by member
  std::map<Uuid, std::vector<size_t>> subscribers_;  // classes
  std::map<Uuid, std::vector<size_t>> owners_;       // members, by partition
};

}  // namespace

std::string_view name_of(Assignor assignor) { return kNames.at(static_cast<size_t>(assignor)); }

std::optional<Assignor> assignor_named(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Assignor>(found - kNames.begin());
}

Assignments assign(Assignor assignor, const std::vector<AssignorMember>& members, const StreamSizes& sizes) {
  return assignor == Assignor::kRange ? assign_ranges(members, sizes) : Uniform(members, sizes).run();
}

}  // namespace polylog::broker
