#include "io/thread_worker.h"

#include <pthread.h>
#include <sched.h>

#include "io/thread_share.h"

namespace polylog::io {
namespace {

constexpr auto kUrgentSlice = std::chrono::microseconds(100);

void take_share(Priority priority) {
  switch (priority) {
    case Priority::kUsual: break;
    case Priority::kUrgent:
      run_before_others();
      run_in_slices_of(kUrgentSlice);
      break;
    case Priority::kYielding: run_yielding(); break;
    case Priority::kBackground: run_in_background(); break;
  }
}

}  // namespace

ThreadWorker::ThreadWorker(Core& core, const char* name, Priority priority, std::vector<int> cpus) : core_(core) {
  thread_ = std::thread([this, priority, name = std::string(name).substr(0, 15), cpus = std::move(cpus)] {
    pthread_setname_np(pthread_self(), name.c_str());
    // A thread starts with its starter's affinity: one CPU, where it would fight with the core it works for.
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int cpu : cpus) CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    take_share(priority);
    run();
  });
}

ThreadWorker::~ThreadWorker() {
  finished_->open = false;
  std::deque<Job> dropped;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(jobs_);
  }
  changed_.notify_one();
  thread_.join();
}

void ThreadWorker::submit(Task job, Task done) {
  bool was_empty;
  {
    std::lock_guard lock(mutex_);
    was_empty = jobs_.empty();
    jobs_.push_back({std::move(job), std::move(done)});
  }
  if (was_empty) changed_.notify_one();
}

void ThreadWorker::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job.job();
    job.job = {};  // its captures are the job's business, not the core's
    deliver(std::move(job.done));
    lock.lock();
  }
}

void ThreadWorker::deliver(Task done) {
  bool first;
  {
    std::lock_guard lock(finished_->mutex);
    first = finished_->dones.empty();
    finished_->dones.push_back(std::move(done));
  }
  if (!first) return;
  core_.post_from_any_thread([finished = finished_] {
    std::vector<Task> dones;
    {
      std::lock_guard lock(finished->mutex);
      dones.swap(finished->dones);
    }
    for (Task& task : dones) {
      if (finished->open) task();
    }
  });
}

std::unique_ptr<Worker> Core::make_worker(const char* name, Priority priority) {
  return std::make_unique<ThreadWorker>(*this, name, priority, group_.cpus_);
}

}  // namespace polylog::io
