#include "bench/support/ack_log.h"

#include <cstring>
#include <deque>

#include "bench/support/clock.h"
#include "bench/support/scratch_file.h"

namespace polylog::bench {
namespace {

constexpr size_t kPutBytes = 24, kAckBytes = 9;

class AckLog {
 public:
  explicit AckLog(const std::string& dir) : file_(dir, 256 << 20) {}

  void put() {
    positions_.push_back({next_, true});
    write(1, kPutBytes, next_++);
  }
  void acknowledge(uint64_t message) {
    positions_[message - head_].lives = false;
    for (; !positions_.empty() && !positions_.front().lives; ++head_) positions_.pop_front();
    write(2, kAckBytes, message);
  }
  void commit() {
    file_.append(records_);
    records_.clear();
  }

 private:
  struct Position {
    uint64_t at;
    bool lives;
  };
  void write(char kind, size_t bytes, uint64_t message) {
    char record[kPutBytes] = {kind};
    std::memcpy(record + 1, &message, sizeof message);
    records_.append(record, bytes);
  }

  ScratchFile file_;
  std::string records_;
  std::deque<Position> positions_;
  uint64_t head_ = 0, next_ = 0;
};

}  // namespace

AckLogResult run_ack_log(const AckLogLoad& load) {
  AckLog log(load.dir);
  const uint64_t began = now_ns(), cpu_began = now_ns(CLOCK_PROCESS_CPUTIME_ID);
  uint64_t done = 0;
  for (; now_ns() < began + load.duration_ns; done += load.batch) {
    for (uint64_t i = 0; i < load.batch; ++i) log.put();
    for (uint64_t i = 0; done >= load.lag && i < load.batch; ++i) log.acknowledge(done + i - load.lag);
    log.commit();
  }
  return {.messages_per_second = static_cast<double>(done) * 1e9 / static_cast<double>(now_ns() - began),
          .cpu_ns_per_message =
              static_cast<double>(now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_began) / static_cast<double>(done)};
}

}  // namespace polylog::bench
