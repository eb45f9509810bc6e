#include "server/data_repair.h"

#include <algorithm>

namespace polylog::server {
namespace {

constexpr int kRoundsMax = 8;  // a repair that shows another one that shows another one: two or three in practice

bool is_repairable(const FoundDamage& found) { return found.finding.repair.has_value(); }

base::Result<> apply_all(const DataRepairOptions& options, const std::vector<FoundDamage>& found) {
  for (const FoundDamage& each : found) {
    if (!is_repairable(each)) continue;
    TRY(storage::apply(options.disk, *each.finding.repair));
    options.repaired(each.finding);
  }
  return {};
}

}  // namespace

base::Result<DataCounts> repair_data(const DataRepairOptions& options) {
  const auto dir = DataDir::open_to_repair(options.disk, options.path);
  std::vector<FoundDamage> found;
  const DataCheckOptions check{
      .disk = options.disk,
      .path = options.path,
      .report = [&](const storage::Finding& finding, const std::string& stream) { found.push_back({finding, stream}); },
      .progress = options.progress};
  for (int round = 1;; ++round) {
    found.clear();
    TRY_ASSIGN(const DataCounts counts, check_opened(check, dir));
    if (round > kRoundsMax || std::ranges::none_of(found, is_repairable)) {
      for (const FoundDamage& each : found) options.remains(each.finding, each.stream);
      return counts;
    }
    TRY(options.confirm(found));
    TRY(apply_all(options, found));
  }
}

}  // namespace polylog::server
