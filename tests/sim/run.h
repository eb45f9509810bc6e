// One seed: a schedule of work, faults, crashes and checks that follows from it, and what came of it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tests/sim/bugs.h"

namespace polylog::sim {

struct RunOptions {
  uint64_t seed = 1;
  uint64_t steps =
      20'000;  // events of the loops under load, at least; those of checks and of quiet times are not counted
  Bug bug = Bug::kNone;
  bool verbose = false;
};

struct RunResult {
  std::string violation;  // empty: every promise was kept
  uint64_t steps = 0;
  uint64_t digest = 0;                     // of all events, requests and answers: equal digests, equal runs
  std::map<std::string, uint64_t> faults;  // injected, by kind
  std::map<std::string, uint64_t> totals;  // of work done and checked
};

RunResult run_seed(const RunOptions& options);

}  // namespace polylog::sim
