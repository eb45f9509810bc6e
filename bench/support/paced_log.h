// The least possible durable broker at a fixed rate: one producer, one consumer, a commit for whatever a turn brought.
// What a message costs there is the floor under any broker that acknowledges after the sync and does not wait for a second.
//
//   producer -> server   message of `message_bytes`          server -> producer   acknowledgement of 64 bytes
//   consumer -> server   request of 100 bytes now and then   server -> consumer   the message
//
// The server's one thread waits, receives, writes one block, syncs, then answers. It has no topics, no index, no checks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "load/histogram.h"

namespace polylog::bench {

struct PacedLogLoad {
  std::string dir;
  uint64_t rate;  // messages a second
  size_t message_bytes;
  uint64_t duration_ns;
  int server_cpu;
  int client_cpu;
};

struct PacedLogResult {
  double messages_per_second;
  double server_cpu_ns_per_message;
  load::Histogram latencies;  // from when a message was due until the consumer had it
};

PacedLogResult run_paced_log(const PacedLogLoad& load);

}  // namespace polylog::bench
