// ThreadWorker: a Worker that is one named thread. What finished goes back to its core in batches: one post for all
// jobs that end before the core looks. Destroyed on its core; after that no `done` runs, not even of a finished job.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "io/core.h"

namespace polylog::io {

class ThreadWorker final : public Worker {
 public:
  ThreadWorker(Core& core, const char* name, Priority priority, std::vector<int> cpus);
  ~ThreadWorker() override;
  void submit(Task job, Task done) override;

 private:
  struct Job {
    Task job;
    Task done;
  };
  struct Finished {  // outlives the worker inside a posted task
    std::mutex mutex;
    std::vector<Task> dones;
    bool open = true;  // the core's alone
  };
  void run();
  void deliver(Task done);

  Core& core_;
  std::shared_ptr<Finished> finished_ = std::make_shared<Finished>();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace polylog::io
