#include "broker/groups/division.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "broker/groups/assignor.h"

namespace polylog::broker {
namespace {

// About a millisecond, at some 100 ns for a partition and each kind of wish that it has to be weighed against.
constexpr size_t kPartitionsSmall = 2'000;
constexpr size_t kStepsSmall = 10'000;
constexpr size_t kNamesSmall = 10'000;  // of all members: about 100 ns to compare one and look it up

}  // namespace

bool Division::is_small() {
  size_t partitions = members.size(), names = 0;
  for (const auto& [stream, count] : *sizes) partitions += count;
  for (const Member& member : members) names += member.names.size();
  if (partitions > kPartitionsSmall || names > kNamesSmall) return false;
  tell_wishes_apart();
  return partitions * who_wishes_.size() <= kStepsSmall;
}

void Division::tell_wishes_apart() {
  if (!who_wishes_.empty()) return;
  const auto is_before = [this](size_t a, size_t b) {
    const Member &first = members[a], &second = members[b];
    if (first.pattern != second.pattern) return first.pattern < second.pattern;
    return first.names.list() < second.names.list();
  };
  std::map<size_t, size_t, decltype(is_before)> wishes(is_before);  // one of its members -> the wish
  for (size_t i = 0; i < members.size(); ++i) {
    const auto [wish, is_new] = wishes.emplace(i, wishes.size());
    wish_of_.push_back(wish->second);
    if (is_new) who_wishes_.push_back(i);
  }
}

std::vector<base::Uuid> Division::streams_of(const Member& member) const {
  std::vector<base::Uuid> found;
  for (const std::string& name : member.names) {
    const auto id = std::ranges::lower_bound(*ids, name, {}, &StreamIds::value_type::first);
    if (id != ids->end() && id->first == name) found.push_back(id->second);
  }
  if (member.pattern) found.insert(found.end(), patterns[*member.pattern].begin(), patterns[*member.pattern].end());
  std::ranges::sort(found);
  const auto repeated = std::ranges::unique(found);
  found.erase(repeated.begin(), repeated.end());
  return found;
}

void Division::run() {
  tell_wishes_apart();
  std::vector<std::vector<base::Uuid>> wishes;
  for (const size_t member : who_wishes_) wishes.push_back(streams_of(members[member]));
  std::vector<AssignorMember> input;
  input.reserve(members.size());
  for (size_t i = 0; i < members.size(); ++i) {
    const Member& member = members[i];
    const std::string_view instance = member.instance_id ? std::string_view(*member.instance_id) : std::string_view();
    input.push_back({member.id, instance, &wishes[wish_of_[i]], &member.before});
  }
  given = assign(assignor, input, *sizes);
}

}  // namespace polylog::broker
