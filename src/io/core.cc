#include "io/core.h"

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/check.h"
#include "base/limits.h"
#include "io/thread_share.h"

namespace polylog::io {

namespace {

// How long one turn goes on collecting ready handlers before it must write and hand over mail.
constexpr base::Duration kCollectMax = std::chrono::milliseconds(1);
// Who reads at full speed delays the others less: 512 KiB from cold memory take 1 ms. Whole pages, as files are sent by.
constexpr size_t kSendAloneBytes = 512 * base::limits::kKiB;
constexpr size_t kSendTogetherBytes = 256 * base::limits::kKiB;
constexpr size_t kSendBytesMin = 64 * base::limits::kKiB;  // with more than four of them the turn gets longer
constexpr size_t kPageBytes = 4 * base::limits::kKiB;
// Shorter than that of the workers, but for the one that syncs.
constexpr auto kSlice = std::chrono::microseconds(500);

size_t send_share(size_t residents) {
  return residents <= 1 ? kSendAloneBytes
                        : std::max(kSendBytesMin, kSendTogetherBytes / residents / kPageBytes * kPageBytes);
}

int64_t read_clock_ns(clockid_t clock) {
  timespec at{};
  clock_gettime(clock, &at);
  return at.tv_sec * 1'000'000'000 + at.tv_nsec;
}

}  // namespace

struct Core::Reactor {
  using Context = boost::asio::io_context;
  using Descriptor = boost::asio::posix::basic_stream_descriptor<Context::executor_type>;

  Reactor() : wake_fd(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), wake(context, wake_fd), timer(context) { arm_wake(); }

  void arm_wake() {
    wake.async_wait(Descriptor::wait_read, [this](const boost::system::error_code& error) {
      if (error) return;
      uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = read(wake_fd, &count, sizeof count);
      arm_wake();
    });
  }

  Context context{1};
  int wake_fd;  // owned by `wake`
  Descriptor wake;
  boost::asio::steady_timer timer;
  base::MonoTime timer_at{INT64_MAX};  // when `timer` will fire; INT64_MAX: not set
};

Core::Core(CoreGroup& group, base::CoreId id, size_t input_bytes_max)
    : group_(group),
      id_(id),
      reactor_(std::make_unique<Reactor>()),
      read_buffer_(std::make_unique_for_overwrite<uint8_t[]>(base::limits::kReadBufferBytes)),
      input_(input_bytes_max) {
  refresh_clocks();
}

Core::~Core() {
  shut_down_residents();
  while (residents_ != nullptr) {  // those whose system handlers will never be called now
    retire(*residents_);
    destroy_retired();
  }
}

boost::asio::io_context& Core::context() { return reactor_->context; }
base::MutView Core::read_buffer() { return {read_buffer_.get(), base::limits::kReadBufferBytes}; }
size_t Core::group_size() const { return group_.size(); }

void Core::send(base::CoreId to, Task task) {
  CHECK(to.value < outgoing_.size(), "mail to a core that does not exist");
  outgoing_[to.value].push_back(std::move(task));
  mail_written_ = true;
}

void Core::post_from_any_thread(Task task) {
  {
    std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(task));
  }
  posted_any_.store(true);
  wake_if_parked();
}

void Core::stop() {
  stopping_.store(true);
  wake_if_parked();
}

void Core::wake_if_parked() {
  if (!parked_.load() || !parked_.exchange(false)) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(reactor_->wake_fd, &one, sizeof one);
}

void Core::run() {
  run_in_slices_of(kSlice);
  while (!stopping_.load()) turn();
  shut_down_residents();
}

void Core::turn() {
  arm_timer();
  asleep_ = true;
  if (park_or_find_work()) {
    reactor_->context.run_one();
    parked_.store(false);
  }
  woke();
  poll_ready();
  run_posted();
  drain_mail();
  fire_timers();
  end_turn();
  if (times_) note_turn();
}

void Core::note_turn() {
  const base::Duration took = clock() - now_;
  times_->turns.record_ns(took.count());
  times_->busy.add(static_cast<uint64_t>(took.count()));
}

base::MonoTime Core::clock() { return {read_clock_ns(CLOCK_MONOTONIC)}; }

// True: this core has announced that it sleeps, and nothing had arrived by then.
bool Core::park_or_find_work() {
  if (!next_turn_.empty() || !turn_end_.empty() || !finishing_.empty() || mail_written_) return false;
  parked_.store(true);
  if (!mail_arrived() && !backlog_can_move() && !posted_any_.load() && !stopping_.load()) return true;
  parked_.store(false);
  return false;
}

bool Core::mail_arrived() const {
  for (size_t from = 0; from < group_.size(); ++from) {
    if (group_.ring(from, id_.value).count() > 0) return true;
  }
  return false;
}

bool Core::backlog_can_move() const {
  if (!backlogged_) return false;
  for (size_t to = 0; to < outgoing_.size(); ++to) {
    if (!outgoing_[to].empty() && group_.ring(id_.value, to).has_room()) return true;
  }
  return false;
}

void Core::poll_ready() {
  const int64_t until_ns = now_.ns + kCollectMax.count();
  while (reactor_->context.poll_one() > 0) {
    if (read_clock_ns(CLOCK_MONOTONIC) >= until_ns) break;
  }
}

