// How long the stages of a request take, one set of histograms a core. Times are taken once a batch, and mostly from the
// turn's cached clock, so a stage that ends in the turn in which it began counts as 0.
//
//   socket ─ parse ─► request ─ append ─► WAL slot ─ sync ─► durable ─ apply ─► answers leave the gate ─ deliver ─► written
//
// Not here: what a request took as a whole; each protocol measures that for its kinds of requests.
#pragma once

#include "base/metrics.h"

namespace polylog::broker {

struct StageTimes {
  explicit StageTimes(base::Registry& registry)
      : parse(stage(registry, "parse")),
        append(stage(registry, "append")),
        sync(stage(registry, "sync")),
        apply(stage(registry, "apply")),
        deliver(stage(registry, "deliver")) {}

  base::Histogram& parse;    // a turn's begin to the end of parsing what one read brought
  base::Histogram& append;   // an append was asked for to its bytes being in the log's open slot
  base::Histogram& sync;     // a group commit
  base::Histogram& apply;    // the turn that learned of a commit to the last answer leaving the gate
  base::Histogram& deliver;  // answers leaving the gate to their sessions having written them

 private:
  static base::Histogram& stage(base::Registry& registry, const char* name) {
    return registry.histogram("polylog_stage_duration_seconds", "Time spent in one stage of a request",
                              base::label("stage", name));
  }
};

}  // namespace polylog::broker
