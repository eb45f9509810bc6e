#include "server/node_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "broker/cell_engine.h"
#include "server/version.h"

namespace polylog::server {

// Of this process and the file system it stores on. Taken off the cores.
struct ProcessSample {
  int64_t resident_bytes = 0;
  int64_t open_files = 0;
  int64_t max_files = 0;
  uint64_t cpu_ns = 0;
  io::Disk::Space disk = {};
};

namespace {

constexpr base::Duration kRefreshedAgoMin = std::chrono::seconds(1);

uint64_t ns_of(const timeval& time) {
  return (static_cast<uint64_t>(time.tv_sec) * 1'000'000 + static_cast<uint64_t>(time.tv_usec)) * 1000;
}

ProcessSample take_sample(io::Disk& disk, const std::string& data_dir) {
  ProcessSample sample;
  std::ifstream statm("/proc/self/statm");
  int64_t all_pages = 0, resident_pages = 0;
  if (statm >> all_pages >> resident_pages) sample.resident_bytes = resident_pages * sysconf(_SC_PAGESIZE);
  std::error_code ignored;
  for (std::filesystem::directory_iterator at("/proc/self/fd", ignored), end; at != end; at.increment(ignored))
    ++sample.open_files;
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) sample.max_files = static_cast<int64_t>(files.rlim_cur);
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) sample.cpu_ns = ns_of(usage.ru_utime) + ns_of(usage.ru_stime);
  if (const auto space = disk.space(data_dir)) sample.disk = *space;
  return sample;
}

base::Gauge& memory_gauge(base::Registry& registry, std::string_view share) {
  return registry.gauge("polylog_memory_used_bytes", "Bytes of each share of memory_bytes_max in use",
                        base::label("share", share));
}

io::Traffic make_traffic(base::Registry& registry, broker::Broker& broker, std::string_view protocol) {
  const std::string label = base::label("protocol", protocol);
  return {.received_bytes = registry.counter("polylog_received_bytes_total", "Bytes received from clients", label),
          .sent_bytes = registry.counter("polylog_sent_bytes_total", "Bytes sent to clients", label),
          .accepted = registry.counter("polylog_connections_accepted_total", "Connections accepted", label),
          .open = registry.gauge("polylog_connections", "Connections open", label),
          .parse = broker.stages().parse};
}

}  // namespace

NodeMetrics::OfCore::OfCore(broker::Broker& broker, base::Registry& registry)
    : survey(broker),
      ingress(memory_gauge(registry, "ingress")),
      tail(memory_gauge(registry, "tail")),
      egress(memory_gauge(registry, "egress")),
      state(memory_gauge(registry, "state")) {
  for (const std::string_view name : kProtocolNames) traffic.push_back(make_traffic(registry, broker, name));
}

NodeMetrics::OfProcess::OfProcess(base::Registry& registry)
    : resident(registry.gauge("process_resident_memory_bytes", "Resident set size")),
      open_files(registry.gauge("process_open_fds", "Open file descriptors")),
      max_files(registry.gauge("process_max_fds", "Largest number of open file descriptors allowed")),
      disk_size(registry.gauge("polylog_disk_size_bytes", "Size of the file system that holds the data directory")),
      disk_free(registry.gauge("polylog_disk_free_bytes", "Bytes of it that polylog may still take")),
      cpu(registry.seconds_counter("process_cpu_seconds_total", "CPU time, user and system")) {}

