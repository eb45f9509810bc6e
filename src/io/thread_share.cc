#include "io/thread_share.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <tuple>

namespace polylog::io {
namespace {

constexpr int kYieldingNice = 10;
constexpr int kBackgroundNice = 15;
constexpr int kBeforeOthersNice = -10;
constexpr uint64_t kNotInherited = 1;  // SCHED_FLAG_RESET_ON_FORK

// As in sched_setattr(2), its first version, which every kernel takes.
struct SchedAttributes {
  uint32_t size = sizeof(SchedAttributes);
  uint32_t policy = SCHED_OTHER;
  uint64_t flags = kNotInherited;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime_ns = 0;
  uint64_t deadline_ns = 0;
  uint64_t period_ns = 0;
};
static_assert(sizeof(SchedAttributes) == 48);

int own_nice() { return getpriority(PRIO_PROCESS, static_cast<id_t>(gettid())); }
void set_nice(int nice) { std::ignore = setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), nice); }

}  // namespace

void run_in_slices_of(std::chrono::microseconds slice) {
  SchedAttributes attributes;
  attributes.nice = own_nice();
  attributes.runtime_ns = static_cast<uint64_t>(std::chrono::nanoseconds(slice).count());
  std::ignore = syscall(SYS_sched_setattr, 0, &attributes, 0);
}

void run_before_others() { set_nice(std::min(own_nice(), kBeforeOthersNice)); }

void run_yielding() { set_nice(std::max(own_nice(), kYieldingNice)); }

void run_in_background() { set_nice(std::max(own_nice(), kBackgroundNice)); }

}  // namespace polylog::io
