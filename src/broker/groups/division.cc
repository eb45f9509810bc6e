#include "broker/groups/division.h"

#include <string_view>

#include "broker/groups/assignor.h"

namespace polylog::broker {
namespace {

// About a millisecond, at some 100 ns for a partition and each kind of wish that it has to be weighed against.
constexpr size_t kPartitionsSmall = 2'000;
constexpr size_t kStepsSmall = 10'000;

}  // namespace

bool Division::is_small() const {
  size_t partitions = members.size();
  for (const auto& [stream, count] : *sizes) partitions += count;
  return partitions <= kPartitionsSmall && partitions * wishes.size() <= kStepsSmall;
}

void Division::run() {
  std::vector<AssignorMember> input;
  input.reserve(members.size());
  for (const Member& member : members) {
    const std::string_view instance = member.instance_id ? std::string_view(*member.instance_id) : std::string_view();
    input.push_back({member.id, instance, &wishes[member.wish], &member.before});
  }
  given = assign(assignor, input, *sizes);
}

}  // namespace polylog::broker
