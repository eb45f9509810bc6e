#include "server/serve.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "base/log.h"
#include "server/node.h"
#include "server/version.h"

namespace polylog::server {
namespace {

constexpr auto kDrainTimeMax = std::chrono::seconds(9);  // SIGTERM promises an end within 10 s

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// A connection is a descriptor, and the soft limit that shells hand down is often 1,024.
void raise_open_files_limit() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

// Waits for SIGTERM or SIGINT, then stops the node; and ends the process should draining hang on a dead disk.
void stop_on_signal(Node& node, std::stop_token done) {
  const sigset_t signals = stop_signals();
  int signal = 0;
  sigwait(&signals, &signal);
  base::log_info("server", "stopping: no new connections, writing checkpoints");
  node.stop();
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  if (!wake.wait_for(lock, done, kDrainTimeMax, [&] { return done.stop_requested(); })) {
    base::log_error("server",
                    "the disk did not answer in time; stopping without a checkpoint (nothing acknowledged is lost)");
    std::_Exit(0);
  }
}

}  // namespace

int serve(const Config& config) {
  base::configure_log(config.log.level, config.log.format);
  // Blocked in all threads, taken by one: no code ever runs inside a handler.
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  raise_open_files_limit();
  auto node = Node::start(config);
  if (!node) {
    std::fprintf(stderr, "polylog: %s\n", node.error().text.c_str());
    return 1;
  }
  std::jthread stopper([&](std::stop_token done) { stop_on_signal(**node, done); });
  base::log_info("server", "ready", {{"version", kVersion}, {"data_dir", config.data_dir}, {"pid", getpid()}});
  std::printf("%s\n", (*node)->ready_line().c_str());
  std::fflush(stdout);
  (*node)->run();
  stopper.request_stop();
  // The node may have ended by itself; the stopper then still waits for a signal.
  pthread_kill(stopper.native_handle(), SIGTERM);
  stopper.join();
  node->reset();
  base::log_info("server", "stopped");
  return 0;
}

}  // namespace polylog::server
