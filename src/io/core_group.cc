#include <pthread.h>
#include <sched.h>

#include "base/check.h"
#include "io/core.h"

namespace polylog::io {

namespace {

std::vector<int> inherited_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace

CoreGroup::CoreGroup(Options options) : options_(options), cpus_(inherited_cpus()) {
  const size_t count = options.cores != 0 ? options.cores : cpus_.size();
  for (size_t i = 0; i < count * count; ++i) rings_.push_back(std::make_unique<MailRing>());
  for (size_t i = 0; i < count; ++i) {
    const base::CoreId id(static_cast<uint16_t>(i));
    cores_.push_back(std::unique_ptr<Core>(new Core(*this, id, options_.input_bytes_max / count)));
    cores_.back()->outgoing_.resize(count);
  }
}

CoreGroup::~CoreGroup() {
  stop();
  join();
  // Mail not yet read may own what lives on a core: it goes first.
  rings_.clear();
  for (auto& core : cores_) core->outgoing_.clear();
}

void CoreGroup::start_others() {
  CHECK(threads_.empty(), "cores already started");
  for (size_t i = 1; i < cores_.size(); ++i) {
    threads_.emplace_back([this, i] {
      const std::string name = "core-" + std::to_string(i);
      pthread_setname_np(pthread_self(), name.c_str());
      pin_this_thread(i);
      cores_[i]->run();
    });
  }
}

void CoreGroup::run() {
  start_others();
  // Pinned last: threads inherit their starter's affinity, and workers must not all share core 0's CPU.
  pin_this_thread(0);
  cores_[0]->run();
  stop();
  join();
}

void CoreGroup::stop() {
  for (auto& core : cores_) core->stop();
}

void CoreGroup::join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void CoreGroup::pin_this_thread(size_t index) {
  if (!options_.pin) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpus_[index % cpus_.size()], &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);  // best effort: a container may forbid it
}

}  // namespace polylog::io
