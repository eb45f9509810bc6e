// Core: a Loop on one OS thread, and CoreGroup: the cores of one broker.
//
// A turn: wait until something is ready, handle all that is ready (sockets, mail, finished work, timers), run what was
// deferred to the turn's end, hand mail to other cores, and let connections write, each once.
// Not for: anything protocol-shaped. No boost header leaves the .cc files.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "io/input_budget.h"
#include "io/loop.h"
#include "io/mail_ring.h"
#include "io/timer_queue.h"
#include "io/traffic.h"

namespace boost::asio {
class io_context;
}

namespace polylog::io {

class Core;
class CoreGroup;

// An object that lives on a core until it is done, such as a connection. The core owns it from adopt() to retire().
class Resident {
 public:
  virtual ~Resident() = default;
  virtual void finish_turn() = 0;                          // asked for by Core::finish_later, after the deferred tasks
  virtual void shut_down(std::string_view why) = 0;        // the core stops: close at once
  virtual bool has_much_to_send() const { return false; }  // then it finishes its turn behind those who have little

 private:
  friend class Core;
  Resident* previous_ = nullptr;
  Resident* next_ = nullptr;
  bool finish_pending_ = false;
};

class Core final : public Loop {
 public:
  ~Core() override;

  base::CoreId core() const override { return id_; }
  base::MonoTime now() override { return now_; }
  base::WallTime wall_now() override { return wall_now_; }
  base::MonoTime clock() override;
  TimerId call_at(base::MonoTime when, Task task) override { return timers_.add(when, std::move(task)); }
  void cancel(TimerId timer) override { timers_.cancel(timer); }
  void at_turn_end(Task task) override { turn_end_.push_back(std::move(task)); }
  std::unique_ptr<Worker> make_worker(const char* name, Priority priority) override;
  void send(base::CoreId to, Task task) override;
  bool mail_backlogged() const override { return backlogged_; }

  // From any thread, but not from inside a signal handler: it takes a mutex. Runs in a later turn; in order per thread.
  void post_from_any_thread(Task task);
  void stop();                                              // from any thread; the loop ends after its current turn
  void measure(TurnTimes times) { times_.emplace(times); }  // before run()
  // Runs turns on the calling thread until stop(); then closes the connections that are left and returns.
  void run();

  // For io's own files, on this core only.
  void woke();  // what waits for a socket calls it first: the wait that ends with it is where a turn and its time begin
  boost::asio::io_context& context();
  base::MutView read_buffer();  // kReadBufferBytes, valid within one callback
  void next_turn(Task task) { next_turn_.push_back(std::move(task)); }
  void finish_later(Resident& resident);  // finish_turn() at this turn's end, once
  // What each may send in finish_turn(): more when nobody else waits for the end of the same turn.
  size_t send_bytes_max() const { return send_bytes_max_; }
  InputBudget& input() { return input_; }
  void watch_input();                      // someone waits for room in input()
  void release_input(Resident& resident);  // its claim goes to those who wait
  void adopt(std::unique_ptr<Resident> resident);
  void retire(Resident& resident);  // destroyed at the end of this turn
  size_t resident_count() const { return resident_count_; }
  size_t group_size() const;
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

 private:
  friend class CoreGroup;
  struct Reactor;
  Core(CoreGroup& group, base::CoreId id, size_t input_bytes_max);

  void turn();
  void note_turn();
  bool park_or_find_work();
  bool mail_arrived() const;
  bool backlog_can_move() const;
  void poll_ready();
  void run_posted();
  void drain_mail();
  void fire_timers();
  void end_turn();
  void push_mail();
  void run_deferred();
  void finish_residents();
  void destroy_retired();
  void arm_timer();
  void wake_if_parked();
  void refresh_clocks();
  void shut_down_residents();

  CoreGroup& group_;
  const base::CoreId id_;
  std::unique_ptr<Reactor> reactor_;
  base::MonoTime now_;
  base::WallTime wall_now_;
  TimerQueue timers_;
  std::vector<Task> turn_end_;
  std::vector<Task> next_turn_;
  std::vector<MailBatch> outgoing_;  // by destination; what its ring had no room for stays here
  bool mail_written_ = false;
  bool backlogged_ = false;
  bool asleep_ = false;  // this turn's time has not been read yet
  std::unique_ptr<uint8_t[]> read_buffer_;
  InputBudget input_;
  TimerId input_timer_;
  std::optional<TurnTimes> times_;

  Resident* residents_ = nullptr;
  size_t resident_count_ = 0;
  std::vector<Resident*> finishing_;
  size_t send_bytes_max_ = 0;
  std::vector<std::unique_ptr<Resident>> retired_;

  // Touched by other threads.
  alignas(64) std::atomic<bool> parked_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> posted_any_{false};
  std::mutex posted_mutex_;
  std::vector<Task> posted_;
};

// N cores wired with mail rings. Core 0 runs on the thread that calls run(), the others on threads of their own, each
// pinned to one CPU of the affinity mask that the process inherited. Set cores up before run(), or by
// post_from_any_thread(). A stopped group does not start again.
class CoreGroup {
 public:
  struct Options {
    size_t cores = 0;  // 0: one for each CPU of the affinity mask
    bool pin = true;
    size_t input_bytes_max = 512 * base::limits::kMiB;  // of all cores, for frames that have arrived in part
  };
  explicit CoreGroup(Options options);
  ~CoreGroup();  // stops and joins
  CoreGroup(const CoreGroup&) = delete;
  CoreGroup& operator=(const CoreGroup&) = delete;

  size_t size() const { return cores_.size(); }
  Core& core(size_t index) { return *cores_[index]; }
  void start_others();  // cores 1.., when core 0 is to be run by hand: core(0).run()
  void run();           // start_others() and core 0 here; returns when all have stopped
  void stop();          // from any thread
  void join();

 private:
  friend class Core;
  MailRing& ring(size_t from, size_t to) { return *rings_[from * cores_.size() + to]; }
  void pin_this_thread(size_t index);

  const Options options_;
  std::vector<int> cpus_;
  std::vector<std::unique_ptr<MailRing>> rings_;
  std::vector<std::unique_ptr<Core>> cores_;
  std::vector<std::thread> threads_;
};

}  // namespace polylog::io
