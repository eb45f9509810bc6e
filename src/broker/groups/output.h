// Where the group engine's effects go. Implemented by the cell that owns the groups; called on its core only.
#pragma once

#include "base/bytes.h"
#include "base/ids.h"
#include "broker/groups/requests.h"
#include "broker/ids.h"
#include "io/loop.h"

namespace polylog::broker {

class GroupOutput {
 public:
  virtual ~GroupOutput() = default;
  // Stages a mutation and numbers it; it becomes durable later, in order.
  virtual base::Lsn log(base::View mutation) = 0;
  // The reply leaves once `after` is committed; Lsn{0}: at once.
  virtual void reply(ReplyTo to, GroupReply reply, base::Lsn after) = 0;
  // `job` runs off the core, then `done` on it, in a later turn; never if the cell has failed or is gone by then.
  virtual void compute(io::Task job, io::Task done) = 0;
};

}  // namespace polylog::broker
