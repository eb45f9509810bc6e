#include "io/sim/sim_loop.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "base/check.h"

namespace polylog::io {

namespace {
constexpr base::MonoTime kNever{INT64_MAX};
}

const char* name_of(SimEvent kind) {
  switch (kind) {
    case SimEvent::kTask: return "task";
    case SimEvent::kTimer: return "timer";
    case SimEvent::kMail: return "mail";
    case SimEvent::kJob: return "job";
    case SimEvent::kDone: return "done";
  }
  return "?";
}

// ---- SimWorld

SimWorld::SimWorld(Options options) : options_(options), random_(options.seed) {
  for (size_t i = 0; i < options_.cores; ++i) {
    loops_.push_back(std::make_unique<SimLoop>(*this, base::CoreId(static_cast<uint16_t>(i))));
  }
}

SimWorld::~SimWorld() { crash(); }

Loop& SimWorld::loop(size_t core) { return *loops_[core]; }

void SimWorld::schedule(base::MonoTime at, SimEvent kind, base::CoreId core, Task task) {
  events_.push_back({at, next_sequence_++, kind, core, std::move(task)});
  std::ranges::push_heap(events_, Later{});
}

void SimWorld::post(base::CoreId core, Task task) { schedule(now_, SimEvent::kTask, core, std::move(task)); }

base::Duration SimWorld::random_delay(base::Duration max) {
  const base::Duration bound = random_.chance(options_.long_delay_chance) ? options_.long_delay_max : max;
  return base::Duration(random_.between(0, bound.count()));
}

// The earliest timer of any loop, if it comes before all events.
bool SimWorld::next_is_timer(SimLoop*& owner, base::MonoTime& at) {
  at = events_.empty() ? kNever : events_.front().at;
  owner = nullptr;
  for (const auto& loop : loops_) {
    const auto due = loop->timers_.next_due();
    if (due && *due < at) {
      at = *due;
      owner = loop.get();
    }
  }
  return owner != nullptr;
}

base::MonoTime SimWorld::next_time() {
  SimLoop* owner = nullptr;
  base::MonoTime at;
  next_is_timer(owner, at);
  return at;
}

void SimWorld::begin(SimEvent kind, base::CoreId core, base::MonoTime at) {
  now_ = std::max(now_, at);
  ++counts_[static_cast<size_t>(kind)];
  for (const uint64_t word : {static_cast<uint64_t>(now_.ns), static_cast<uint64_t>(kind) << 16 | core.value}) {
    digest_ = (digest_ ^ word) * 0x100000001B3ull;
  }
}

bool SimWorld::step() {
  CHECK(!in_step_, "step() inside an event");
  SimLoop* owner = nullptr;
  base::MonoTime at;
  Event event{};
  if (next_is_timer(owner, at)) {
    event = {at, 0, SimEvent::kTimer, owner->core(), owner->timers_.pop_due(at, owner->timers_.last_set())};
  } else if (!events_.empty()) {
    std::ranges::pop_heap(events_, Later{});
    event = std::move(events_.back());
    events_.pop_back();
  } else {
    return false;
  }
  in_step_ = true;
  begin(event.kind, event.core, event.at);
  event.task();
  if (event.kind != SimEvent::kJob) loops_[event.core.value]->end_turn();  // a job runs off its core
  event.task = {};
  in_step_ = false;
  return true;
}

bool SimWorld::run_until_idle(uint64_t events_max) {
  for (uint64_t i = 0; i < events_max; ++i) {
    if (!step()) return true;
  }
  return next_time() == kNever;
}

void SimWorld::run_until(base::MonoTime until) {
  while (next_time() <= until && step()) {
  }
  now_ = std::max(now_, until);
}

void SimWorld::crash() {
  CHECK(!in_step_, "crash() inside an event");
  ++crashes_;
  // Destroying a task may schedule or defer another: until nothing is left.
  while (!events_.empty()) auto dropped = std::exchange(events_, {});
  for (const auto& loop : loops_) loop->drop_all();
  events_.clear();
}

uint64_t SimWorld::event_count() const {
  uint64_t sum = 0;
  for (const uint64_t count : counts_) sum += count;
  return sum;
}

std::string SimWorld::describe() const {
  std::string text = "seed=" + std::to_string(options_.seed) + " time_us=" + std::to_string(now_.ns / 1000);
  for (size_t i = 0; i < kSimEventKinds; ++i) {
    text += std::string(" ") + name_of(static_cast<SimEvent>(i)) + "=" + std::to_string(counts_[i]);
  }
  return text + " crashes=" + std::to_string(crashes_) + " pending=" + std::to_string(events_.size());
}

// ---- SimLoop

SimLoop::SimLoop(SimWorld& world, base::CoreId core)
    : world_(world), core_(core), last_arrival_(world.options_.cores) {}

TimerId SimLoop::call_at(base::MonoTime when, Task task) {
  const base::Duration late(world_.random_.between(0, world_.options_.timer_late_max.count()));
  return timers_.add(std::max(when, world_.now()) + late, std::move(task));
}

void SimLoop::at_turn_end(Task task) {
  turn_end_.push_back(std::move(task));
  if (world_.in_step_ || turn_scheduled_) return;
  turn_scheduled_ = true;
  world_.post(core_, [this] { turn_scheduled_ = false; });
}

void SimLoop::end_turn() {
  while (!turn_end_.empty()) {
    std::vector<Task> tasks = std::exchange(turn_end_, {});
    for (Task& task : tasks) task();
  }
}

void SimLoop::send(base::CoreId to, Task task) {
  CHECK(to.value < last_arrival_.size(), "mail to a core that does not exist");
  base::MonoTime& last = last_arrival_[to.value];
  last = std::max(last, world_.now() + world_.random_delay(world_.options_.mail_delay_max));
  ++mail_in_flight_;
  world_.schedule(last, SimEvent::kMail, to, [this, task = std::move(task)]() mutable {
    --mail_in_flight_;
    task();
  });
}

void SimLoop::drop_all() {
  timers_.clear();
  while (!turn_end_.empty()) auto dropped = std::exchange(turn_end_, {});
  turn_scheduled_ = false;
  mail_in_flight_ = 0;
  last_arrival_.assign(last_arrival_.size(), {});
}

// ---- workers

class SimWorker final : public Worker {
 public:
  SimWorker(SimWorld& world, base::CoreId core) : lane_(std::make_shared<Lane>(world, core)) {}
  ~SimWorker() override {
    lane_->open = false;
    auto dropped = std::exchange(lane_->jobs, {});
  }
  void submit(Task job, Task done) override {
    lane_->jobs.push_back({std::move(job), std::move(done)});
    if (!lane_->busy) schedule_job(lane_);
  }