void Core::run_posted() {
  std::vector<Task> tasks = std::exchange(next_turn_, {});
  for (Task& task : tasks) task();
  if (!posted_any_.load(std::memory_order_relaxed)) return;
  tasks.clear();
  {
    std::lock_guard lock(posted_mutex_);
    posted_any_.store(false);
    tasks.swap(posted_);
  }
  for (Task& task : tasks) task();
}

void Core::drain_mail() {
  for (size_t from = 0; from < group_.size(); ++from) {
    MailRing& ring = group_.ring(from, id_.value);
    const size_t count = ring.count();  // what comes while these run waits for the next turn
    for (size_t i = 0; i < count; ++i) {
      for (Task& task : ring.pop()) task();
    }
    if (count > 0 && ring.take_waiting_producer()) group_.core(from).wake_if_parked();
  }
}

void Core::fire_timers() {
  const TimerId limit = timers_.last_set();
  while (Task task = timers_.pop_due(now_, limit)) task();
}

void Core::end_turn() {
  do {
    run_deferred();
    push_mail();
    finish_residents();
  } while (!turn_end_.empty() || !finishing_.empty() || mail_written_);
  destroy_retired();
}

void Core::run_deferred() {
  while (!turn_end_.empty()) {
    std::vector<Task> tasks = std::exchange(turn_end_, {});
    for (Task& task : tasks) task();
  }
}

void Core::push_mail() {
  if (!mail_written_ && !backlogged_) return;
  mail_written_ = false;
  backlogged_ = false;
  for (size_t to = 0; to < outgoing_.size(); ++to) {
    if (outgoing_[to].empty()) continue;
    MailRing& ring = group_.ring(id_.value, to);
    if (!ring.push(outgoing_[to])) {
      ring.announce_waiting();
      if (!ring.push(outgoing_[to])) {
        backlogged_ = true;
        continue;
      }
    }
    group_.core(to).wake_if_parked();
  }
}

void Core::watch_input() {
  if (input_timer_.value != 0) return;
  input_timer_ = call_at(now_ + std::chrono::seconds(1), [this] {
    input_timer_ = {};
    if (!input_.anyone_waits()) return;
    for (Resident* resident : input_.stalled(now_)) resident->shut_down("a request stays unfinished while others wait");
    for (Resident* resident : input_.take_waiting()) finish_later(*resident);
  });
}

void Core::release_input(Resident& resident) {
  input_.release(resident);
  if (!input_.anyone_waits()) return;
  next_turn([this] {
    for (Resident* waiting : input_.take_waiting()) finish_later(*waiting);
  });
}

void Core::finish_later(Resident& resident) {
  if (std::exchange(resident.finish_pending_, true)) return;
  finishing_.push_back(&resident);
}

void Core::finish_residents() {
  std::vector<Resident*> residents = std::exchange(finishing_, {});
  send_bytes_max_ = send_share(residents.size());
  const auto finish = [](Resident* resident) {
    resident->finish_pending_ = false;
    resident->finish_turn();
  };
  std::vector<Resident*> long_ones;
  for (Resident* resident : residents) {
    if (resident->has_much_to_send()) {
      long_ones.push_back(resident);
    } else {
      finish(resident);
    }
  }
  std::ranges::for_each(long_ones, finish);
}

void Core::adopt(std::unique_ptr<Resident> resident) {
  Resident* raw = resident.release();
  raw->next_ = residents_;
  if (residents_ != nullptr) residents_->previous_ = raw;
  residents_ = raw;
  ++resident_count_;
}

void Core::retire(Resident& resident) {
  if (resident.next_ != nullptr) resident.next_->previous_ = resident.previous_;
  (resident.previous_ != nullptr ? resident.previous_->next_ : residents_) = resident.next_;
  --resident_count_;
  retired_.emplace_back(&resident);
}

void Core::destroy_retired() {
  auto retired = std::exchange(retired_, {});
  for (const auto& resident : retired) {
    if (resident->finish_pending_) std::erase(finishing_, resident.get());
  }
}

// Sets the one system timer when the first of our timers is earlier than what it is set to.
void Core::arm_timer() {
  const auto due = timers_.next_due();
  if (!due || due->ns >= reactor_->timer_at.ns) return;
  reactor_->timer_at = *due;
  reactor_->timer.expires_at(std::chrono::steady_clock::time_point(std::chrono::nanoseconds(due->ns)));
  reactor_->timer.async_wait([this](const boost::system::error_code& error) {
    if (!error) reactor_->timer_at = {INT64_MAX};
  });
}

void Core::woke() {
  if (std::exchange(asleep_, false)) refresh_clocks();
}

void Core::refresh_clocks() {
  now_ = {read_clock_ns(CLOCK_MONOTONIC)};
  wall_now_ = {read_clock_ns(CLOCK_REALTIME) / 1'000'000};
}

void Core::shut_down_residents() {
  for (Resident* resident = residents_; resident != nullptr; resident = resident->next_) {
    resident->shut_down("shutting down");
  }
  end_turn();
  reactor_->context.poll();  // lets cancelled waits return, which retires their residents
  destroy_retired();
}

}  // namespace polylog::io
