// The least possible durable log server and its client, two threads of this process: the floor under any broker.
//
//   message          | size u32, little endian | size bytes |
//   acknowledgement  | sequence u64 |
//
// The server reads whatever each connection has, appends all of a turn with one write (and one fdatasync when durable),
// then answers. It has no topics, no index, no checks and no reader.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace polylog::bench {

struct FrameLogLoad {
  std::string dir;
  bool durable;
  uint64_t connections;
  uint64_t window;  // messages in flight a connection
  size_t message_bytes;
  uint64_t duration_ns;
  int server_cpu;
  int client_cpu;
};

struct FrameLogResult {
  double messages_per_second;
  double server_cpu_ns_per_message;
};

FrameLogResult run_frame_log(const FrameLogLoad& load);

}  // namespace polylog::bench
