// polylog_golden [--whole] [--verbose] [SCENARIO]...: replays the transcripts of tests/golden, e.g. "kafka/kcat"
// (default: all). Each whole, truncated at each byte and split at each byte; README.md says what that means.
// --whole: only that. --verbose: with polylog's own log.
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <set>
#include <span>
#include <string>
#include <tuple>

#include <fmt/core.h>

#include "tests/golden/replay.h"
#include "tests/golden/rules.h"

namespace polylog::golden {
namespace {

constexpr size_t kEveryByteOf = 4096;  // of the bytes that a scenario's clients send; behind them every kStep-th
constexpr size_t kStep = 7;
constexpr int kMallocKeepsBytes = 256 << 20;
constexpr const char* kDirectory = "tests/golden";  // the program is run in the project's directory
constexpr size_t kProblemsShown = 40;

struct Totals {
  size_t passed = 0, failed = 0;
};

void report(Totals& totals, const std::string& what, const std::vector<std::string>& problems, size_t cases) {
  (problems.empty() ? totals.passed : totals.failed) += 1;
  fmt::print("{} {} ({})\n", problems.empty() ? "ok  " : "FAIL", what, cases);
  for (size_t i = 0; i < std::min(problems.size(), kProblemsShown); ++i) fmt::print("     {}\n", problems[i]);
  std::fflush(stdout);
}

// Calls `visit` with each leaf of `tree`.
void each_leaf(Tree& tree, const auto& visit) {
  if (tree.children.empty()) visit(tree);
  for (Tree& child : tree.children) each_leaf(child, visit);
}

// That a comparison finds a changed field at all: changes each one of the recorded answers in turn. Those that no
// difference is found in are what rules.cc excuses.
void check_that_changes_are_found(const Script& script, Totals& totals) {
  size_t found = 0, excused = 0;
  std::set<std::string> rules_used;
  for (const Script::Step& step : script.steps) {
    for (const Answer& answer : step.answers) {
      Tree changed = answer.tree;
      each_leaf(changed, [&](Tree& leaf) {
        Names names;
        leaf.value += "~";
        ++(differences(answer.tree, changed, names, rules_used).empty() ? excused : found);
        leaf.value.pop_back();
      });
    }
  }
  std::vector<std::string> problems;
  if (found == 0) problems.push_back("no change of any field is found");
  report(totals, fmt::format("{} fields compared, {} excused", script.transcript.name, excused), problems, found);
}

void check_that_rules_are_needed(const std::set<std::string>& used, Totals& totals) {
  std::vector<std::string> problems;
  const std::vector<std::string> names = rule_names();
  for (const std::string& name : names) {
    if (!used.contains(name)) problems.push_back("no answer needs the rule: " + name);
  }
  report(totals, "rules needed", problems, names.size());
}

// What sessions log of hostile input belongs to no terminal when it is so much; it is kept for a run that aborts.
int log_file = -1;

void show_log(int signal) {
  char tail[4'096];
  const off_t size = ::lseek(log_file, 0, SEEK_END);
  const off_t from = std::max<off_t>(0, size - static_cast<off_t>(sizeof tail));
  if (const ssize_t got = ::pread(log_file, tail, sizeof tail, from); got > 0)
    std::ignore = ::write(STDOUT_FILENO, tail, static_cast<size_t>(got));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void keep_log_aside() {
  log_file = ::memfd_create("polylog_golden_log", MFD_CLOEXEC);
  if (log_file < 0) return;
  ::dup2(log_file, STDERR_FILENO);
  for (const int signal : {SIGABRT, SIGSEGV}) std::signal(signal, show_log);
}

void forget_log() {
  if (log_file >= 0) std::ignore = ::ftruncate(log_file, 0);
}

// All cuts of one kind, by place in the bytes that clients send.
std::vector<Cut> cuts_of(const Script& script, Cut::Kind kind) {
  std::vector<Cut> cuts;
  size_t place = 0;
  for (size_t event = 0; event < script.steps.size(); ++event) {
    if (script.steps[event].event->kind != Event::Kind::kToBroker) continue;
    const size_t size = script.steps[event].event->bytes.size();
    for (size_t byte = 0; byte < size; ++byte, ++place) {
      if (place >= kEveryByteOf && place % kStep != 0) continue;
      if (kind == Cut::Kind::kSplit && byte == 0) continue;  // is no split
      cuts.push_back({kind, event, byte});
    }
  }
  return cuts;
}

void run_cuts(const Script& script, Cut::Kind kind, const char* what, Totals& totals) {
  std::vector<std::string> problems;
  const std::vector<Cut> cuts = cuts_of(script, kind);
  for (const Cut& cut : cuts) {
    forget_log();
    for (const std::string& problem : replay(script, cut).problems) {
      const Event& event = *script.steps[cut.event].event;
      problems.push_back(fmt::format("at byte {} of event {}: {}", cut.byte, event.number, problem));
    }
    if (problems.size() > kProblemsShown) break;
  }
  report(totals, fmt::format("{} {}", script.transcript.name, what), problems, cuts.size());
}

struct Arguments {
  bool whole_only = false, verbose = false;
  std::vector<std::string> scenarios;
  bool wants(const std::string& name) const { return scenarios.empty() || std::ranges::count(scenarios, name) > 0; }
};

int run(const Arguments& arguments) {
  if (!arguments.verbose) keep_log_aside();
  // Each replay frees what the next one takes: it need not go back to the system.
  ::mallopt(M_MMAP_THRESHOLD, kMallocKeepsBytes);
  ::mallopt(M_TRIM_THRESHOLD, kMallocKeepsBytes);
  Totals totals;
  std::set<std::string> rules_used;
  for (const Transcript& transcript : load_transcripts(kDirectory)) {
    if (!arguments.wants(transcript.name)) continue;
    const auto dialect = transcript.protocol == "kafka" ? make_kafka_dialect() : make_amqp_dialect();
    const Script script(transcript, *dialect);
    check_that_changes_are_found(script, totals);
    const Outcome whole = replay(script, {});
    rules_used.insert(whole.rules_used.begin(), whole.rules_used.end());
    report(totals, transcript.name + " whole", whole.problems, whole.answers);
    if (!whole.problems.empty() || arguments.whole_only) continue;  // each of its cuts would say the same
    run_cuts(script, Cut::Kind::kTruncate, "truncated", totals);
    run_cuts(script, Cut::Kind::kSplit, "split", totals);
  }
  if (arguments.scenarios.empty()) check_that_rules_are_needed(rules_used, totals);
  fmt::print("{} passed, {} failed\n", totals.passed, totals.failed);
  return totals.failed == 0 && totals.passed > 0 ? 0 : 1;
}

}  // namespace
}  // namespace polylog::golden

int main(int argc, char** argv) {
  polylog::golden::Arguments arguments;
  for (const std::string_view word : std::span(argv, static_cast<size_t>(argc)).subspan(1)) {
    if (word == "--whole")
      arguments.whole_only = true;
    else if (word == "--verbose")
      arguments.verbose = true;
    else
      arguments.scenarios.emplace_back(word);
  }
  try {
    return polylog::golden::run(arguments);
  } catch (const std::exception& error) {
    fmt::print("polylog_golden: {}\n", error.what());
    return 2;
  }
}
