// What is counted of one listener's connections on one core, and of a core's turns. The cells are registered by whoever
// knows what the listener is for; io only writes to them, once a read, a write or a turn. Used by one core.
#pragma once

#include "base/metrics.h"

namespace polylog::io {

struct Traffic {
  base::Counter& received_bytes;
  base::Counter& sent_bytes;
  base::Counter& accepted;
  base::Gauge& open;
  base::Histogram& parse;  // from a turn's begin until the bytes of one read were turned into requests
};

struct TurnTimes {
  base::Counter& busy;     // ns outside of waiting
  base::Histogram& turns;  // from the end of the wait to the end of the turn
};

}  // namespace polylog::io
