// The least possible state of a queue: positions in a deque, and a log without checksums to which each batch of puts and
// acknowledgements is appended with one write, never synced. The floor under what a queue costs.
#pragma once

#include <cstdint>
#include <string>

namespace polylog::bench {

struct AckLogLoad {
  std::string dir;
  uint64_t batch;  // messages a write
  uint64_t lag;    // between a message's put and its acknowledgement
  uint64_t duration_ns;
};

struct AckLogResult {
  double messages_per_second;
  double cpu_ns_per_message;
};

AckLogResult run_ack_log(const AckLogLoad& load);

}  // namespace polylog::bench