NodeMetrics::NodeMetrics(Options options)
    : options_(std::move(options)),
      process_(*options_.registries[0]),
      worker_(options_.cores.core(0).make_worker("metrics", io::Priority::kBackground)) {
  base::Registry& first = *options_.registries[0];
  for (size_t i = 0; i < options_.cores.size(); ++i) {
    base::Registry& registry = *options_.registries[i];
    cores_.push_back(std::make_unique<OfCore>(*options_.brokers[i], registry));
    options_.cores.core(i).measure(
        {.busy = registry.seconds_counter("polylog_core_busy_seconds_total", "Time a core was not waiting for events",
                                          base::label("core", std::to_string(i))),
         .turns = registry.histogram("polylog_turn_duration_seconds", "Time of one turn of a core's event loop")});
  }
  const std::pair<std::string_view, uint64_t> shares[] = {{"ingress", options_.shares.ingress_bytes},
                                                          {"tail", options_.shares.tail_bytes},
                                                          {"egress", options_.shares.egress_bytes},
                                                          {"state", options_.shares.state_bytes}};
  for (const auto& [name, bytes] : shares) {
    first.gauge("polylog_memory_limit_bytes", "Bytes of each share of memory_bytes_max", base::label("share", name))
        .set(static_cast<int64_t>(bytes));
  }
  first.gauge("polylog_build_info", "1; the labels say what runs", base::label("version", kVersion)).set(1);
  first.gauge("process_start_time_seconds", "When the process started, since 1970")
      .set(std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
               .count());
  show(take_sample(options_.disk, options_.data_dir));  // no core runs yet: it may take its time
}

NodeMetrics::~NodeMetrics() = default;

void NodeMetrics::scraped() {
  const base::MonoTime now = options_.cores.core(0).now();
  scraped_at_ = now;
  if (refreshed_at_.ns == 0 || now - refreshed_at_ >= kRefreshedAgoMin) refresh();
  arm();
}

void NodeMetrics::arm() {
  if (armed_) return;
  armed_ = true;
  io::Core& core = options_.cores.core(0);
  core.call_at(core.now() + kRefreshEvery, [this, &core] {
    armed_ = false;
    if (core.now() - scraped_at_ > kScrapeAgoMax) return;
    refresh();
    arm();
  });
}

void NodeMetrics::refresh() {
  io::Core& home = options_.cores.core(0);
  refreshed_at_ = home.now();
  for (size_t i = 0; i < options_.cores.size(); ++i)
    home.send(options_.cores.core(i).core(), [this, i] { refresh_core(i); });
  sample_process();
}

void NodeMetrics::refresh_core(size_t core) {
  OfCore& of_core = *cores_[core];
  broker::Broker& broker = *options_.brokers[core];
  size_t tail = 0, state = 0;
  broker.for_each_cell([&](broker::CellEngine& engine) {
    if (engine.failed()) return;
    tail += engine.cell().tail_bytes();
    state += engine.cell().memory_only_bytes();
  });
  const size_t ingress = options_.cores.core(core).input().used_bytes() + broker.ingress().used_bytes();
  of_core.ingress.set(static_cast<int64_t>(ingress));
  of_core.tail.set(static_cast<int64_t>(tail));
  of_core.egress.set(static_cast<int64_t>(broker.egress().used_bytes()));
  of_core.state.set(static_cast<int64_t>(state));
  of_core.survey.run();
}

void NodeMetrics::sample_process() {
  if (sampling_) return;  // a disk that does not answer
  sampling_ = true;
  auto sample = std::make_shared<ProcessSample>();
  worker_->submit([this, sample] { *sample = take_sample(options_.disk, options_.data_dir); },
                  [this, sample] {
                    sampling_ = false;
                    show(*sample);
                  });
}

void NodeMetrics::show(const ProcessSample& sample) {
  process_.resident.set(sample.resident_bytes);
  process_.open_files.set(sample.open_files);
  process_.max_files.set(sample.max_files);
  process_.disk_size.set(static_cast<int64_t>(sample.disk.total_bytes));
  process_.disk_free.set(static_cast<int64_t>(sample.disk.free_bytes));
  process_.cpu.add(sample.cpu_ns - process_.cpu.value());
}

base::Result<io::Disk::Space> NodeMetrics::disk_space() {
  scraped();
  const io::Disk::Space space{.total_bytes = static_cast<uint64_t>(process_.disk_size.value()),
                              .free_bytes = static_cast<uint64_t>(process_.disk_free.value())};
  if (space.total_bytes == 0) return base::fail(base::ErrorCode::kNotFound, "the disk has not answered yet");
  return space;
}

}  // namespace polylog::server
