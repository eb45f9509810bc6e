// bench_gauge [secs=1] [cpus=2] [touch_mib=0]
// How much processor time the host took away: one spinning thread a processor reads the clock without pause, and every
// gap of more than 50 us counts as taken. Run it before and after a measurement and throw the measurement away when the
// share is high. touch_mib first touches that much memory, so that pages the host had taken back are present again.
// It does not see a slower clock or shared caches.
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/support/clock.h"
#include "bench/support/options.h"
#include "bench/support/report.h"

namespace polylog::bench {
namespace {

constexpr uint64_t gap_ns_min = 50'000;

struct Gaps {
  uint64_t total_ns = 0;
  uint64_t longest_ns = 0;
};

Gaps spin(int cpu, uint64_t duration_ns) {
  pin_to_cpu(cpu);
  Gaps gaps;
  uint64_t last = now_ns();
  for (const uint64_t end = last + duration_ns; last < end;) {
    const uint64_t now = now_ns();
    if (now - last > gap_ns_min) {
      gaps.total_ns += now - last;
      gaps.longest_ns = std::max(gaps.longest_ns, now - last);
    }
    last = now;
  }
  return gaps;
}

void touch(size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  std::memset(memory, 1, bytes);
  munmap(memory, bytes);
}

int run(const Options& options) {
  if (const uint64_t mib = options.count("touch_mib", 0); mib > 0) touch(mib << 20);
  const double seconds = options.number("secs", 1);
  std::vector<Gaps> gaps(options.count("cpus", 2));
  std::vector<std::thread> threads;
  for (size_t cpu = 0; cpu < gaps.size(); cpu++) {
    threads.emplace_back(
        [&gaps, cpu, seconds] { gaps[cpu] = spin(static_cast<int>(cpu), static_cast<uint64_t>(seconds * 1e9)); });
  }
  for (auto& thread : threads) thread.join();
  Gaps worst;
  for (const Gaps& gap : gaps) {
    worst.total_ns = std::max(worst.total_ns, gap.total_ns);
    worst.longest_ns = std::max(worst.longest_ns, gap.longest_ns);
  }
  Report report;
  report.add("taken_share", static_cast<double>(worst.total_ns) / 1e9 / seconds);
  report.add("longest_ms", static_cast<double>(worst.longest_ns) / 1e6);
  report.print();
  return 0;
}

}  // namespace
}  // namespace polylog::bench

int main(int argc, char** argv) { return polylog::bench::run(polylog::bench::Options(argc, argv)); }
