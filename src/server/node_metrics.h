// NodeMetrics: what a node measures of itself beside what its parts count: traffic of the listeners, turns of the cores,
// shares of memory, queues and groups (broker/survey.h), the process and its disk.
//
// What costs something to find out is brought up to date only while somebody asks: at a scrape, at most once a second, and
// every kRefreshEvery until nobody has scraped for kScrapeAgoMax. A page shows what the last round found.
// Made before any loop runs; scraped() is called on core 0. stop() comes before the cores go, the destructor after them.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "broker/survey.h"
#include "io/core.h"
#include "io/disk.h"
#include "server/config.h"

namespace polylog::server {

struct ProcessSample;

class NodeMetrics {
 public:
  static constexpr base::Duration kRefreshEvery = std::chrono::seconds(5);
  static constexpr base::Duration kScrapeAgoMax = std::chrono::seconds(60);

  struct Options {
    io::CoreGroup& cores;
    const std::vector<broker::Broker*>& brokers;
    const std::vector<base::Registry*>& registries;
    io::Disk& disk;
    std::string data_dir;
    MemoryShares shares;
  };
  explicit NodeMetrics(Options options);
  ~NodeMetrics();
  void stop() { worker_.reset(); }

  io::Traffic* traffic(Protocol protocol, size_t core) { return &cores_[core]->traffic[static_cast<size_t>(protocol)]; }
  void scraped();
  // As of the last round; like scraped(), it sees to it that there is a next one. kNotFound: no disk ever answered.
  base::Result<io::Disk::Space> disk_space();

 private:
  struct OfCore {
    OfCore(broker::Broker& broker, base::Registry& registry);
    std::vector<io::Traffic> traffic;  // by protocol
    broker::Survey survey;
    base::Gauge &ingress, &tail, &egress, &state;
  };
  struct OfProcess {
    explicit OfProcess(base::Registry& registry);
    base::Gauge &resident, &open_files, &max_files, &disk_size, &disk_free;
    base::Counter& cpu;
  };

  void refresh();
  void refresh_core(size_t core);
  void sample_process();
  void show(const ProcessSample& sample);
  void arm();

  const Options options_;
  std::vector<std::unique_ptr<OfCore>> cores_;
  OfProcess process_;
  std::unique_ptr<io::Worker> worker_;  // reads /proc and asks the file system: both may take their time
  bool sampling_ = false;
  bool armed_ = false;
  base::MonoTime refreshed_at_, scraped_at_;
};

}  // namespace polylog::server
