// polylog bench: reads its options, runs the load tool (src/load), shows what it found.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <random>

#include "io/net.h"
#include "load/amqp/target.h"
#include "load/kafka/target.h"
#include "load/report/html_report.h"
#include "load/run.h"
#include "server/cli/terminal/progress.h"
#include "server/cli/verbs/bench_output.h"
#include "server/cli/verbs/context.h"

namespace polylog::server {
namespace {

using base::ErrorCode;

constexpr int64_t kDestinationsMax = 1000;
constexpr int64_t kConnectionsMax = 1000;
constexpr int64_t kSecondsMax = 7 * 86'400;
constexpr size_t kNameBytesMax = 200;

struct Profile {
  std::string_view name;
  double rate_per_second;  // 0: as fast as it goes
};
constexpr Profile kProfiles[] = {{"1k", 1'000}, {"10k", 10'000}, {"100k", 100'000}, {"max", 0}};

struct BenchOptions {
  bool kafka = false;
  std::string profile;
  io::Endpoint target;
  std::string name;
  load::Plan plan;
  load::amqp::Login login;
  load::amqp::QueueKind queue;
  bool keep = false;
  std::optional<int64_t> pid;
  std::optional<std::string> report;
};

template <typename Int>
base::Result<> read_number(const Arguments& arguments, std::string_view name, int64_t min, int64_t max, Int& value) {
  TRY_ASSIGN(const auto number, arguments.number(name, min, max));
  if (number) value = static_cast<Int>(*number);
  return {};
}

// One of the values that the command's row lists.
base::Result<> read_choice(const Arguments& arguments, std::string_view name,
                           std::initializer_list<std::string_view> all, std::string& value) {
  if (const auto given = arguments.text(name)) value = *given;
  if (std::ranges::find(all, value) != all.end()) return {};
  return base::fail(ErrorCode::kInvalid, fmt::format("{}: '{}' is not {}", name, value, fmt::join(all, " or ")));
}

base::Result<> read_profile(const Arguments& arguments, BenchOptions& options) {
  options.profile = arguments.text("--profile").value_or("1k");
  const auto found = std::ranges::find(kProfiles, options.profile, &Profile::name);
  if (found == std::end(kProfiles)) {
    return base::fail(ErrorCode::kInvalid, fmt::format("--profile: '{}' is not 1k, 10k, 100k or max", options.profile));
  }
  options.plan.rate_per_second = found->rate_per_second;
  return {};
}

base::Result<> read_plan(const Arguments& arguments, BenchOptions& options) {
  load::Plan& plan = options.plan;
  TRY(read_profile(arguments, options));
  TRY(read_number(arguments, "--seconds", 1, kSecondsMax, plan.seconds));
  TRY(read_number(arguments, "--warm-up", 0, kSecondsMax, plan.warm_up_seconds));
  TRY(read_number(arguments, "--size", load::kMessageBytesMin, load::kMessageBytesMax, plan.message_bytes));
  TRY(read_number(arguments, "--connections", 1, kConnectionsMax, plan.connections));
  return read_number(arguments, options.kafka ? "--partitions" : "--queues", 1, kDestinationsMax, plan.destinations);
}

// An option of the other protocol would have no effect.
base::Result<> refuse_others(const Arguments& arguments, bool kafka) {
  constexpr std::string_view kOnlyAmqp[] = {"--queues", "--queue-type", "--durable", "--user", "--password"};
  constexpr std::string_view kOnlyKafka[] = {"--partitions"};
  const std::span<const std::string_view> others = kafka ? std::span<const std::string_view>(kOnlyAmqp) : kOnlyKafka;
  for (const std::string_view name : others) {
    if (!arguments.has(name)) continue;
    return base::fail(ErrorCode::kInvalid, fmt::format("{} is for {}", name, kafka ? "amqp" : "kafka"));
  }
  return {};
}

base::Result<> read_amqp(const Arguments& arguments, BenchOptions& options) {
  std::string durable = "yes";
  TRY(read_choice(arguments, "--queue-type", {"classic", "quorum"}, options.queue.type));
  TRY(read_choice(arguments, "--durable", {"yes", "no"}, durable));
  options.queue.durable = durable == "yes";
  if (!options.queue.durable && options.queue.type == "quorum") {
    return base::fail(ErrorCode::kInvalid, "--durable no: a quorum queue is always durable");
  }
  options.login.user = arguments.text("--user").value_or(options.login.user);
  options.login.password = arguments.text("--password").value_or(options.login.password);
  return {};
}

base::Result<BenchOptions> read_options(const Arguments& arguments) {
  BenchOptions options;
  std::string protocol;
  TRY(read_choice(arguments, "--for", {"kafka", "amqp"}, protocol));
  options.kafka = protocol == "kafka";
  TRY(refuse_others(arguments, options.kafka));
  TRY(read_plan(arguments, options));
  TRY(read_amqp(arguments, options));
  const auto target =
      io::parse_endpoint(arguments.text("--target").value_or(options.kafka ? "127.0.0.1:9092" : "127.0.0.1:5672"));
  if (!target) return base::fail(ErrorCode::kInvalid, "--target: " + target.error().text);
  options.target = *target;
  options.name = arguments.text("--name").value_or(fmt::format("polylog-bench-{:08x}", std::random_device()()));
  if (options.name.empty() || options.name.size() > kNameBytesMax) {
    return base::fail(ErrorCode::kInvalid, fmt::format("--name: 1 to {} bytes", kNameBytesMax));
  }
  options.keep = arguments.has("--keep");
  TRY_ASSIGN(options.pid, arguments.number("--pid", 1, INT32_MAX));
  options.report = arguments.text("--report");
  return options;
}

base::Result<load::ServerWatch> watch_server(const BenchOptions& options, const load::Address& address) {
  if (!options.pid) return address.local ? load::ServerWatch(options.target.port) : load::ServerWatch();
  const auto process = load::ProcessUsage::of(static_cast<int>(*options.pid));
  if (!process) return base::fail(ErrorCode::kInvalid, "--pid: " + process.error().text);
  return load::ServerWatch(*process);
}

volatile sig_atomic_t stop_asked = 0;

void stop_on_signals() {
  struct sigaction action{};
  action.sa_handler = [](int) { stop_asked = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // a second one ends the command at once
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

base::Result<load::Results> run_load(const BenchOptions& options, load::Target& target, load::ServerWatch& server) {
  load::Ledger ledger(options.plan, target.windows(), std::random_device()());
  TRY_ASSIGN(auto links, target.links(ledger));
  Progress progress("received");
  const load::Plan& plan = options.plan;
  const double seconds = plan.warm_up_seconds + plan.seconds;
  const auto show = [&](const load::Ledger& so_far, uint64_t now_ns) {
    const auto passed = static_cast<double>(now_ns - so_far.schedule().begin_ns());
    const auto received = static_cast<int64_t>(so_far.received());
    progress.set(received, received * static_cast<int64_t>(plan.message_bytes),
                 passed / static_cast<double>(load::kSecondNs) / seconds);
  };
  load::Run run(ledger, server, {.progress = show, .stopping = [] { return stop_asked != 0; }});
  return run.go(std::move(links));
}

base::Result<> write_report(const std::string& path, std::string_view page, std::ios::openmode mode) {
  std::ofstream file(path, std::ios::binary | mode);
  file << page;
  file.close();
  if (!file) return base::fail(ErrorCode::kIo, fmt::format("--report: {} cannot be written", path));
  return {};
}

base::Result<load::Results> measure(const BenchOptions& options) {
  auto address = load::reach(options.target.host, options.target.port, load::kCallTimeNs);
  if (!address) return std::unexpected(address.error());
  TRY_ASSIGN(load::ServerWatch server, watch_server(options, *address));
  const auto target = options.kafka
                          ? load::kafka::make_target(*address, options.name, options.plan)
                          : load::amqp::make_target(*address, options.login, options.queue, options.name, options.plan);
  const auto with_address = [&](base::Error error) {
    return base::fail(ErrorCode::kIo, fmt::format("{}: {}", address->text, error.text));
  };
  if (const auto created = target->create(); !created) return with_address(created.error());
  stop_on_signals();
  auto results = run_load(options, *target, server);
  const auto removed = options.keep ? base::Result<>() : target->remove();
  if (!results) return with_address(results.error());
  if (!removed) results->leftover = removed.error().text;
  results->protocol = options.kafka ? "kafka" : "amqp";
  results->target = address->text;
  results->name = options.name;
  results->profile = options.profile;
  return results;
}

}  // namespace

base::Result<> run_bench(Context& context) {
  TRY_ASSIGN(const BenchOptions options, read_options(context.arguments));
  // Better now than after the run.
  if (options.report) {
    if (const auto writable = write_report(*options.report, "", std::ios::app); !writable) {
      return base::fail(ErrorCode::kInvalid, writable.error().text);
    }
  }
  TRY_ASSIGN(const load::Results results, measure(options));
  print(context.json ? bench_json(results) + '\n' : bench_text(results));
  if (options.report) TRY(write_report(*options.report, load::html_report(results), std::ios::trunc));
  if (results.lost == 0) return {};
  return base::fail(ErrorCode::kCorrupt, fmt::format("{} acknowledged messages were lost", results.lost));
}

}  // namespace polylog::server