 private:
  struct Job {
    Task job;
    Task done;
  };
  struct Lane {
    Lane(SimWorld& w, base::CoreId c) : world(w), core(c) {}
    SimWorld& world;
    const base::CoreId core;
    std::deque<Job> jobs;
    base::MonoTime last_done;
    bool busy = false;
    bool open = true;
  };

  static base::MonoTime draw_time(Lane& lane) {
    return lane.world.now() + lane.world.random_delay(lane.world.options_.job_delay_max);
  }

  static void schedule_job(const std::shared_ptr<Lane>& lane) {
    lane->busy = true;
    lane->world.schedule(draw_time(*lane), SimEvent::kJob, lane->core, [lane] {
      lane->busy = false;
      if (!lane->open || lane->jobs.empty()) return;
      Job job = std::move(lane->jobs.front());
      lane->jobs.pop_front();
      job.job();
      job.job = {};
      schedule_done(lane, std::move(job.done));
      if (!lane->jobs.empty()) schedule_job(lane);
    });
  }

  static void schedule_done(const std::shared_ptr<Lane>& lane, Task done) {
    lane->last_done = std::max(lane->last_done, draw_time(*lane));
    lane->world.schedule(lane->last_done, SimEvent::kDone, lane->core, [lane, done = std::move(done)]() mutable {
      if (lane->open) done();
    });
  }

  std::shared_ptr<Lane> lane_;
};

std::unique_ptr<Worker> SimLoop::make_worker(const char*, Priority) {
  return std::make_unique<SimWorker>(world_, core_);
}

}  // namespace polylog::io
