// SimWorld: N cores on one thread in virtual time. Everything a broker can observe of threads, clocks and the network
// between cores comes from here, drawn from one seed: the same seed and the same calls give the same run.
//
// Contract, and the faults it injects:
//   time     stands still while an event runs and jumps to the next one; timers fire late by up to timer_late_max
//   mail     arrives in order per pair of cores, each after a random delay, now and then a long one; different pairs
//            overtake each other freely; mail_backlogged() is true while more than mail_in_flight_max are under way
//   workers  a job runs whole at one random later time, its `done` at a still later one: a crash can fall between, so
//            that what the job wrote is there and nobody was told. Jobs and dones of one lane keep their order; different
//            lanes overtake each other
//   clock    jump_wall_clock() moves wall time, forwards or back; monotonic time never moves back
//   crash    crash() drops everything that is pending on all cores: events, timers, deferred tasks, mail
// Each event is one loop turn: at_turn_end() tasks run after it, until there are none.
//
// Not simulated: sockets, preemption inside a job, cores that run at different speeds.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/loop.h"
#include "io/sim/random.h"
#include "io/timer_queue.h"

namespace polylog::io {

enum class SimEvent : uint8_t { kTask, kTimer, kMail, kJob, kDone };
inline constexpr size_t kSimEventKinds = 5;
const char* name_of(SimEvent kind);

class SimLoop;

class SimWorld {
 public:
  struct Options {
    uint64_t seed = 1;
    size_t cores = 1;
    base::Duration mail_delay_max = std::chrono::microseconds(50);
    base::Duration job_delay_max = std::chrono::microseconds(500);
    base::Duration timer_late_max = std::chrono::microseconds(20);
    base::Duration long_delay_max = std::chrono::milliseconds(20);
    double long_delay_chance = 0.01;   // of mail and jobs
    size_t mail_in_flight_max = 1024;  // per sending core
    int64_t wall_start_ms = 1'700'000'000'000;
  };
  explicit SimWorld(Options options);
  ~SimWorld();
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  size_t core_count() const { return loops_.size(); }
  Loop& loop(size_t core);
  Random& random() { return random_; }
  base::MonoTime now() const { return now_; }
  base::WallTime wall_now() const { return {options_.wall_start_ms + wall_skew_ms_ + now_.ns / 1'000'000}; }

  void post(base::CoreId core, Task task);   // as an event at the present time: how tests reach a core
  bool step();                               // runs one event; false when nothing is pending
  bool run_until_idle(uint64_t events_max);  // false: events_max were not enough
  void run_until(base::MonoTime until);      // and moves time there
  void run_for(base::Duration duration) { run_until(now_ + duration); }

  void crash();  // between events only; then destroy what lived on the loops, and start anew
  void jump_wall_clock(int64_t by_ms) { wall_skew_ms_ += by_ms; }

  uint64_t event_count(SimEvent kind) const { return counts_[static_cast<size_t>(kind)]; }
  uint64_t event_count() const;
  uint64_t crash_count() const { return crashes_; }
  uint64_t digest() const { return digest_; }  // of all events so far: equal digests, equal runs
  std::string describe() const;

 private:
  friend class SimLoop;
  friend class SimWorker;
  struct Event {
    base::MonoTime at;
    uint64_t sequence;
    SimEvent kind;
    base::CoreId core;
    Task task;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
    }
  };
  void schedule(base::MonoTime at, SimEvent kind, base::CoreId core, Task task);
  bool next_is_timer(SimLoop*& owner, base::MonoTime& at);
  base::MonoTime next_time();  // of the next event; INT64_MAX when none
  base::Duration random_delay(base::Duration max);
  void begin(SimEvent kind, base::CoreId core, base::MonoTime at);

  const Options options_;
  Random random_;
  base::MonoTime now_{1'000'000'000};
  int64_t wall_skew_ms_ = 0;
  std::vector<Event> events_;  // heap, earliest first
  uint64_t next_sequence_ = 0;
  std::vector<std::unique_ptr<SimLoop>> loops_;
  bool in_step_ = false;

  std::array<uint64_t, kSimEventKinds> counts_{};
  uint64_t crashes_ = 0;
  uint64_t digest_ = 0xCBF29CE484222325ull;
};

class SimLoop final : public Loop {
 public:
  SimLoop(SimWorld& world, base::CoreId core);

  base::CoreId core() const override { return core_; }
  base::MonoTime now() override { return world_.now(); }
  base::WallTime wall_now() override { return world_.wall_now(); }
  TimerId call_at(base::MonoTime when, Task task) override;
  void cancel(TimerId timer) override { timers_.cancel(timer); }
  void at_turn_end(Task task) override;
  std::unique_ptr<Worker> make_worker(const char* name, Priority priority) override;
  void send(base::CoreId to, Task task) override;
  bool mail_backlogged() const override { return mail_in_flight_ > world_.options_.mail_in_flight_max; }

 private:
  friend class SimWorld;
  void end_turn();
  void drop_all();

  SimWorld& world_;
  const base::CoreId core_;
  TimerQueue timers_;
  std::vector<Task> turn_end_;
  bool turn_scheduled_ = false;               // an empty turn is due, for tasks deferred outside of any
  std::vector<base::MonoTime> last_arrival_;  // of mail, by destination
  size_t mail_in_flight_ = 0;
};

}  // namespace polylog::io
