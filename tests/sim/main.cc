// polylog_sim [--seeds N] [--seed S] [--steps N] [--verbose] [--bug NAME]
//
// Runs seeds 1..N (or S alone), and each planted bug until a seed notices it. One case per seed, one per bug, one for
// replaying a seed, one for the faults that must have fired; the last line is `N passed, N failed`.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>

#include "tests/sim/run.h"

namespace polylog::sim {
namespace {

constexpr uint64_t kSeedsPerBug = 12;
constexpr uint64_t kSeedsForAllFaults = 20;

struct Arguments {
  uint64_t seeds = 20;
  uint64_t first_seed = 1;
  uint64_t steps = RunOptions{}.steps;
  bool verbose = false;
  bool one_seed = false;
  const BugRow* bug = nullptr;
};

// What the engine logs belongs to no terminal when a hundred crashes are the plan; it is kept for the run that aborts.
int log_file = -1;
uint64_t seed_running = 0;

void on_abort(int) {
  const auto print = [](std::string_view text) { std::ignore = ::write(STDOUT_FILENO, text.data(), text.size()); };
  print("ABORTED: replay with --seed ");
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, seed_running).ptr;
  print({digits, static_cast<size_t>(end - digits)});
  print("\n");
  char tail[4096];
  const off_t size = ::lseek(log_file, 0, SEEK_END);
  const off_t from = size > static_cast<off_t>(sizeof tail) ? size - static_cast<off_t>(sizeof tail) : 0;
  if (const ssize_t got = ::pread(log_file, tail, sizeof tail, from); got > 0) print({tail, static_cast<size_t>(got)});
  print("0 passed, 1 failed\n");
  ::_exit(1);
}

void keep_log_aside() {
  char path[] = "/tmp/polylog_sim_log_XXXXXX";
  log_file = ::mkostemp(path, O_APPEND);
  if (log_file < 0) return;
  ::unlink(path);
  ::dup2(log_file, STDERR_FILENO);
  std::signal(SIGABRT, on_abort);
  std::signal(SIGSEGV, on_abort);
}

RunResult run(const Arguments& arguments, uint64_t seed, Bug bug) {
  seed_running = seed;
  if (log_file >= 0) std::ignore = ::ftruncate(log_file, 0);
  return run_seed({.seed = seed, .steps = arguments.steps, .bug = bug, .verbose = arguments.verbose});
}

struct Tally {
  uint64_t passed = 0, failed = 0;
  void count(bool ok) { ++(ok ? passed : failed); }
};

void add(std::map<std::string, uint64_t>& sum, const std::map<std::string, uint64_t>& part) {
  for (const auto& [name, count] : part) sum[name] += count;
}

// A bug is caught when one of a few seeds ends in an invariant that the bug breaks.
bool catches(const Arguments& arguments, const BugRow& row) {
  for (uint64_t seed = arguments.first_seed; seed < arguments.first_seed + kSeedsPerBug; ++seed) {
    const RunResult result = run(arguments, seed, row.bug);
    if (result.violation.empty()) continue;
    const std::string invariant = result.violation.substr(0, result.violation.find(':'));
    const bool expected = (" " + std::string(row.caught_by) + " ").find(" " + invariant + " ") != std::string::npos;
    fmt::print("planted bug {:18} {} by seed {}: {}\n", row.name, expected ? "caught" : "MISTAKEN", seed,
               result.violation);
    return expected;
  }
  fmt::print("planted bug {:18} NOT caught by {} seeds\n", row.name, kSeedsPerBug);
  return false;
}

int run_all(const Arguments& arguments) {
  Tally tally;
  std::map<std::string, uint64_t> faults, totals;
  uint64_t steps = 0;
  RunResult first;
  const uint64_t seeds = arguments.one_seed ? 1 : arguments.seeds;
  for (uint64_t seed = arguments.first_seed; seed < arguments.first_seed + seeds; ++seed) {
    RunResult result = run(arguments, seed, Bug::kNone);
    tally.count(result.violation.empty());
    steps += result.steps;
    add(faults, result.faults);
    add(totals, result.totals);
    if (!result.violation.empty())
      fmt::print("seed {} FAILED after {} steps: {}\n  replay: polylog_sim --seed {} --steps {}\n", seed, result.steps,
                 result.violation, seed, arguments.steps);
    else if (arguments.verbose || arguments.one_seed)
      fmt::print("seed {} ok: {} steps, digest {:016x}\n", seed, result.steps, result.digest);
    if (seed == arguments.first_seed) first = std::move(result);
  }
  const RunResult again = run(arguments, arguments.first_seed, Bug::kNone);
  const bool replays = again.digest == first.digest && again.steps == first.steps && again.violation == first.violation;
  fmt::print("seed {} replayed: digest {:016x} {}\n", arguments.first_seed, again.digest,
             replays ? "again" : "DIFFERS");
  tally.count(replays);

  fmt::print("\n{} seeds, {} steps\ninjected:\n", seeds, steps);
  bool all_fired = true;
  for (const auto& [name, count] : faults) {
    fmt::print("  {:10} {}\n", count, name);
    all_fired = all_fired && count > 0;
  }
  fmt::print("done:\n");
  for (const auto& [name, count] : totals) fmt::print("  {:10} {}\n", count, name);
  if (seeds >= kSeedsForAllFaults) {
    if (!all_fired) fmt::print("a kind of fault NEVER fired\n");
    tally.count(all_fired);
  }
  if (!arguments.one_seed)
    for (const BugRow& row : kBugs) tally.count(catches(arguments, row));
  fmt::print("{} passed, {} failed\n", tally.passed, tally.failed);
  return tally.failed == 0 ? 0 : 1;
}

// With --bug alone the run is meant to fail: that is the passed case.
int run_bug(const Arguments& arguments) {
  const bool caught = catches(arguments, *arguments.bug);
  fmt::print("{} passed, {} failed\n", caught ? 1 : 0, caught ? 0 : 1);
  return caught ? 0 : 1;
}

int usage() {
  fmt::print("usage: polylog_sim [--seeds N] [--seed S] [--steps N] [--verbose] [--bug NAME]\nbugs:");
  for (const BugRow& row : kBugs) fmt::print(" {}", row.name);
  fmt::print("\n");
  return 2;
}

bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--verbose") {
      arguments.verbose = true;
      continue;
    }
    if (++i == argc) return false;
    if (name == "--bug") {
      for (const BugRow& row : kBugs)
        if (row.name == argv[i]) arguments.bug = &row;
      if (arguments.bug == nullptr) return false;
      continue;
    }
    char* end = nullptr;
    const uint64_t number = std::strtoull(argv[i], &end, 10);
    if (*end != 0) return false;
    if (name == "--seeds")
      arguments.seeds = number;
    else if (name == "--steps")
      arguments.steps = number;
    else if (name == "--seed")
      arguments.first_seed = number, arguments.one_seed = true;
    else
      return false;
  }
  return true;
}

}  // namespace
}  // namespace polylog::sim

int main(int argc, char** argv) {
  using namespace polylog::sim;
  Arguments arguments;
  if (!parse(argc, argv, arguments)) return usage();
  ::setvbuf(stdout, nullptr, _IOLBF, 0);
  if (!arguments.verbose) keep_log_aside();
  return arguments.bug != nullptr ? run_bug(arguments) : run_all(arguments);
}
