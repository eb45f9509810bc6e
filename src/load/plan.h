// Plan: what a run is to do, whatever the protocol.
#pragma once

#include <cstddef>
#include <cstdint>

namespace polylog::load {

struct Plan {
  double rate_per_second = 1000;  // of all producers together; 0: as fast as the windows allow
  double seconds = 10;            // measured, after the warm-up
  double warm_up_seconds = 0;
  size_t message_bytes = 100;
  uint32_t destinations = 1;  // partitions or queues
  uint32_t connections = 1;   // producers, and as many consumers; of these at most one a destination

  // Each connection has a lane, each destination has one: the larger number.
  uint32_t lanes() const { return destinations > connections ? destinations : connections; }
  uint32_t connection_of(uint32_t lane) const { return lane % connections; }
  uint32_t destination_of(uint32_t lane) const { return lane % destinations; }
};

}  // namespace polylog::load
